import type { Clock } from './adapter/clock.ts'

/** The wait of a shutdown for what runs. Several may ask for it, each with a time of its own: the shortest counts. */
export class Drain {
  readonly #clock: Required<Clock>
  readonly #isIdle: () => boolean
  readonly #timers: unknown[] = []
  #over = false
  #until = Infinity
  #end: (() => void) | null = null

  constructor(clock: Required<Clock>, isIdle: () => boolean) {
    this.#clock = clock
    this.#isIdle = isIdle
  }

  /** The wait, begun or not, lasts no longer than `ms` from now. */
  limit(ms: number): void {
    this.#until = Math.min(this.#until, this.#clock.monotonic() + ms)
    if (this.#over) return
    if (ms > 0) this.#timers.push(this.#clock.setTimeout(() => this.#stop(), ms))
    else this.#stop()
  }

  /** Resolves when nothing runs any more, or when the time is up. */
  async wait(): Promise<void> {
    if (!this.#over && !this.#isIdle()) await new Promise<void>((resolve) => (this.#end = resolve))
    this.#stop()
  }

  /** ms that are left of the time that was given; below 0 when it is up. */
  get left(): number {
    return this.#until - this.#clock.monotonic()
  }

  /** To be called when something ended. */
  check(): void {
    if (this.#end !== null && this.#isIdle()) this.#end()
  }

  #stop(): void {
    this.#over = true
    for (const timer of this.#timers) this.#clock.clearTimeout(timer)
    this.#end?.()
  }
}
