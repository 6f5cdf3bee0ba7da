import type { Held } from './wire.ts'

/** So many holes at its beginning are taken out at a time. */
const HOLES = 1024

/** A list of so many places begins anew: one that is kept for hours must not keep a place for each that came and went since. */
const MOST_PLACES = 65_536

/** What came over one channel and is not settled, in the order in which it came. Its tags ascend one by one: a list with holes finds each faster than a map. */
export class Unsettled {
  readonly #list: (Held | null)[] = []
  /** Those of lists before, by tag. */
  readonly #kept = new Map<number, Held>()
  /** Tag of the first place. */
  #base = 1
  /** The first place that is no hole. */
  #first = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The lowest tag; infinite when there is none. */
  get lowest(): number {
    for (const tag of this.#kept.keys()) return tag
    return this.#size === 0 ? Infinity : this.#base + this.#first
  }

  add(held: Held): void {
    if (this.#list.length >= MOST_PLACES) this.#beginAnew()
    const at = held.raw.fields.deliveryTag - this.#base
    while (this.#list.length < at) this.#list.push(null)
    this.#list.push(held)
    if (this.#size++ === this.#kept.size) this.#first = at
  }

  has(held: Held): boolean {
    const { deliveryTag } = held.raw.fields
    const at = deliveryTag - this.#base
    return (at < 0 ? this.#kept.get(deliveryTag) : this.#list[at]) === held
  }

  /** In place of one that it has of the same tag. */
  replace(held: Held): void {
    const { deliveryTag } = held.raw.fields
    const at = deliveryTag - this.#base
    if (at < 0) this.#kept.set(deliveryTag, held)
    else this.#list[at] = held
  }

  /** One that it has. */
  delete(held: Held): void {
    const { deliveryTag } = held.raw.fields
    const at = deliveryTag - this.#base
    this.#size--
    if (at < 0) return void this.#kept.delete(deliveryTag)
    this.#list[at] = null
    while (this.#first < this.#list.length && this.#list[this.#first] === null) this.#first++
    if (this.#first < HOLES) return
    this.#list.splice(0, this.#first)
    this.#base += this.#first
    this.#first = 0
  }

  all(): Held[] {
    return [...this.#kept.values(), ...this.#list.filter((held) => held !== null)]
  }

  clear(): void {
    this.#beginAnew()
    this.#kept.clear()
    this.#size = 0
  }

  #beginAnew(): void {
    for (const held of this.#list) if (held !== null) this.#kept.set(held.raw.fields.deliveryTag, held)
    this.#base += this.#list.length
    this.#list.length = this.#first = 0
  }
}
