import { isDeepStrictEqual } from 'node:util'
import {
  AdapterError,
  ErrorCode,
  type Declaration,
  type DeclareTarget,
  type Difference,
  type QueueSettings,
  type Target,
} from '../adapter/index.ts'
import { nameOf, type MemoryBroker } from './broker.ts'
import type { Connection } from './connection.ts'
import type { QueueStore } from './queue.ts'

/** Makes a queue, topic or subscription, or takes (`compare`: compares) the one that is there. */
export function declare(
  broker: MemoryBroker,
  connection: Connection,
  target: DeclareTarget,
  declaration: Declaration,
): QueueSettings {
  const { settings, pattern, ifExists } = declaration
  refuseArguments(settings)
  if ('topic' in target && !('subscription' in target)) {
    broker.addTopic(target.topic)
    return settings
  }
  const existing = broker.find(target)
  if (existing === undefined) {
    const made = broker.add(target, settings, pattern, connection)
    // An exclusive queue ends with its connection.
    if (settings.exclusive) connection.onClose(() => broker.removeStore(target, made))
    return settings
  }
  checkOwner(existing, connection)
  existing.usedAt = broker.clock.monotonic()
  if (ifExists === 'compare') refuseDifferences(target, existing, settings, pattern)
  return existing.settings
}

/** Those that mean the same on every broker are settings by now; what is left would be for a server. */
function refuseArguments(settings: QueueSettings): void {
  const names = Object.keys(settings.arguments)
  if (names.length === 0) return
  throw new AdapterError(
    ErrorCode.UNSUPPORTED,
    `memory cannot honour the queue argument ${names.map((name) => JSON.stringify(name)).join(', ')}: leave it out here`,
  )
}

/** An exclusive queue is its connection's alone. */
export function checkOwner(store: QueueStore, connection: Connection): void {
  if (!store.settings.exclusive || store.owner === connection) return
  throw new AdapterError(
    ErrorCode.QUEUE_CONFLICT,
    `${store.name} is exclusive, and belongs to another connection`,
  )
}

function refuseDifferences(
  target: Target,
  store: QueueStore,
  settings: QueueSettings,
  pattern: string | undefined,
): void {
  const differences: Difference[] = []
  for (const field of Object.keys(settings) as (keyof QueueSettings)[]) {
    const [existing, requested] = [store.settings[field], settings[field]]
    if (!isDeepStrictEqual(existing, requested)) differences.push({ field, existing, requested })
  }
  if (store.pattern !== pattern)
    differences.push({ field: 'pattern', existing: store.pattern, requested: pattern })
  if (differences.length === 0) return
  const list = differences.map(
    ({ field, existing, requested }) => `${field} is ${show(existing)}, not ${show(requested)}`,
  )
  throw new AdapterError(ErrorCode.QUEUE_CONFLICT, `${nameOf(target)} exists: ${list.join('; ')}`, {
    differences,
  })
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}
