import type { Entry } from './entry.ts'
import { Line } from './line.ts'

interface Place {
  head: Entry
  /** Those behind it. */
  waiting: Line | null
}

/**
 * The order of each key on an ordered queue: only its head is ever ready, leased or waiting for a retry; the others wait here. Keys with
 * nothing under way cost nothing.
 */
export class Keys {
  readonly #places = new Map<string, Place>()

  get size(): number {
    return this.#places.size
  }

  /** Whether the entry is the head of its key, and so may go on; otherwise it waits. */
  enter(key: string, entry: Entry): boolean {
    const place = this.#places.get(key)
    if (place === undefined) {
      this.#places.set(key, { head: entry, waiting: null })
      entry.holdsKey = true
      return true
    }
    place.waiting ??= new Line()
    place.waiting.push(entry)
    return false
  }

  /** The head is gone for good: answers its successor. */
  leave(key: string): Entry | undefined {
    const place = this.#places.get(key)
    const next = place?.waiting?.shift()
    if (place === undefined || next === undefined) {
      this.#places.delete(key)
      return undefined
    }
    place.head = next
    next.holdsKey = true
    return next
  }

  /** One that waited was marked `gone`. */
  forget(key: string): void {
    this.#places.get(key)?.waiting?.forget()
  }

  /** Nothing waits any more, and keys whose head is gone are free. */
  clear(): void {
    for (const [key, place] of this.#places) {
      place.waiting = null
      if (place.head.state === 'gone') this.#places.delete(key)
    }
  }

  /** Everything that waits. */
  *[Symbol.iterator](): Generator<Entry> {
    for (const { waiting } of this.#places.values()) if (waiting !== null) yield* waiting
  }
}
