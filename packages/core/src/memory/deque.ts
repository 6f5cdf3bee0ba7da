const LEAST = 16

/**
 * A queue with constant-time ends: a ring that doubles when full, and starts small again when it runs empty. Holes are cleared, so
 * that nothing is kept alive.
 */
export class Deque<T> {
  #ring: (T | undefined)[] = empty()
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(value: T): void {
    if (this.#size === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = value
    this.#size++
  }

  peek(): T | undefined {
    return this.#ring[this.#head]
  }

  /** The one at a place, the first being 0; the place must be within the size. */
  at(place: number): T {
    return this.#ring[(this.#head + place) & (this.#ring.length - 1)] as T
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined
    const value = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    if (--this.#size === 0 && this.#ring.length > 1024) this.clear()
    return value
  }

  /** Drops what does not pass. */
  keep(passes: (value: T) => boolean): void {
    const kept = [...this].filter(passes)
    this.clear()
    for (const value of kept) this.push(value)
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.#size; i++) yield this.at(i)
  }

  clear(): void {
    this.#ring = empty()
    this.#head = 0
    this.#size = 0
  }

  #grow(): void {
    const next = new Array<T | undefined>(this.#ring.length * 2).fill(undefined)
    for (let i = 0; i < this.#size; i++) next[i] = this.at(i)
    this.#ring = next
    this.#head = 0
  }
}

function empty<T>(): (T | undefined)[] {
  return new Array<T | undefined>(LEAST).fill(undefined)
}
