import { sharedController } from '@mq/core/adapter'

/** Longest wait of a timer, in ms; a longer one is over at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

export const NEVER: AbortSignal = sharedController().signal

/** Waits for something to end, at most for `ms`, and at most until the signal aborts. Never rejects. */
export async function within(call: Promise<unknown>, ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  const stop = (): void => over.abort()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    await Promise.race([call.catch(() => undefined), pause(ms, over.signal)])
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}

/** Resolves after `ms`, or at once on abort. Keeps no process alive. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms)
    timer.unref()
    function end(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    if (signal?.aborted) end()
    else signal?.addEventListener('abort', end, { once: true })
  })
}
