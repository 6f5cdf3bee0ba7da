/** Where time comes from: the system, or a test that makes a month pass at once. */
export interface Clock {
  /** ms since the epoch, for what other processes read. The system's time of day may be set, and then jumps. */
  now(): number
  /** Whole ms since whenever, for how long something takes: these never jump. Default: `now`, of a clock that nobody sets. */
  monotonic?(): number
  /** Must not keep the process alive. */
  setTimeout(fn: () => void, ms: number): unknown
  clearTimeout(handle: unknown): void
}

/** Longest wait that a timer of Node takes, in ms; a longer one is over at once: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

export const systemClock: Required<Clock> = {
  now: () => Date.now(),
  // The global one: whoever replaces timers and Date for a test replaces it as well.
  monotonic: () => Math.floor(globalThis.performance.now()),
  setTimeout: (fn, ms) => setTimeout(fn, Math.min(ms, LONGEST_TIMER_MS)).unref(),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
}

/** The clock with what it may leave out. */
export function completeClock(clock: Clock): Required<Clock> {
  if (clock.monotonic !== undefined) return clock as Required<Clock>
  return {
    now: () => clock.now(),
    monotonic: () => clock.now(),
    setTimeout: (fn, ms) => clock.setTimeout(fn, ms),
    clearTimeout: (handle) => clock.clearTimeout(handle),
  }
}
