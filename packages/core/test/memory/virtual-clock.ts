import type { Clock } from '../../src/adapter/index.ts'

interface Timer {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** Time that stands still until a test moves it; timers fire in the order in which they are due. */
export class VirtualClock implements Required<Clock> {
  /** Far from what `now` says: a duration is told from a time of day. */
  #now = 1000
  #epoch = 1_700_000_000_000
  #order = 0
  readonly #timers = new Set<Timer>()

  now(): number {
    return this.#epoch + this.#now
  }

  monotonic(): number {
    return this.#now
  }

  /** Sets the time of day so much forward or back. */
  set(ms: number): void {
    this.#epoch += ms
  }

  setTimeout(fn: () => void, ms: number): unknown {
    const timer: Timer = { at: this.#now + ms, order: this.#order++, fn }
    this.#timers.add(timer)
    return timer
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as Timer)
  }

  get timers(): number {
    return this.#timers.size
  }

  /** Lets `ms` pass, and everything that follows from it happen. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (let due = this.#next(end); due !== undefined; due = this.#next(end)) {
      this.#timers.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.fn()
      await settled()
    }
    this.#now = end
    await settled()
  }

  /** Lets `ms` pass without a timer firing, as in a process that is busy. */
  jump(ms: number): void {
    this.#now += ms
  }

  #next(end: number): Timer | undefined {
    const due = [...this.#timers].filter(({ at }) => at <= end)
    return due.sort((a, b) => a.at - b.at || a.order - b.order)[0]
  }
}

/** Every promise that could be settled by now is. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
