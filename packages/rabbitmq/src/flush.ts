import { performance } from 'node:perf_hooks'
import type { Channel } from 'amqplib'
import type { Connection, Role } from './connection.ts'

/** Acknowledgements that a quorum queue's leader takes at a time. */
const AT_A_TIME = 16

/** How long what was given back may take to be counted as ready. */
const READY_WITHIN_MS = 250

/**
 * A quorum queue takes acknowledgements and what is given back only after everything else that waits, subscriptions included. Once its leader
 * has answered a few questions it has taken them. `n`: how many there were.
 */
export async function flush(
  connection: Connection,
  channel: Channel,
  queue: string,
  n: number,
  role: Role,
): Promise<void> {
  await connection.rpc(channel.prefetch(1), 'flushing')
  for (let i = 0; i <= Math.ceil(n / AT_A_TIME); i++)
    await connection.admin((admin) => admin.checkQueue(queue), role)
}

/** Waits, not for long, until at least `n` messages are ready. Never rejects. */
export async function untilReady(count: () => Promise<number>, n: number): Promise<void> {
  const end = performance.now() + READY_WITHIN_MS
  try {
    while ((await count()) < n && performance.now() < end)
      await new Promise<void>((resolve) => setTimeout(resolve, 5))
  } catch {
    // Gone, or nobody to ask: then there is nothing to wait for.
  }
}
