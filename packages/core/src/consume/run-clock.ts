import type { Clock } from '../adapter/clock.ts'

interface Started {
  readonly startedAt: number
  ended: boolean
}

/**
 * Ends runs that take longer than `timeoutMs`. All runs of a consumer have the same time-out, so they end in the order in which they
 * started: one timer and a queue, nothing per run.
 */
export class RunClock<R extends Started> {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #onTimeout: (run: R) => void
  #runs: R[] = []
  #timer: unknown = null

  constructor(clock: Clock, timeoutMs: number, onTimeout: (run: R) => void) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#onTimeout = onTimeout
  }

  started(run: R): void {
    this.#runs.push(run)
    if (this.#timer === null) this.#arm(this.#timeoutMs)
    // Ended runs at the front are dropped as new ones come, so the queue is as long as what runs.
    if (this.#runs.length > 1024) this.#runs = this.#runs.filter(({ ended }) => !ended)
  }

  #arm(ms: number): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null
      const now = this.#clock.now()
      let i = 0
      for (; i < this.#runs.length; i++) {
        const run = this.#runs[i] as R
        if (run.ended) continue
        if (run.startedAt + this.#timeoutMs > now) break
        this.#onTimeout(run)
      }
      this.#runs.splice(0, i)
      const next = this.#runs[0]
      if (next !== undefined) this.#arm(Math.max(1, next.startedAt + this.#timeoutMs - now))
    }, ms)
  }

  stop(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#runs = []
  }
}
