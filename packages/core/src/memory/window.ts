import { Deque } from './deque.ts'

/** Ids seen within the last `windowMs`. They leave in the order in which they came, so that forgetting costs nothing extra. */
export class DeduplicationWindow {
  readonly #windowMs: number
  readonly #seen = new Set<string>()
  readonly #order = new Deque<{ readonly id: string; readonly until: number }>()

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  has(id: string, now: number): boolean {
    for (
      let first = this.#order.peek();
      first !== undefined && first.until <= now;
      first = this.#order.peek()
    ) {
      this.#order.shift()
      this.#seen.delete(first.id)
    }
    return this.#seen.has(id)
  }

  /** Remembers an id that it does not have. */
  add(id: string, now: number): void {
    this.#seen.add(id)
    this.#order.push({ id, until: now + this.#windowMs })
  }

  get size(): number {
    return this.#seen.size
  }
}
