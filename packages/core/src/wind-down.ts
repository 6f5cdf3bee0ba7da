import type { Parts } from './assembly.ts'
import type { StopResult } from './stop-options.ts'

/** How long `disconnect` waits for running handlers unless told otherwise. */
export const DRAIN_MS = 30_000

/** How long what was sent may take to be confirmed, when handlers had so long to end. Both in ms. */
function flushMs(timeoutMs: number): number {
  return Math.max(1000, timeoutMs)
}

/** Of one under way: another call may have less time. */
export function hurry({ consumers, outbox }: Parts, timeoutMs: number): void {
  void consumers.stop(timeoutMs)
  outbox.limitFlush(timeoutMs + flushMs(timeoutMs))
}

/** Ends the parts in their order, while the connection may still be used: nothing new comes in, and what was sent goes out. */
export async function windDown(
  { consumers, receiving, outbox, requests, engine }: Parts,
  timeoutMs: number,
): Promise<StopResult> {
  receiving.end()
  const flush = outbox.beginFlush()
  const { clock } = engine
  const until = clock.monotonic() + timeoutMs
  const result = await consumers.stop(timeoutMs)
  await receiving.close(until - clock.monotonic())
  // Without a connection nothing can be flushed: what waits is rejected as the connection closes.
  flush.limit(engine.supervisor.state === 'connected' ? flushMs(timeoutMs) : 0)
  await flush.wait()
  await requests.close()
  return result
}
