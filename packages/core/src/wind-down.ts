import type { Parts } from './assembly.ts'
import type { StopResult } from './stop-options.ts'

/** How long `disconnect` waits for running handlers unless told otherwise. */
export const DRAIN_MS = 30_000

/** Ends the parts in their order, while the connection may still be used: nothing new comes in, and what was sent goes out. */
export async function windDown(
  { consumers, receiving, outbox, requests, engine }: Parts,
  timeoutMs: number,
): Promise<StopResult> {
  receiving.end()
  const { clock } = engine
  const until = clock.monotonic() + timeoutMs
  const result = await consumers.stop(timeoutMs)
  await receiving.close(until - clock.monotonic())
  // Without a connection nothing can be flushed: what waits is rejected as the connection closes.
  if (engine.supervisor.state === 'connected') await outbox.flush(Math.max(1000, timeoutMs))
  await requests.close()
  return result
}
