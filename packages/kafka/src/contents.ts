import { AdapterError, type Target } from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import type { Consumer } from './group/consumer-contract.ts'
import { commitFor, committedOf, hasMembers } from './group/groups.ts'
import type { Commit, CommitEntry } from './group/membership-contract.ts'
import { nameOf, namesOf } from './names.ts'
import { deleteRecordsLed, type LogEnds, offsetsOf } from './log/offsets.ts'
import { notFound } from './publisher.ts'
import { waitingCount } from './log/scan.ts'
import { partsOf } from './topics.ts'
import { isAbout, notesAtStart, parseNotes } from './group/notes.ts'

/** How much a target holds, and emptying it. */
export interface Contents {
  size(target: Target): Promise<number>
  purge(target: Target): Promise<number>
}

export interface ContentsSetup {
  connection(): Connection
  /** Pattern of a subscription. Rejects when the target does not exist. */
  find(target: Target): Promise<string | undefined>
  consumerOf(target: Target): Consumer | undefined
  /** Whether records are taken out of the middle of this topic. */
  hasRemovals(main: string): Promise<boolean>
  /** Whether somebody here consumes it, other than by pulling now and then. */
  consumes(target: Target): boolean
}

interface Slice {
  readonly topic: string
  readonly partition: number
  readonly commit: Commit | undefined
  readonly end: LogEnds
}

export function createContents(setup: ContentsSetup): Contents {
  /** Every partition of a target, with what its group left. */
  const slicesOf = async (target: Target): Promise<Slice[]> => {
    const connection = setup.connection()
    const { main, later, group } = namesOf(target, connection.options.groupId)
    const known = await connection.topics([main, later], true)
    if (!known.has(main)) throw notFound(nameOf(target))
    const parts = partsOf(known, [main, later])
    const [commits, ends] = await Promise.all([
      committedOf(connection, group, parts),
      offsetsOf(connection, parts),
    ])
    return Object.entries(parts).flatMap(([topic, list]) =>
      list.flatMap((partition): Slice[] => {
        const end = ends.get(`${topic}/${partition}`)
        const commit = commits.get(`${topic}/${partition}`)
        const about = isAbout(known.get(topic)?.id ?? '', commit?.metadata)
        return end === undefined ? [] : [{ topic, partition, commit: about ? commit : undefined, end }]
      }),
    )
  }

  return {
    async size(target) {
      const connection = setup.connection()
      const { main, later } = namesOf(target, undefined)
      await setup.consumerOf(target)?.flush()
      const pattern = await setup.find(target)
      const hasRemovals = await setup.hasRemovals(main)
      let total = 0
      for (const { topic, partition, commit, end } of await slicesOf(target)) {
        const upper = waiting(commit, end)
        if (upper === 0) continue
        // Counting says the truth where each record is a message that waits now; elsewhere they have to be looked at.
        const looks = topic === later || hasRemovals || (pattern !== undefined && pattern !== '#')
        const filter = topic === main ? pattern : undefined
        total += looks
          ? await waitingCount(connection, topic, partition, commit, end, { pattern: filter, due: true })
          : upper
      }
      return total
    },

    async purge(target) {
      const connection = setup.connection()
      const { main, group } = namesOf(target, connection.options.groupId)
      const consumer = setup.consumerOf(target)
      await setup.find(target)
      const hasRemovals = await setup.hasRemovals(main)
      await consumer?.flush()
      const subscription = 'subscription' in target
      if (subscription) {
        await consumer?.rest()
        if (setup.consumes(target) || (await hasMembers(connection, group))) {
          throw new AdapterError(
            'MQ_UNSUPPORTED',
            `Kafka cannot purge ${nameOf(target)} while it is consumed: stop its consumers first`,
          )
        }
      }
      let count = 0
      const below: Record<string, { partition: number; offset: number }[]> = {}
      const entries: CommitEntry[] = []
      for (const { topic, partition, commit, end } of await slicesOf(target)) {
        const { pattern, partitions } = parseNotes(commit?.offset ?? 0, commit?.metadata)
        const looks = hasRemovals || (topic === main && pattern !== undefined && pattern !== '#')
        const filter = topic === main ? pattern : undefined
        count += looks
          ? await waitingCount(connection, topic, partition, commit, end, { pattern: filter, due: false })
          : waiting(commit, end)
        if (topic === main && subscription) {
          const metadata = notesAtStart(end.high, { pattern, partitions })
          entries.push({ topic, partition, offset: end.high, metadata })
        } else if (end.high > end.low) (below[topic] ??= []).push({ partition, offset: end.high })
      }
      if (entries.length > 0) await commitFor(connection, group, entries)
      const places = Object.entries(below).flatMap(([topic, list]) =>
        list.map((each) => ({ topic, ...each })),
      )
      for (const { topic, partition, offset } of places) consumer?.purging(topic, partition, offset)
      await deleteRecordsLed(connection, below)
      for (const { topic, partition, offset } of places)
        count -= consumer?.purged(topic, partition, offset) ?? 0
      return Math.max(0, count)
    },
  }
}

/** Records between the commit and the end, those left out that are done already. */
function waiting(commit: Commit | undefined, end: LogEnds): number {
  const base = Math.max(commit?.offset ?? 0, end.low)
  let count = Math.max(0, end.high - base)
  if (commit !== undefined) {
    for (const [from, to] of parseNotes(commit.offset, commit.metadata).done) {
      count -= Math.max(0, Math.min(to, end.high) - Math.max(from, base))
    }
  }
  return Math.max(0, count)
}
