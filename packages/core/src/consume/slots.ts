/** `maxConcurrentMessages`: handlers that run at once over all consumers of one MessageQueue. */
export class Slots {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(total: number) {
    this.#free = total
  }

  /** Takes a slot; if none is free, `retry` is called when one is. */
  take(retry: () => void): boolean {
    if (this.#free > 0) {
      this.#free--
      return true
    }
    this.#waiting.add(retry)
    return false
  }

  give(): void {
    this.#free++
    if (this.#waiting.size === 0) return
    // In turn, so that a busy queue does not keep the others out; who needs it no longer (paused, say) leaves it to the next.
    for (const retry of this.#waiting) {
      if (this.#free === 0) return
      this.#waiting.delete(retry)
      retry()
    }
  }

  forget(retry: () => void): void {
    this.#waiting.delete(retry)
  }
}
