import type { Held } from './wire.ts'

/** So many holes at its beginning are taken out at a time. */
const HOLES = 1024

/** What came over one channel and is not settled, in the order in which it came. Its tags ascend one by one: a list with holes finds each faster than a map. */
export class Unsettled {
  readonly #list: (Held | null)[] = []
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
    return this.#size === 0 ? Infinity : this.#base + this.#first
  }

  add(held: Held): void {
    const at = held.raw.fields.deliveryTag - this.#base
    while (this.#list.length < at) this.#list.push(null)
    this.#list.push(held)
    if (this.#size++ === 0) this.#first = at
  }

  has(held: Held): boolean {
    return this.#list[held.raw.fields.deliveryTag - this.#base] === held
  }

  /** One that it has. */
  delete(held: Held): void {
    this.#list[held.raw.fields.deliveryTag - this.#base] = null
    this.#size--
    while (this.#first < this.#list.length && this.#list[this.#first] === null) this.#first++
    if (this.#first < HOLES) return
    this.#list.splice(0, this.#first)
    this.#base += this.#first
    this.#first = 0
  }

  all(): Held[] {
    return this.#list.filter((held) => held !== null)
  }

  clear(): void {
    this.#base += this.#list.length
    this.#list.length = this.#first = this.#size = 0
  }
}
