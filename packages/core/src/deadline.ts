import type { Clock } from './adapter/clock.ts'
import { ErrorCode } from './error-codes.ts'
import { MessageQueueError } from './errors.ts'

/**
 * Runs `operation` with a signal that aborts after `ms`, and settles then at the latest, whether the operation heeds its signal or
 * not: every wait for a broker has an end. Rejects with `MQ_TIMEOUT` naming `what`; a late result is handed to `late`.
 */
export function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  operation: (signal: AbortSignal) => Promise<T>,
  late?: (result: T) => void,
): Promise<T> {
  const controller = new AbortController()
  const abort = (error: Error) => controller.abort(error)
  return endWithin(clock, ms, what, () => operation(controller.signal), late, abort)
}

/** The same for an operation that takes no signal. */
export function endWithin<T>(
  clock: Clock,
  ms: number,
  what: string,
  operation: () => Promise<T>,
  late?: (result: T) => void,
  abort?: (error: Error) => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let settled = false
    const timer = clock.setTimeout(() => {
      const error = new MessageQueueError(`${what} took longer than ${ms} ms`, { code: ErrorCode.TIMEOUT })
      abort?.(error)
      // A turn later: an operation that heeds the signal answers with what it knows.
      setImmediate(() => {
        if (settled) return
        settled = true
        reject(error)
      })
    }, ms)
    const settle = () => {
      if (settled) return false
      settled = true
      clock.clearTimeout(timer)
      return true
    }
    let running: Promise<T>
    try {
      running = operation()
    } catch (error) {
      running = Promise.reject(error)
    }
    running.then(
      (result) => {
        if (settle()) resolve(result)
        else late?.(result)
      },
      (error: unknown) => {
        if (settle()) reject(error)
      },
    )
  })
}

/** Waits `ms`. As other timers it keeps no process alive: that is for the connection that is waited for. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimeout(resolve, ms))
}

/**
 * Waits `ms`, or until the signal aborts; never rejects. Keeps the process alive meanwhile, unlike other timers: between two attempts
 * to reconnect there is no socket that would, and a process that only consumes is to outlive its broker's absence.
 */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      clock.clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.setTimeout(done, ms)
    // A clock of a test has handles of its own.
    ;(timer as { ref?: () => unknown } | null | undefined)?.ref?.()
    signal.addEventListener('abort', done)
  })
}
