import { Buffer } from 'node:buffer'
import type { QueueSettings } from '@mq/core/adapter'
import type { RecordParts } from './log/batch-writer.ts'
import type { Connection } from './connection.ts'
import { errorType } from './errors.ts'
import { mayBeLed, pauseForLeader } from './log/moving-leader.ts'
import { readChunk } from './log/scan.ts'
import { ANY_TIME, usualReplicas } from './topics.ts'

/** Where the settings of queues are kept that no topic can hold. */
export const REGISTRY_TOPIC = 'mq.settings'

/** What was read is of a topic that is gone, or was made anew and is shorter. */
const ANOTHER = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
  'OFFSET_OUT_OF_RANGE',
])

export interface Registered {
  readonly settings: QueueSettings
  readonly pattern: string | undefined
}

/** A subscription in the making. */
interface Claim extends Registered {
  /** Where it begins, by partition. */
  readonly starts: readonly number[]
}

export interface Registry {
  /** What a queue or subscription was declared with; `undefined`: nothing is known of it, as of a topic of somebody else. */
  get(key: string): Promise<Registered | undefined>
  /**
   * Several may make one at the same time: the first in the log is the one that counts, for all of them. Answers that one, or what was made
   * meanwhile.
   */
  claim(key: string, entry: Claim): Promise<Claim | Registered>
  /** It is made. Ends claims. */
  set(key: string, entry: Registered): Promise<void>
  /** Keys that begin so, of what is claimed as well. */
  keys(prefix: string): Promise<string[]>
  /** How much was told so far. */
  end(): Promise<number>
  /** Unless more was told of them after that end: of who made anew what was deleted. */
  remove(keys: readonly string[], end: number): Promise<void>
  /** Whether records of a queue were taken out of the middle of its log: others behind them say so. */
  hasRemovals(queue: string): Promise<boolean>
  willHaveRemovals(queue: string): Promise<void>
}

export function removalsKey(queue: string): string {
  return `removals:${queue}`
}

/** What the key of a claim begins with. */
const CLAIM = 'claim:'

export interface RegistrySetup {
  connection(): Connection
  /** Makes the topic unless it is there. */
  ensureTopic(
    name: string,
    partitions: number,
    replicas: number,
    config: Readonly<Record<string, string>>,
  ): Promise<unknown>
  produceTo(topic: string, partition: number, records: readonly RecordParts[]): Promise<void>
}

/** A compacted topic, one record per queue: read from where the last look ended. */
export function createRegistry(setup: RegistrySetup): Registry {
  const entries = new Map<string, Registered>()
  const claims = new Map<string, Claim>()
  /** Where something was told last of each key that is in one of them. */
  const places = new Map<string, number>()
  let at = 0
  /** Whose log was read up to there. */
  let topicId = ''
  let of: Connection | null = null
  let reading: Promise<void> = Promise.resolve()
  /** The look that has not begun: who asks before it does needs none of their own. */
  let next: Promise<void> | null = null

  const ensure = (): Promise<unknown> => {
    return setup.ensureTopic(REGISTRY_TOPIC, 1, usualReplicas(setup.connection()), {
      'cleanup.policy': 'compact',
      ...ANY_TIME,
    })
  }

  const learn = (key: string, entry: Registered | null, place: number): void => {
    const isClaim = key.startsWith(CLAIM)
    const name = isClaim ? key.slice(CLAIM.length) : key
    if (isClaim) {
      if (entry === null) claims.delete(name)
      else if (!claims.has(name)) claims.set(name, entry as Claim)
    } else if (entry === null) entries.delete(key)
    else entries.set(key, entry)
    if (entries.has(name) || claims.has(name)) places.set(name, place)
    else places.delete(name)
  }

  const forget = (): void => {
    entries.clear()
    claims.clear()
    places.clear()
    at = 0
  }

  const read = async (again = true): Promise<void> => {
    const connection = setup.connection()
    // Another cluster may answer.
    if (of !== connection) forget()
    of = connection
    try {
      for (;;) {
        if ((await connection.topic(REGISTRY_TOPIC)) === null) return forget()
        const chunk = await readChunk(connection, REGISTRY_TOPIC, 0, at)
        if (chunk.topicId !== topicId) {
          topicId = chunk.topicId
          const skipped = at > 0
          forget()
          if (skipped) continue
        }
        for (const { key, value, offset } of chunk.records) {
          if (key !== null) learn(key.toString(), value === null ? null : parse(value), offset)
        }
        at = chunk.next
        if (chunk.records.length === 0 || at >= chunk.highWatermark) return
      }
    } catch (error) {
      if (!again || !ANOTHER.has(errorType(error) ?? '')) throw error
      forget()
      connection.forgetTopic(REGISTRY_TOPIC)
      await read(false)
    }
  }

  const write = async (records: readonly RecordParts[]): Promise<void> => {
    for (let tries = 0; ; tries++) {
      await ensure()
      try {
        await setup.produceTo(REGISTRY_TOPIC, 0, records)
        return
      } catch (error) {
        if (!mayBeLed(setup.connection(), error, tries)) throw error
        await pauseForLeader(tries)
      }
    }
  }

  // Letters leave most dead-letter queues so, sooner or later: those of the usual name need no entry.
  const isUsual = (queue: string): boolean => queue.endsWith('.dlq')
  const refresh = (): Promise<void> => {
    next ??= reading = reading
      .catch(() => undefined)
      .then(() => {
        next = null
        return read()
      })
    return next
  }
  const record = (key: string, entry: Registered | null): RecordParts => {
    const value = entry === null ? null : Buffer.from(JSON.stringify(entry))
    return { timestamp: Date.now(), key, value, headers: [] }
  }

  const registry: Registry = {
    async get(key) {
      await refresh()
      return entries.get(key)
    },
    async claim(key, entry) {
      await write([record(CLAIM + key, entry)])
      await refresh()
      return entries.get(key) ?? claims.get(key) ?? entry
    },
    set: (key, entry) => write([record(key, entry), record(CLAIM + key, null)]),
    async keys(prefix) {
      await refresh()
      return [...new Set([...entries.keys(), ...claims.keys()])].filter((key) => key.startsWith(prefix))
    },
    async end() {
      await refresh()
      return at
    },
    async remove(keys, end) {
      const listed = await registry.keys('')
      const gone = keys.filter((key) => listed.includes(key) && (places.get(key) ?? 0) < end)
      if (gone.length > 0) await write(gone.flatMap((key) => [record(key, null), record(CLAIM + key, null)]))
    },
    async hasRemovals(queue) {
      if (isUsual(queue)) return true
      await refresh()
      return entries.has(removalsKey(queue))
    },
    async willHaveRemovals(queue) {
      if (await registry.hasRemovals(queue)) return
      const value = Buffer.from('{}')
      await write([{ timestamp: Date.now(), key: removalsKey(queue), value, headers: [] }])
    },
  }
  return registry
}

function parse(value: Buffer): Registered | null {
  try {
    return JSON.parse(value.toString()) as Registered
  } catch {
    return null
  }
}
