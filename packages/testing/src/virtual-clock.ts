import type { Clock } from '@mq/core'

export interface VirtualClock extends Clock {
  /** Lets `ms` (0 or more, else a TypeError) pass: timers fire in the order in which they are due, and what follows from each happens before the next. */
  advance(ms: number): Promise<void>
  /**
   * Lets time pass from timer to timer until `done` says true. Rejects after `limitMs` of virtual time (default 365 days), and with a
   * TypeError for a `done` that answers a promise.
   */
  advanceUntil(done: () => boolean, limitMs?: number): Promise<void>
}

/** Time that is no number would stand still for ever. */
function checkStart(start: number): number {
  if (Number.isFinite(start)) return start
  throw new TypeError(
    `virtualClock starts at ms since the epoch, such as Date.UTC(2024, 0, 1); they are ${start}`,
  )
}

/** Time goes forwards, and comes to an end. */
function checkSpan(what: string, ms: number): number {
  if (Number.isFinite(ms) && ms >= 0) return ms
  throw new TypeError(`${what} takes ms from 0 on; they are ${ms}`)
}

/** A promise is no answer yet, and would count as true. */
function isDone(done: () => boolean): boolean {
  const answer: unknown = done()
  if (typeof answer !== 'object' || answer === null) return Boolean(answer)
  throw new TypeError('advanceUntil takes a condition that answers true or false, and no promise')
}

interface Timer {
  readonly at: number
  readonly fn: () => void
}

const YEAR_MS = 365 * 24 * 60 * 60 * 1000

/** Turns of the event loop in a row in which nobody looks at the clock, after which everything that needs no time has happened. */
const QUIET_TURNS = 4
/** A program that never comes to rest, such as one that polls the clock, is not waited for longer than this. */
const MOST_TURNS = 10_000

/**
 * Time that stands still until a test moves it, for a queue and its in-memory broker. Handlers that wait for something else than this
 * clock (a file, a socket) are not waited for. `start`: ms since the epoch. Default: 2024-01-01, the same in every run.
 */
export function virtualClock(start: number = Date.UTC(2024, 0, 1)): VirtualClock {
  let now = checkStart(start)
  let handles = 0
  /** Every use of the clock: as long as it moves, the program is at work. */
  let uses = 0
  // In the order of insertion, so that of two due at one time the first that was set is found first.
  const timers = new Map<number, Timer>()

  function next(): [handle: number, timer: Timer] | null {
    let first: [number, Timer] | null = null
    for (const each of timers) if (first === null || each[1].at < first[1].at) first = each
    return first
  }

  async function settled(): Promise<void> {
    let seen = uses
    for (let turn = 0, quiet = 0; quiet < QUIET_TURNS && turn < MOST_TURNS; turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve))
      quiet = uses === seen ? quiet + 1 : 0
      seen = uses
    }
  }

  /** Moves to the next timer and fires it, unless it is due after `end`. */
  async function step(end: number): Promise<boolean> {
    const first = next()
    if (first === null || first[1].at > end) return false
    const [handle, timer] = first
    timers.delete(handle)
    now = Math.max(now, timer.at)
    timer.fn()
    await settled()
    return true
  }

  return {
    now() {
      uses++
      return now
    },
    setTimeout(fn, ms) {
      uses++
      // As Node does, which takes what is no number for no time at all.
      timers.set(++handles, { at: now + (ms > 0 ? ms : 0), fn })
      return handles
    },
    clearTimeout(handle) {
      uses++
      timers.delete(handle as number)
    },
    async advance(ms) {
      const end = now + checkSpan('advance', ms)
      await settled()
      while (await step(end));
      // Another call may have gone further meanwhile.
      now = Math.max(now, end)
      await settled()
    },
    async advanceUntil(done, limitMs = YEAR_MS) {
      const end = now + checkSpan('advanceUntil', limitMs)
      await settled()
      while (!isDone(done)) {
        if (await step(end)) continue
        throw new Error(`it did not happen within ${limitMs} ms of virtual time`)
      }
    },
  }
}
