import type { Clock } from '../adapter/clock.ts'
import type { Held } from './held.ts'
import { KeyLanes } from './key-lanes.ts'

/** Places of what was started that are kept at least: fewer are not worth a copy. */
const FEW = 1024

/** What a consumer has fetched and not started: whose turn it is, what waits behind its key, what waits for another attempt. */
export class Backlog {
  readonly #clock: Clock
  readonly #lanes: KeyLanes | null
  /** A queue with a moving head: shifting an array costs its length. */
  #ready: Held[] = []
  #head = 0
  readonly #inPlace = new Map<Held, unknown>()

  constructor(clock: Clock, ordered: boolean) {
    this.#clock = clock
    this.#lanes = ordered ? new KeyLanes() : null
  }

  /** How many may start now. */
  get ready(): number {
    return this.#ready.length - this.#head
  }

  /** All, those that wait for their key or their next attempt included. */
  get size(): number {
    return this.ready + this.#inPlace.size + (this.#lanes?.waiting ?? 0)
  }

  /** How many wait here for their next attempt, and are not given back. */
  get inPlace(): number {
    return [...this.#inPlace.keys()].filter(({ state }) => state === 'open').length
  }

  add(helds: readonly Held[]): void {
    for (const held of helds) if (this.#lanes === null || this.#lanes.enter(held)) this.#ready.push(held)
  }

  /** The next to start; there must be one. It may have been lost meanwhile: look at its state. */
  next(): Held {
    const held = this.#ready[this.#head] as Held
    this.#ready[this.#head++] = undefined as never
    // A consumer that is never idle would keep a place for every message that it ever had.
    if (this.#head >= FEW && this.#head >= this.ready) this.#keep(this.#ready.slice(this.#head))
    return held
  }

  #keep(ready: Held[]): void {
    this.#ready = ready
    this.#head = 0
  }

  /** Runs it again here after `delayMs`, with so many more failed runs to its name: calls `again` once it is ready. */
  waitInPlace(held: Held, delayMs: number, failures: number, again: () => void): void {
    const timer = this.#clock.setTimeout(() => {
      this.#inPlace.delete(held)
      if (held.state !== 'open') return
      held.deliveryCount += failures
      // Decoded anew: what the failed run made of its message is not what was sent.
      held.message = null
      held.validated = false
      held.renewSignal()
      this.#ready.push(held)
      again()
    }, delayMs)
    this.#inPlace.set(held, timer)
  }

  /** Another one stands for its key from now on. */
  replace(held: Held, by: Held): void {
    this.#lanes?.replace(held, by)
  }

  /** Settled or lost. `true` when another one of its key may start now. */
  leave(held: Held): boolean {
    if (this.#inPlace.size > 0) {
      const timer = this.#inPlace.get(held)
      if (timer !== undefined) this.#clock.clearTimeout(timer)
      this.#inPlace.delete(held)
    }
    const next = this.#lanes?.leave(held) ?? null
    if (next !== null) this.#ready.push(next)
    return next !== null
  }

  /** Everything, in order of arrival as far as it is known; empty afterwards. */
  drain(): Held[] {
    const all = [...this.#ready.slice(this.#head), ...(this.#lanes?.drain() ?? []), ...this.#inPlace.keys()]
    for (const timer of this.#inPlace.values()) this.#clock.clearTimeout(timer)
    this.#inPlace.clear()
    this.#keep([])
    return all
  }
}
