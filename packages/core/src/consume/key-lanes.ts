import type { Held } from './held.ts'

/** A key with a message under way, and those that wait behind it. */
interface Lane {
  head: Held
  readonly waiting: Held[]
}

/**
 * One message of a key at a time, in the order of arrival: for brokers that hand out several messages of one key to the same consumer.
 * Where the broker hands out a key's head alone, nothing ever waits here.
 */
export class KeyLanes {
  readonly #lanes = new Map<string, Lane>()
  #waiting = 0

  get waiting(): number {
    return this.#waiting
  }

  /** Whether it may start now; otherwise it waits, and `leave` hands it out. Messages without a key never wait. */
  enter(held: Held): boolean {
    const { key } = held.delivery
    if (key === undefined) return true
    const lane = this.#lanes.get(key)
    if (lane === undefined) {
      this.#lanes.set(key, { head: held, waiting: [] })
      return true
    }
    lane.waiting.push(held)
    this.#waiting++
    return false
  }

  /** The head of its key is another one from now on. */
  replace(held: Held, by: Held): void {
    const lane = this.#lanes.get(held.delivery.key ?? '')
    if (lane?.head === held) lane.head = by
  }

  /**
   * Settled or lost: the next one of its key, if one waits. One that waits itself and is lost just goes; one that was lost before, and ends
   * only now, has no say in what came after it.
   */
  leave(held: Held): Held | null {
    const { key } = held.delivery
    const lane = key === undefined ? undefined : this.#lanes.get(key)
    if (key === undefined || lane === undefined) return null
    const { waiting } = lane
    if (lane.head !== held) {
      const place = waiting.indexOf(held)
      if (place < 0) return null
      waiting.splice(place, 1)
      this.#waiting--
      return null
    }
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      this.#waiting--
      if (next.state !== 'open') continue
      lane.head = next
      return next
    }
    this.#lanes.delete(key)
    return null
  }

  /** Everything that waits, in order; the lanes are empty afterwards. */
  drain(): Held[] {
    const all = [...this.#lanes.values()].flatMap(({ waiting }) => waiting)
    this.#lanes.clear()
    this.#waiting = 0
    return all
  }
}
