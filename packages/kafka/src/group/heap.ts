/** A binary heap: the least comes first. */
export interface Heap<T> {
  readonly size: number
  push(item: T): void
  pop(): T | undefined
  peek(): T | undefined
  /** Takes out what matches. */
  remove(matches: (item: T) => boolean): void
  /** In no order. */
  all(): readonly T[]
}

export function createHeap<T>(compare: (a: T, b: T) => number): Heap<T> {
  let items: T[] = []
  const up = (start: number): void => {
    let at = start
    const item = items[at] as T
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (compare(item, items[parent] as T) >= 0) break
      items[at] = items[parent] as T
      at = parent
    }
    items[at] = item
  }
  const down = (): void => {
    const item = items[0] as T
    const { length } = items
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && compare(items[child + 1] as T, items[child] as T) < 0) child++
      if (compare(item, items[child] as T) <= 0) break
      items[at] = items[child] as T
      at = child
    }
    items[at] = item
  }
  const push = (item: T): void => {
    items.push(item)
    up(items.length - 1)
  }
  return {
    get size() {
      return items.length
    },
    push,
    pop() {
      const first = items[0]
      const last = items.pop()
      if (items.length > 0) {
        items[0] = last as T
        down()
      }
      return first
    },
    peek: () => items[0],
    remove(matches) {
      const kept = items.filter((item) => !matches(item))
      if (kept.length === items.length) return
      items = []
      for (const item of kept) push(item)
    },
    all: () => items,
  }
}
