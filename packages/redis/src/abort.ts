import { sharedController } from '@mq/core/adapter'

/** Runs something with a signal that any number may listen to, Node's warning about eleven listeners notwithstanding. */
export async function withShared<T>(
  signal: AbortSignal,
  run: (shared: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = sharedController()
  const abort = (): void => controller.abort(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  try {
    return await run(controller.signal)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Resolves after so many ms; rejects when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      if (signal.aborted) reject(signal.reason as Error)
      else resolve()
    }
    const timer = setTimeout(done, ms)
    if (signal.aborted) done()
    else signal.addEventListener('abort', done, { once: true })
  })
}
