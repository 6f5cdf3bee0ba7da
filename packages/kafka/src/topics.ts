import { performance } from 'node:perf_hooks'
import { AdapterError } from '@mq/core/adapter'
import { pause } from './abort.ts'
import type { Link } from './client.ts'
import { type Connection, isAway } from './connection.ts'
import { errorType } from './errors.ts'
import { offsetsOf } from './log/offsets.ts'
import type { TopicInfo } from './log/protocol.ts'

/** A topic's setting that takes records of any time: Kafka else refuses what lies an hour ahead. */
export const ANY_TIME = { 'message.timestamp.after.max.ms': '9223372036854775807' } as const
/** Source of a setting: the topic itself, and no default. */
const SET_ON_TOPIC = 1
/** Room for what a copy of a message has more than its original: why and when it failed, when it is due. */
const COPY_BYTES = 32 * 1024
/** Of a setting. */
const MOST_BYTES = 2 ** 31 - 1
const GONE = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID'])
const POLL_MS = 5
/** How long it takes a cluster to do without a broker, and a little more, in ms. */
const TAKEN_OVER_MS = 12_000
const AWAY_MS = 100
const TRIES = 1_000

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  readonly replicas: number
  readonly config: Readonly<Record<string, string>>
}

/** Replicas of a topic of our own: as many as Kafka keeps of its own topics, where there are so many brokers. */
export function usualReplicas({ mostBrokers }: Connection): number {
  return Math.min(3, Math.max(1, mostBrokers))
}

/** Settings of a topic that forgets nothing; `more` are the broker's own, by their names. */
export function keepingConfig(more: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  const config: Record<string, string> = {
    'retention.ms': '-1',
    'retention.bytes': '-1',
    ...ANY_TIME,
  }
  for (const [name, value] of Object.entries(more)) config[name] = String(value)
  return config
}

/**
 * Makes what is not there; resolves when each has leaders that know it. Answers the names of those made by this call; `meanwhile` runs
 * while they get their leaders.
 */
export async function createTopics(
  connection: Connection,
  specs: readonly TopicSpec[],
  meanwhile: (made: ReadonlySet<string>) => Promise<void> = () => Promise.resolve(),
): Promise<Set<string>> {
  const made = new Set<string>()
  let left = specs
  for (let tries = 0; left.length > 0; tries++) {
    const again: TopicSpec[] = []
    const errors = await requestTopics(connection, left)
    for (const spec of left) {
      const error = errors.get(spec.name)
      const type = errorType(error)
      if (error === undefined) made.add(spec.name)
      else if (type === 'INVALID_TOPIC_EXCEPTION') throw alike(spec.name, error)
      else if (type !== 'TOPIC_ALREADY_EXISTS') {
        // A broker that is away for a moment, a controller that moved.
        const passing =
          type === 'NOT_CONTROLLER' ||
          type === 'UNKNOWN_TOPIC_OR_PARTITION' ||
          (type === 'INVALID_REPLICATION_FACTOR' && spec.replicas <= connection.mostBrokers)
        if (!passing || tries >= TRIES) throw error
        again.push(spec)
      }
    }
    left = again
    if (left.length > 0) {
      await connection.topics([], true).catch(() => undefined)
      await pause(POLL_MS)
    }
  }
  const names = specs.map(({ name }) => name)
  await Promise.all([untilLed(connection, names), meanwhile(made)])
  return made
}

/** What may be asked twice: once more, for a while, where the broker that was asked went away, as another takes its place. */
async function ofController<T>(connection: Connection, call: (link: Link) => Promise<T>): Promise<T> {
  for (const until = performance.now() + TAKEN_OVER_MS; ;) {
    try {
      return await call(await connection.controller())
    } catch (error) {
      if (!isAway(connection, error) || performance.now() >= until) throw error
      await pause(AWAY_MS)
      // Who it is now.
      await connection.topics([], true).catch(() => undefined)
    }
  }
}

/** All else that a name may not be is refused before. */
function alike(name: string, cause: unknown): AdapterError {
  return new AdapterError(
    'MQ_VALIDATION',
    `Kafka makes no topic "${name}" beside one whose name differs only in dots and underscores (as "${name.replaceAll('.', '_')}" would): rename that one, ` +
      'or what this one is made for',
    { cause },
  )
}

