import type { Clock } from '../adapter/clock.ts'

/** So many are not worth a look. */
const FEW = 1024

interface Started {
  /** By `Clock.monotonic`. */
  readonly startedAt: number
  ended: boolean
}

/**
 * Ends runs that take longer than `timeoutMs`. All runs of a consumer have the same time-out, so they end in the order in which they
 * started: one timer and a queue, nothing per run.
 */
export class RunClock<R extends Started> {
  readonly #clock: Required<Clock>
  readonly #timeoutMs: number
  readonly #onTimeout: (run: R) => void
  #runs: R[] = []
  #pruneAt = FEW
  #timer: unknown = null

  constructor(clock: Required<Clock>, timeoutMs: number, onTimeout: (run: R) => void) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#onTimeout = onTimeout
  }

  started(run: R): void {
    this.#runs.push(run)
    if (this.#timer === null) this.#arm(this.#timeoutMs)
    if (this.#runs.length >= this.#pruneAt) this.#prune()
  }

  /** Those that ended are dropped when they may outnumber the others: the queue is not much longer than what runs. */
  #prune(): void {
    this.#runs = this.#runs.filter(({ ended }) => !ended)
    this.#pruneAt = Math.max(FEW, 2 * this.#runs.length)
  }

  #arm(ms: number): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null
      const now = this.#clock.monotonic()
      const next = this.#runs.findIndex((run) => !run.ended && run.startedAt + this.#timeoutMs > now)
      const over = this.#runs.splice(0, next < 0 ? this.#runs.length : next)
      const [first] = this.#runs
      if (first !== undefined) this.#arm(first.startedAt + this.#timeoutMs - now)
      // Last: it frees a slot, so that the next run starts in the middle of it, and looks whether a timer is armed.
      for (const run of over) if (!run.ended) this.#onTimeout(run)
    }, ms)
  }

  stop(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#runs = []
  }
}
