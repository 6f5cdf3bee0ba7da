import { backoffDelay } from './backoff.ts'
import { pause } from './deadline.ts'
import type { Engine } from './engine.ts'
import { ErrorCode } from './error-codes.ts'
import { classify } from './wrap-error.ts'

/** Waits between two attempts to open a receiver. */
export const RETRY_OPEN = { backoff: 'exponential', delayMs: 50, maxDelayMs: 5000, jitter: 0.2 } as const

/**
 * Opens what does no harm when it is opened again: waits out a lost connection, as far as `requestTimeoutMs` goes. Rejects with what
 * failed last.
 */
export async function outlasting<T>(
  { adapter, clock, config, supervisor }: Engine,
  doing: string,
  ended: AbortSignal,
  open: () => Promise<T>,
): Promise<T> {
  const deadline = clock.monotonic() + config.producer.requestTimeoutMs
  const left = () => Math.max(0, deadline - clock.monotonic())
  for (let failures = 1; ; failures++) {
    try {
      if (supervisor.state !== 'connected') await supervisor.ready(doing, left(), true)
      return await open()
    } catch (error) {
      const { code } = classify(adapter, error)
      const away = code === ErrorCode.NOT_CONNECTED && supervisor.state === 'reconnecting'
      const waitMs = backoffDelay(RETRY_OPEN, failures)
      if ((code !== ErrorCode.CONNECTION && !away) || ended.aborted || left() <= waitMs) throw error
      await pause(clock, waitMs, ended)
    }
  }
}
