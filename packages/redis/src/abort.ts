import { setMaxListeners } from 'node:events'

/** The call's answer, or the signal's reason as a rejection, whichever comes first. The call itself goes on. */
export async function untilAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  call.catch(() => undefined)
  let abort: (() => void) | undefined
  try {
    return await Promise.race([
      call,
      new Promise<never>((_, reject) => {
        abort = () => reject(signal.reason as Error)
        if (signal.aborted) abort()
        else signal.addEventListener('abort', abort, { once: true })
      }),
    ])
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort)
  }
}

/** Waits for something to end, however, at most until the signal aborts. Never rejects. */
export async function atMost(call: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await untilAborted(call, signal).catch(() => undefined)
}

/** Runs something with a signal that any number may listen to, Node's warning about eleven listeners notwithstanding. */
export async function withShared<T>(
  signal: AbortSignal,
  run: (shared: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
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
