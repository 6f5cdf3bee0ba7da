import { performance } from 'node:perf_hooks'
import type { Connection } from '../connection.ts'
import { goneAfter } from '../errors.ts'
import { mayBeLed, pauseForLeader } from './moving-leader.ts'

/** How long it is waited for a leader, where others answer, in ms. */
const LED_MS = 2_000

type Parts = Readonly<Record<string, readonly number[]>>
type Places = Readonly<Record<string, readonly { readonly partition: number; readonly offset: number }[]>>

export interface LogEnds {
  /** First offset that is there. */
  readonly low: number
  /** One past the last that consumers may see. */
  readonly high: number
}

/** Where the logs of partitions begin and end, by `topic/partition`. */
export function offsetsOf(connection: Connection, parts: Parts): Promise<Map<string, LogEnds>> {
  return onceLed(connection, parts, () => offsetsOnce(connection, parts))
}

/** What may be asked twice: again, for a while, where leaders move. */
async function onceLed<T>(connection: Connection, parts: Parts, ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (!mayBeLed(connection, error, tries)) throw error
      const gone = await goneOf(connection, parts)
      if (gone !== undefined) throw goneAfter(`topic "${gone}"`, error)
      await pauseForLeader(tries)
    }
  }
}

/** The same, in one try. */
export async function offsetsOnce(connection: Connection, parts: Parts): Promise<Map<string, LogEnds>> {
  const [low, high] = await Promise.all([
    listOffsets(connection, parts, -2),
    listOffsets(connection, parts, -1),
  ])
  const out = new Map<string, LogEnds>()
  for (const [key, first] of low) out.set(key, { low: first, high: high.get(key) ?? first })
  return out
}

/** The same, without those whose leader does not answer in time: they must not hide all others. Rejects where nobody answers. */
export async function offsetsOfLed(connection: Connection, parts: Parts): Promise<Map<string, LogEnds>> {
  const until = performance.now() + LED_MS
  const out = new Map<string, LogEnds>()
  let left = parts
  for (let tries = 1; ; tries++) {
    const failures: unknown[] = []
    const failed: Record<string, number[]> = {}
    const look = async (group: Parts): Promise<void> => {
      try {
        for (const [key, ends] of await offsetsOnce(connection, group)) out.set(key, ends)
      } catch (error) {
        failures.push(error)
        for (const [topic, list] of Object.entries(group)) (failed[topic] ??= []).push(...list)
      }
    }
    await Promise.all([...(await byLeader(connection, left)).values()].map(look))
    if (failures.length === 0) return out
    if ((await goneOf(connection, failed)) !== undefined) throw failures[0]
    if (out.size > 0 && performance.now() >= until) return out
    if (out.size === 0 && !failures.some((error) => mayBeLed(connection, error, tries))) throw failures[0]
    left = failed
    await pauseForLeader(tries)
  }
}

/** A topic of them that is there no more: no leader will come for that. Looks anew. */
async function goneOf(connection: Connection, parts: Parts): Promise<string | undefined> {
  const topics = Object.keys(parts)
  const known = await connection.topics(topics, true)
  return topics.find((topic) => !known.has(topic))
}

async function listOffsets(
  connection: Connection,
  parts: Parts,
  timestamp: number,
): Promise<Map<string, number>> {
  const out = new Map<string, number>()
  await Promise.all(
    [...(await byLeader(connection, parts))].map(async ([node, topics]) => {
      const args = {
        isolationLevel: 1,
        topics: Object.entries(topics).map(([topic, list]) => ({
          topic,
          partitions: list.map((partition) => ({ partition, timestamp })),
        })),
      }
      const asked = async () =>
        (await connection.link(node, 'main')).call<{
          responses: readonly {
            topic: string
            partitions: readonly { partition: number; offset: string }[]
          }[]
        }>('ListOffsets', args)
      const answer = await asked().catch((error: unknown) => {
        // Its leader may have moved.
        for (const topic of Object.keys(topics)) connection.forgetTopic(topic)
        throw error
      })
      for (const { topic, partitions } of answer.responses) {
        for (const { partition, offset } of partitions) out.set(`${topic}/${partition}`, Number(offset))
      }
    }),
  )
  return out
}

/** Deletes what lies below the given offsets, in one try: a topic that is made anew meanwhile has others. */
export async function deleteRecords(connection: Connection, below: Places): Promise<void> {
  const parts = partsBelow(below)
  await Promise.all(
    [...(await byLeader(connection, parts))].flatMap(([node, topics]) =>
      Object.entries(topics).map(async ([topic, list]) => {
        const link = await connection.link(node, 'main')
        const partitions = list.map((partition) => ({
          partition,
          offset: String((below[topic] ?? []).find((each) => each.partition === partition)?.offset ?? 0),
        }))
        const args = { topics: [{ topic, partitions }], timeout: connection.options.requestTimeoutMs }
        await link.call('DeleteRecords', args).catch((error: unknown) => {
          // kafkajs wraps what the broker says of each partition.
          throw (error as { partitions?: readonly { error: Error }[] }).partitions?.[0]?.error ?? error
        })
      }),
    ),
  )
}

/** The same, whatever is in the log by then. */
export function deleteRecordsLed(connection: Connection, below: Places): Promise<void> {
  return onceLed(connection, partsBelow(below), () => deleteRecords(connection, below))
}

function partsBelow(below: Places): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(below).map(([topic, list]) => [topic, list.map(({ partition }) => partition)]),
  )
}

/** The partitions that each node leads; those of -1 have no leader. */
export async function byLeader(
  connection: Connection,
  parts: Parts,
): Promise<Map<number, Record<string, number[]>>> {
  const known = await connection.topics(Object.keys(parts))
  const out = new Map<number, Record<string, number[]>>()
  for (const [topic, list] of Object.entries(parts)) {
    for (const partition of list) {
      const leader = known.get(topic)?.leaders[partition] ?? -1
      let topics = out.get(leader)
      if (topics === undefined) out.set(leader, (topics = {}))
      ;(topics[topic] ??= []).push(partition)
    }
  }
  return out
}
