/**
 * Which records of one partition are done. Pure: no clock, no broker.
 *
 * `base` is the first offset that is not done: the one to commit. What is done above it goes into the commit's metadata, so that a crash
 * repeats what was not done and nothing else.
 */
export interface Tracker {
  readonly base: number
  isDone(offset: number): boolean
  /** Marks [from, to) as done. */
  complete(from: number, to?: number): void
  /** What is done above `base`: [from, to), sorted, apart from each other. */
  ranges(): readonly Range[]
}

export type Range = readonly [from: number, to: number]

export function createTracker(start: number, done: readonly Range[] = []): Tracker {
  let base = start
  const ranges: [number, number][] = []

  /** Index of the first range that ends at `offset` or later. */
  const find = (offset: number): number => {
    let low = 0
    let high = ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((ranges[middle] as [number, number])[1] < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  const tracker: Tracker = {
    get base() {
      return base
    },
    isDone(offset) {
      if (offset < base) return true
      const range = ranges[find(offset + 1)]
      return range !== undefined && range[0] <= offset
    },
    complete(from, to = from + 1) {
      if (to <= base) return
      if (from <= base) {
        base = to
        while (ranges.length > 0 && (ranges[0] as [number, number])[0] <= base) {
          base = Math.max(base, (ranges.shift() as [number, number])[1])
        }
        return
      }
      const at = find(from)
      let low = from
      let high = to
      let gone = 0
      for (let range = ranges[at]; range !== undefined && range[0] <= high; range = ranges[at + ++gone]) {
        low = Math.min(low, range[0])
        high = Math.max(high, range[1])
      }
      if (gone === 1) {
        const only = ranges[at] as [number, number]
        only[0] = low
        only[1] = high
      } else ranges.splice(at, gone, [low, high])
    },
    ranges: () => ranges,
  }
  for (const [from, to] of done) tracker.complete(from, to)
  return tracker
}
