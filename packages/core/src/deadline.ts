import type { Clock } from './adapter/clock.ts'
import { sharedController } from './adapter/shared-controller.ts'
import { ErrorCode } from './error-codes.ts'
import { MessageQueueError } from './errors.ts'
import type { SpareSignals } from './spare-signals.ts'

/**
 * Runs `operation` with a signal that aborts after `ms`, and settles then at the latest, whether the operation heeds its signal or
 * not: every wait for a broker has an end. Rejects with `MQ_TIMEOUT` naming `what`; a late result is handed to `late`. The signal is one of `spares`, if
 * there are any.
 */
export function withDeadline<T>(
  clock: Required<Clock>,
  ms: number,
  what: string,
  operation: (signal: AbortSignal) => Promise<T>,
  late?: (result: T) => void,
  spares?: SpareSignals,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const deadline = deadlineIn(clock, ms, spares)
    const passed = (): void => reject(timedOut(what, ms))
    deadline.waiting.add(passed)
    const inTime = (): boolean => {
      if (!deadline.waiting.delete(passed)) return false
      if (deadline.waiting.size === 0) deadline.over()
      return true
    }
    let running: Promise<T>
    try {
      running = operation(deadline.controller.signal)
    } catch (error) {
      running = Promise.reject(error)
    }
    running.then(
      (result) => {
        if (inTime()) resolve(result)
        else late?.(result)
      },
      (error: unknown) => {
        const { signal } = deadline.controller
        if (inTime()) reject(signal.aborted && error === signal.reason ? timedOut(what, ms) : error)
      },
    )
  })
}

/** One timer and one signal for the calls that begin in the same millisecond and may take as long: of many small calls they would be a large part of the cost. */
interface Deadline {
  readonly clock: Clock
  readonly ms: number
  readonly endsAt: number
  readonly controller: AbortController
  /** What to do for each call that is not settled by then. */
  readonly waiting: Set<() => void>
  readonly spares: SpareSignals | undefined
  over(): void
}

let latest: Deadline | null = null

function deadlineIn(clock: Required<Clock>, ms: number, spares: SpareSignals | undefined): Deadline {
  const endsAt = clock.monotonic() + ms
  const known = latest
  const fits = known?.endsAt === endsAt && known.ms === ms && known.clock === clock && known.spares === spares
  if (fits) return known
  const controller = spares?.take() ?? sharedController()
  const waiting = new Set<() => void>()
  const timer = clock.setTimeout(() => {
    // By a clock that does not clear its timers: the signal is another call's by now.
    if (waiting.size === 0) return
    if (latest === deadline) latest = null
    controller.abort(timedOut('the call', ms))
    // A turn later: an operation that heeds the signal answers with what it knows.
    setImmediate(() => {
      for (const passed of waiting) passed()
      waiting.clear()
    })
  }, ms)
  const over = (): void => {
    if (latest === deadline) latest = null
    clock.clearTimeout(timer)
    spares?.giveBack(controller)
  }
  const deadline: Deadline = { clock, ms, endsAt, controller, waiting, spares, over }
  latest = deadline
  return deadline
}

function timedOut(what: string, ms: number): MessageQueueError {
  return new MessageQueueError(`${what} took longer than ${ms} ms`, { code: ErrorCode.TIMEOUT })
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
