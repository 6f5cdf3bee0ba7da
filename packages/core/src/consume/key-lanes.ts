import type { Held } from './held.ts'

/**
 * One message of a key at a time, in the order of arrival: for brokers that hand out several messages of one key to the same consumer.
 * Where the broker hands out a key's head alone, nothing ever waits here.
 */
export class KeyLanes {
  /** Keys with a message under way, and those that wait behind it. */
  readonly #lanes = new Map<string, Held[]>()
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
      this.#lanes.set(key, [])
      return true
    }
    lane.push(held)
    this.#waiting++
    return false
  }

  /** Settled or lost: the next one of its key, if one waits. One that waits itself and is lost just goes. */
  leave(held: Held): Held | null {
    const { key } = held.delivery
    const lane = key === undefined ? undefined : this.#lanes.get(key)
    if (key === undefined || lane === undefined) return null
    const place = lane.indexOf(held)
    if (place >= 0) {
      lane.splice(place, 1)
      this.#waiting--
      return null
    }
    for (let next = lane.shift(); next !== undefined; next = lane.shift()) {
      this.#waiting--
      if (next.state === 'open') return next
    }
    this.#lanes.delete(key)
    return null
  }

  /** Everything that waits, in order; the lanes are empty afterwards. */
  drain(): Held[] {
    const all = [...this.#lanes.values()].flat()
    this.#lanes.clear()
    this.#waiting = 0
    return all
  }
}
