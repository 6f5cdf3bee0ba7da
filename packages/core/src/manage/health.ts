import { performance } from 'node:perf_hooks'
import type { Consumer, ConsumerStats } from '../consume/consumer.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import type { ConnectionState } from '../supervisor.ts'
import { wrapError } from '../wrap-error.ts'

export interface Health {
  readonly healthy: boolean
  readonly broker: string
  /** Of one round trip, in ms; `null` when there was none. */
  readonly latencyMs: number | null
  readonly connection: ConnectionState
  readonly consumers: readonly ConsumerStats[]
  /** What the server tells about itself, e.g. its version and its durability; absent where the adapter does not ask. */
  readonly details?: Readonly<Record<string, string>>
  /** What is wrong, and only then. */
  readonly error?: string
}

const PING_MS = 5000

/** One round trip on the live connection, and a look at the consumers. Never rejects. */
export async function checkHealth(engine: Engine, running: readonly Consumer[]): Promise<Health> {
  const { supervisor, config, clock } = engine
  const adapter = supervisor.loadedAdapter
  const base = {
    broker: adapter?.broker ?? config.broker,
    connection: supervisor.state,
    consumers: running.map((consumer) => consumer.stats()),
  }
  if (adapter === null || supervisor.state !== 'connected') {
    const error = supervisor.failure?.message ?? `not connected (${supervisor.state})`
    return { healthy: false, latencyMs: null, ...base, error }
  }
  const known = adapter.details === undefined ? base : { ...base, details: adapter.details }
  const startedAt = performance.now()
  try {
    await withDeadline(clock, PING_MS, 'the health check', (signal) => adapter.ping(signal))
  } catch (error) {
    return {
      healthy: false,
      latencyMs: null,
      ...known,
      error: wrapError(adapter, error, 'The broker does not answer').message,
    }
  }
  const latencyMs = performance.now() - startedAt
  const problem =
    supervisor.blocked === null
      ? stuckConsumer(base.consumers)
      : `the broker accepts no messages: ${supervisor.blocked}`
  return problem === null
    ? { healthy: true, latencyMs, ...known }
    : { healthy: false, latencyMs, ...known, error: problem }
}

function stuckConsumer(consumers: readonly ConsumerStats[]): string | null {
  const stuck = consumers.filter((consumer) => consumer.stuck).map(({ queue }) => queue)
  return stuck.length === 0
    ? null
    : `no progress on ${stuck.join(', ')}: a handler does not return, or the queue cannot be read`
}
