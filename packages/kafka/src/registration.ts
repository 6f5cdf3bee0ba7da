import { performance } from 'node:perf_hooks'
import type { QueueSettings } from '@mq/core/adapter'
import { pause } from './abort.ts'
import type { Connection } from './connection.ts'
import { compareTopic } from './differences.ts'
import { classify } from './errors.ts'
import { offsetsOfLed } from './log/offsets.ts'
import type { TopicInfo } from './log/protocol.ts'
import { isLater } from './names.ts'
import type { Registered, Registry } from './registry.ts'
import { madeHere, partsOf } from './topics.ts'

/** How long it is waited for whoever makes a queue to tell its settings, in ms. */
const SOON_MS = 5_000
const AGAIN_MS = 50

/**
 * What a queue was declared with whose topic is there; `undefined`: it is somebody else's. Its settings are told once the topic is made: whoever comes
 * between waits for them. Where they do not come, their maker was cut off: then what is asked for now holds, as the first says who asks.
 */
export async function registrationOf(
  connection: Connection,
  registry: Registry,
  key: string,
  info: TopicInfo,
  settings: QueueSettings,
): Promise<Registered | undefined> {
  let registered = await registry.get(key)
  if (registered !== undefined || isLater(info.name)) return registered
  // What was written meanwhile was written by those who know.
  if (!(await isJustMade(connection, info))) return registry.get(key)
  for (const until = performance.now() + SOON_MS; performance.now() < until;) {
    await pause(AGAIN_MS)
    registered = await registry.get(key)
    if (registered !== undefined) return registered
  }
  return (await compareTopic(connection, info, settings)).length > 0
    ? undefined
    : adopt(registry, key, settings)
}

/** Made by this library, and nothing was ever written to it. */
async function isJustMade(connection: Connection, info: TopicInfo): Promise<boolean> {
  if (!(await madeHere(connection, info.name))) return false
  const parts = partsOf(new Map([[info.name, info]]), [info.name])
  const ends = await offsetsOfLed(connection, parts).catch(() => null)
  return ends !== null && [...ends.values()].every(({ high }) => high === 0)
}

async function adopt(
  registry: Registry,
  key: string,
  settings: QueueSettings,
): Promise<Registered | undefined> {
  try {
    const first = await registry.claim(key, { settings, pattern: undefined, starts: [] })
    if (!('starts' in first)) return first
    const told = { settings: first.settings, pattern: undefined }
    await registry.set(key, told)
    return told
  } catch (error) {
    // Whoever may only read takes it as it is.
    if (classify(error).code === 'MQ_AUTHENTICATION') return undefined
    throw error
  }
}
