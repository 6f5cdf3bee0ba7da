import type { Clock } from '@mq/core'

interface Timer {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** Longest jump at once: work that takes several turns of the event loop is not overtaken by its own deadline. */
const STEP_MS = 10
/** Turns of the event loop with which everything that can happen without time passing has happened, as a rule. */
const TURNS = 6

/**
 * Time that passes only while the process has nothing else to do, and then at once: waits cost nothing, and a busy machine makes
 * no difference. Timers due at one time run in the order in which they were set.
 */
export function virtualClock(): Clock & { stop(): void } {
  let now = Date.now()
  let order = 0
  let stopped = false
  const timers = new Map<number, Timer>()

  function next(): Timer | null {
    let first: Timer | null = null
    for (const timer of timers.values()) {
      if (first === null || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer
    }
    return first
  }

  async function run(): Promise<void> {
    while (!stopped) {
      for (let i = 0; i < TURNS; i++) await new Promise<void>((resolve) => setImmediate(resolve))
      const timer = next()
      if (timer === null) continue
      now = Math.max(now, Math.min(timer.at, now + STEP_MS))
      for (let due = next(); due !== null && due.at <= now; due = next()) {
        timers.delete(due.order)
        due.fn()
      }
    }
  }
  void run()

  return {
    now: () => now,
    setTimeout(fn, ms) {
      const timer = { at: now + Math.max(0, ms), order: order++, fn }
      timers.set(timer.order, timer)
      return timer.order
    },
    clearTimeout: (handle) => void timers.delete(handle as number),
    stop: () => void (stopped = true),
  }
}
