import type { QueueSettings } from '@mq/core/adapter'
import { pause } from './abort.ts'
import type { RecordParts } from './log/batch-writer.ts'
import type { Connection } from './connection.ts'
import { leaderMoves } from './errors.ts'
import { readChunk } from './log/scan.ts'

/** Where the settings of queues are kept that no topic can hold. */
export const REGISTRY_TOPIC = 'mq.settings'

const TRIES = 100
const AGAIN_MS = 25
const MOST_MS = 250

export interface Registered {
  readonly settings: QueueSettings
  readonly pattern: string | undefined
}

export interface Registry {
  /** What a queue or subscription was declared with; `undefined`: nothing is known of it, as of a topic of somebody else. */
  get(key: string): Promise<Registered | undefined>
  set(key: string, entry: Registered): Promise<void>
  remove(keys: readonly string[]): Promise<void>
}

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
  let entries = new Map<string, Registered>()
  let at = 0
  let of: Connection | null = null
  let reading: Promise<void> = Promise.resolve()

  const ensure = (): Promise<unknown> => {
    const replicas = Math.min(3, Math.max(1, setup.connection().mostBrokers))
    return setup.ensureTopic(REGISTRY_TOPIC, 1, replicas, {
      'cleanup.policy': 'compact',
      'message.timestamp.after.max.ms': '9223372036854775807',
    })
  }

  const read = async (): Promise<void> => {
    const connection = setup.connection()
    if (of !== connection) {
      // Another cluster may answer, or the topic may be another one.
      entries = new Map()
      at = 0
      of = connection
    }
    if ((await connection.topic(REGISTRY_TOPIC)) === null) return
    for (;;) {
      const { records, next, highWatermark } = await readChunk(connection, REGISTRY_TOPIC, 0, at)
      for (const { key, value } of records) {
        if (key === null) continue
        const parsed = value === null ? null : parse(value)
        if (parsed === null) entries.delete(key.toString())
        else entries.set(key.toString(), parsed)
      }
      at = next
      if (records.length === 0 || at >= highWatermark) return
    }
  }

  const write = async (records: readonly RecordParts[]): Promise<void> => {
    for (let tries = 0; ; tries++) {
      await ensure()
      try {
        await setup.produceTo(REGISTRY_TOPIC, 0, records)
        return
      } catch (error) {
        if (tries >= TRIES || !leaderMoves(error)) throw error
        await pause(Math.min(tries * AGAIN_MS, MOST_MS))
      }
    }
  }

  return {
    async get(key) {
      reading = reading.catch(() => undefined).then(read)
      await reading
      return entries.get(key)
    },
    set: (key, entry) =>
      write([{ timestamp: Date.now(), key, value: Buffer.from(JSON.stringify(entry)), headers: [] }]),
    async remove(keys) {
      if ((await setup.connection().topic(REGISTRY_TOPIC)) === null) return
      await write(keys.map((key) => ({ timestamp: Date.now(), key, value: null, headers: [] })))
    },
  }
}

function parse(value: Buffer): Registered | null {
  try {
    return JSON.parse(value.toString()) as Registered
  } catch {
    return null
  }
}
