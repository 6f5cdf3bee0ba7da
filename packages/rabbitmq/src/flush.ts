import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
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

/** Commands that a channel has under way with a queue's leader: the others wait in the channel, and end with it. (rabbit_fifo_client's soft limit) */
const UNDER_WAY = 32

/** For so long the number of consumers must not have fallen. */
const QUIET_MS = 500

/** The same for messages that were got, of which each is a consumer at the server until its settlement is taken, by a command of its own. */
export async function flushGot(
  connection: Connection,
  channel: Channel,
  queue: string,
  n: number,
  role: Role,
): Promise<void> {
  await flush(connection, channel, queue, n, role)
  if (n <= UNDER_WAY) return
  let left = Number.POSITIVE_INFINITY
  for (let since = performance.now(); performance.now() - since < QUIET_MS; await pause(10)) {
    const { consumerCount } = await connection.admin((admin) => admin.checkQueue(queue), role)
    if (consumerCount < left) since = performance.now()
    left = consumerCount
  }
}

/** Waits, not for long, until at least `n` messages are ready. Never rejects. */
export async function untilReady(count: () => Promise<number>, n: number): Promise<void> {
  const end = performance.now() + READY_WITHIN_MS
  try {
    while ((await count()) < n && performance.now() < end) await pause(5)
  } catch {
    // Gone, or nobody to ask: then there is nothing to wait for.
  }
}
