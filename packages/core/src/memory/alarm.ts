import type { Clock } from '../adapter/index.ts'

/** One timer for any number of instants: rings at the earliest that was asked for, never before, and may be asked again then. */
export class Alarm {
  readonly #clock: Required<Clock>
  readonly #ring: () => void
  #timer: unknown = null
  #at = Infinity

  constructor(clock: Required<Clock>, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** `at` by `Clock.monotonic`; `Infinity`: not at all. */
  set(at: number): void {
    if (at >= this.#at) return
    this.cancel()
    this.#at = at
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#at = Infinity
        this.#ring()
      },
      Math.max(1, at - this.#clock.monotonic()),
    )
  }

  /** `at` in ms since the epoch: to be asked again, should the time of day be set meanwhile. */
  setTime(at: number): void {
    this.set(at - this.#clock.now() + this.#clock.monotonic())
  }

  cancel(): void {
    if (this.#at !== Infinity) this.#clock.clearTimeout(this.#timer)
    this.#at = Infinity
  }
}