async function requestTopics(
  connection: Connection,
  specs: readonly TopicSpec[],
): Promise<Map<string, unknown>> {
  const topics = specs.map(({ name, partitions, replicas, config }) => ({
    topic: name,
    numPartitions: partitions,
    replicationFactor: replicas,
    configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
  }))
  const timeout = connection.options.requestTimeoutMs
  try {
    await ofController(connection, (link) =>
      link.call('CreateTopics', { topics, validateOnly: false, timeout }),
    )
    return new Map()
  } catch (error) {
    const inner = (error as { errors?: readonly { topic?: string }[] }).errors
    if (!Array.isArray(inner)) throw error
    return new Map(inner.map((each: { topic?: string }) => [each.topic ?? '', each]))
  }
}

/** At most as long as they are there: another may delete what was just made. */
async function untilLed(connection: Connection, names: readonly string[]): Promise<void> {
  let seen = false
  for (let tries = 0; tries < TRIES; tries++) {
    const known = await connection.topics(names, true)
    const all = names.every((name) => known.has(name))
    if (seen && !all) return
    seen = all
    const led = names.every((name) => {
      const leaders = known.get(name)?.leaders ?? []
      return leaders.length > 0 && leaders.every((leader) => leader >= 0)
    })
    if (led) {
      // They are named before they know it themselves.
      await offsetsOf(connection, partsOf(known, names)).catch((error: unknown) => {
        if (!GONE.has(errorType(error) ?? '')) throw error
      })
      return
    }
    await pause(POLL_MS)
  }
}

/** Deletes a topic, if it is there, and waits until it is gone, or is another one by that name. */
export async function deleteTopic(connection: Connection, topic: string): Promise<void> {
  const before = await connection.topic(topic, true)
  if (before === null) return
  const timeout = connection.options.requestTimeoutMs
  try {
    await ofController(connection, (link) => link.call('DeleteTopics', { topics: [topic], timeout }))
  } catch (error) {
    // Another deletes it at the same time: some answer so of one that is going.
    if (!GONE.has(errorType(error) ?? '')) throw error
  }
  for (let tries = 0; tries < TRIES; tries++) {
    const now = await connection.topic(topic, true)
    if (now?.id !== before.id) return
    await pause(POLL_MS)
  }
}

export async function configOf(connection: Connection, topic: string): Promise<Map<string, string | null>> {
  return new Map((await entriesOf(connection, topic)).map((each) => [each.configName, each.configValue]))
}

/** What somebody set on a topic, as far as it has to hold where its messages go as well. Nothing where that may not be asked. */
export async function passedOn(
  connection: Connection,
  topic: string,
  replicas: number,
): Promise<Record<string, string>> {
  const entries = await entriesOf(connection, topic).catch(() => [])
  const config: Record<string, string> = {}
  for (const { configName, configValue, configSource } of entries) {
    if (configSource !== SET_ON_TOPIC || configValue === null) continue
    // More than there are would refuse everything.
    if (configName === 'min.insync.replicas' && Number(configValue) <= replicas)
      config[configName] = configValue
    if (configName === 'max.message.bytes')
      config[configName] = String(Math.min(Number(configValue) + COPY_BYTES, MOST_BYTES))
  }
  return config
}

/** Whether this library made a topic, by what it sets on each. Not where that may not be asked. */
export async function madeHere(connection: Connection, topic: string): Promise<boolean> {
  const entries = await entriesOf(connection, topic).catch(() => [])
  return Object.entries(ANY_TIME).every(([name, value]) =>
    entries.some(
      (each) => each.configName === name && each.configValue === value && each.configSource === SET_ON_TOPIC,
    ),
  )
}

interface ConfigEntry {
  readonly configName: string
  readonly configValue: string | null
  readonly configSource: number
}

async function entriesOf(connection: Connection, topic: string): Promise<readonly ConfigEntry[]> {
  type Answer = { readonly resources: readonly { readonly configEntries: readonly ConfigEntry[] }[] }
  const args = { resources: [{ type: 2, name: topic }], includeSynonyms: false }
  const answer = await ofController(connection, (link) => link.call<Answer>('DescribeConfigs', args))
  return answer.resources[0]?.configEntries ?? []
}

/** Every partition of these topics, as far as they are there. */
export function partsOf(
  known: ReadonlyMap<string, TopicInfo>,
  names: readonly string[],
): Record<string, number[]> {
  const parts: Record<string, number[]> = {}
  for (const name of names) {
    const info = known.get(name)
    if (info !== undefined) parts[name] = info.leaders.map((_, partition) => partition)
  }
  return parts
}
