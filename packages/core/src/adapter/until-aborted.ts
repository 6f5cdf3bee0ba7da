import { onAbort } from './on-abort.ts'

/** The call's answer, or the signal's reason as a rejection, whichever comes first. The call itself goes on, and may fail unheard. */
export function untilAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    const answered = onAbort(signal, abort)
    call.then(
      (value) => {
        answered()
        resolve(value)
      },
      (error: unknown) => {
        answered()
        reject(error)
      },
    )
    // An answer that is there already comes first.
    if (signal.aborted) queueMicrotask(abort)
  })
}

/** Waits for something to end, however, at most until the signal aborts. Never rejects. */
export async function atMost(call: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await untilAborted(call, signal).catch(() => undefined)
}
