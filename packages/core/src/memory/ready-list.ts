import { bySeq, isGone, type Entry } from './entry.ts'
import { Heap } from './heap.ts'
import { Line } from './line.ts'

/** Messages of one priority: first in first out; what was given back returns to its old place. */
class Level {
  readonly #line = new Line()
  readonly #returned = new Heap<Entry>(bySeq, isGone)

  push(entry: Entry): void {
    this.#line.push(entry)
  }

  giveBack(entry: Entry): void {
    this.#returned.push(entry)
  }

  forget(): void {
    this.#line.forget()
  }

  shift(): Entry | undefined {
    const returned = this.#firstReturned()
    if (returned === undefined) return this.#line.shift()
    const first = this.#line.peek()
    if (first !== undefined && first.seq < returned.seq) return this.#line.shift()
    return this.#returned.pop()
  }

  #firstReturned(): Entry | undefined {
    let first = this.#returned.peek()
    while (first !== undefined && first.state === 'gone') {
      this.#returned.pop()
      first = this.#returned.peek()
    }
    return first
  }

  after(seq: number, max: number): Entry[] {
    const found = this.#line.after(seq, max)
    if (this.#returned.size === 0) return found
    const returned = this.#returned.values().filter((entry) => entry.state !== 'gone' && entry.seq > seq)
    return [...found, ...returned].sort((a, b) => a.seq - b.seq).slice(0, max)
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const entry of this.#returned.values()) if (entry.state !== 'gone') yield entry
    yield* this.#line
  }
}

/** What may go out, highest priority first. */
export class ReadyList {
  #levels: (Level | undefined)[] = []
  #highest = -1

  push(entry: Entry): void {
    this.#level(entry.priority).push(entry)
  }

  /** To where it was. */
  giveBack(entry: Entry): void {
    this.#level(entry.priority).giveBack(entry)
  }

  /** One that is in the list was marked `gone`. */
  forget(entry: Entry): void {
    this.#level(entry.priority).forget()
  }

  #level(priority: number): Level {
    if (priority > this.#highest) this.#highest = priority
    return (this.#levels[priority] ??= new Level())
  }

  shift(): Entry | undefined {
    for (; this.#highest >= 0; this.#highest--) {
      const entry = this.#levels[this.#highest]?.shift()
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /** The first to be dropped when a queue is full: the oldest of the lowest priority. */
  shiftLowest(): Entry | undefined {
    for (let priority = 0; priority <= this.#highest; priority++) {
      const entry = this.#levels[priority]?.shift()
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /** Up to `max` after a place in a queue without priorities. */
  after(seq: number, max: number): Entry[] {
    return this.#levels[0]?.after(seq, max) ?? []
  }

  clear(): void {
    this.#levels = []
    this.#highest = -1
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const level of this.#levels) if (level !== undefined) yield* level
  }
}
