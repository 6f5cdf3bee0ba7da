/** Below this size nothing is gained by looking for stale values. */
const FEW = 1024

/**
 * A binary heap: the least value first, by the order it was made with. Values that became `stale` are left in place, to be passed over by
 * whoever pops them; they are dropped when they may outnumber the others, so that they take no more room than these.
 */
export class Heap<T> {
  #items: T[] = []
  readonly #less: (a: T, b: T) => boolean
  readonly #stale: ((value: T) => boolean) | null
  #pruneAt: number
  /** Known to be stale; more than there are, if some of those were popped. */
  #forgotten = 0

  constructor(less: (a: T, b: T) => boolean, stale: ((value: T) => boolean) | null = null) {
    this.#less = less
    this.#stale = stale
    this.#pruneAt = stale === null ? Infinity : FEW
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(value: T): void {
    if (this.#items.length >= this.#pruneAt) this.prune()
    const items = this.#items
    let i = items.length
    items.push(value)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!this.#less(value, items[parent] as T)) break
      items[i] = items[parent] as T
      i = parent
    }
    items[i] = value
  }

  pop(): T | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (items.length === 0 || last === undefined) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.#less(items[child + 1] as T, items[child] as T)) child++
      if (!this.#less(items[child] as T, last)) break
      items[i] = items[child] as T
      i = child
    }
    items[i] = last
    return first
  }

  values(): readonly T[] {
    return this.#items
  }

  /** A value became stale. */
  forget(): void {
    if (++this.#forgotten >= FEW && this.#forgotten * 2 > this.#items.length) this.prune()
  }

  clear(): void {
    this.#items = []
    this.#forgotten = 0
  }

  /** Drops what is stale. */
  prune(): void {
    this.#forgotten = 0
    const kept = this.#items.filter((value) => this.#stale?.(value) !== true)
    // What is sorted is a heap.
    kept.sort((a, b) => (this.#less(a, b) ? -1 : this.#less(b, a) ? 1 : 0))
    this.#items = kept
    this.#pruneAt = Math.max(FEW, 2 * kept.length)
  }
}
