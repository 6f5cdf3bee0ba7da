/** Lets the event loop turn after every so many starts: what their handlers acknowledged, and the next read, is written then. */
export class TurnGate {
  readonly #most: number
  readonly #again: () => void
  #started = 0
  #turning = false

  /** `again` is called when runs may start again. */
  constructor(most: number, again: () => void) {
    this.#most = most
    this.#again = again
  }

  /** Whether a run may start now. */
  open(): boolean {
    if (this.#started < this.#most) return true
    if (!this.#turning) {
      this.#turning = true
      // Clients write at the end of the turn in which they were asked: after what comes first, before what comes second.
      setImmediate(() => setImmediate(this.#turned))
    }
    return false
  }

  started(): void {
    this.#started++
  }

  readonly #turned = (): void => {
    this.#turning = false
    this.#started = 0
    this.#again()
  }
}

/** At most `max` starts in any window of `perMs`: remembers when the last `max` starts were. */
export class RateLimiter {
  readonly #starts: number[]
  readonly #perMs: number
  #next = 0

  constructor(max: number, perMs: number) {
    this.#starts = new Array<number>(max).fill(-Infinity)
    this.#perMs = perMs
  }

  /** 0 when a run may start now; else how many ms to wait. */
  waitMs(now: number): number {
    const oldest = this.#starts[this.#next] as number
    return Math.max(0, oldest + this.#perMs - now)
  }

  started(now: number): void {
    this.#starts[this.#next] = now
    this.#next = (this.#next + 1) % this.#starts.length
  }
}

/**
 * Closed: everything runs. After `failures` failed runs in a row it opens for `openMs`: nothing runs. Then half-open: one
 * message probes; its success closes the breaker, its failure opens it again. https://martinfowler.com/bliki/CircuitBreaker.html
 */
export class CircuitBreaker {
  readonly #failures: number
  readonly #openMs: number
  #inARow = 0
  #openUntil: number | null = null
  #probing = false

  constructor(failures: number, openMs: number) {
    this.#failures = failures
    this.#openMs = openMs
  }

  /** 0 when a run may start now; Infinity while a probe runs; else how many ms to wait. */
  waitMs(now: number): number {
    if (this.#openUntil === null) return 0
    if (this.#probing) return Infinity
    return Math.max(0, this.#openUntil - now)
  }

  /** A run starts; `true` when it is the probe. */
  started(): boolean {
    if (this.#openUntil === null) return false
    this.#probing = true
    return true
  }

  /**
   * A run is over; `ok: null` when it said nothing (its message expired, or was lost). Unless it is closed only the probe counts: what ran beside
   * the failures that opened it says nothing new.
   */
  ended(isProbe: boolean, ok: boolean | null, now: number): void {
    if (!isProbe && this.#openUntil !== null) return
    this.#probing = false
    if (ok === true) {
      this.#inARow = 0
      this.#openUntil = null
    } else if (ok === false && (isProbe || ++this.#inARow >= this.#failures)) {
      this.#openUntil = now + this.#openMs
      this.#inARow = 0
    }
  }

  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#openUntil === null) return 'closed'
    return this.#probing ? 'half-open' : 'open'
  }
}
