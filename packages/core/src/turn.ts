import { performance } from 'node:perf_hooks'

/** Longest that promises alone may keep timers and sockets from their turn, in ms. */
const LONGEST_MS = 5

/**
 * Notices when work that never waits for I/O, as on a broker in this process, keeps the event loop from turning. Sending and receiving
 * ask it, so that neither a tight loop of sends nor a long backlog starves time-outs, leases and the other half of a program.
 */
export class Turn {
  #beganAt: number | null = null
  readonly #now: () => number

  /** `now` answers ms. A clock that a test holds still makes no turn overdue, so that what happens depends on no real time. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Whether to let the event loop turn before going on: see `next`. Costs a look at the clock: ask once per batch. */
  overdue(): boolean {
    const now = this.#now()
    if (this.#beganAt !== null) return now - this.#beganAt > LONGEST_MS
    this.#beganAt = now
    setImmediate(this.#ended)
    return false
  }

  readonly #ended = (): void => {
    this.#beganAt = null
  }

  /** Resolves after timers and sockets had their turn. */
  next(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }
}
