import { Deque } from './deque.ts'
import type { Entry } from './entry.ts'

/** Below this number entries that are gone are not worth a look. */
const FEW = 64

/**
 * Entries in the order of their arrival. One that leaves otherwise than by its turn (expired, dropped, browsed away) is marked `gone`
 * and left in place, so that nothing is searched for; those are dropped when they outnumber the others.
 */
export class Line {
  readonly #entries = new Deque<Entry>()
  #gone = 0

  /** Those in place, gone or not. */
  get length(): number {
    return this.#entries.size
  }

  push(entry: Entry): void {
    this.#entries.push(entry)
  }

  peek(): Entry | undefined {
    let first = this.#entries.peek()
    while (first !== undefined && first.state === 'gone') {
      this.#entries.shift()
      first = this.#entries.peek()
    }
    return first
  }

  shift(): Entry | undefined {
    let first = this.#entries.shift()
    while (first !== undefined && first.state === 'gone') first = this.#entries.shift()
    return first
  }

  /** One of them is gone. */
  forget(): void {
    if (++this.#gone < FEW || this.#gone * 2 < this.#entries.size) return
    this.#entries.keep(({ state }) => state !== 'gone')
    this.#gone = 0
  }

  /** Up to `max` from a place in the queue on. Needs entries in the order of their places. */
  after(seq: number, max: number): Entry[] {
    let low = 0
    for (let high = this.#entries.size; low < high;) {
      const middle = (low + high) >> 1
      if (this.#entries.at(middle).seq <= seq) low = middle + 1
      else high = middle
    }
    const found: Entry[] = []
    for (; low < this.#entries.size && found.length < max; low++) {
      const entry = this.#entries.at(low)
      if (entry.state !== 'gone') found.push(entry)
    }
    return found
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const entry of this.#entries) if (entry.state !== 'gone') yield entry
  }
}
