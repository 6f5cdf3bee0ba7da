import type { QueueSettings } from '../adapter/contract.ts'

/** Of a message whose destination is being declared: what to do once it is, and those before it have gone. */
interface Turn {
  go: (() => void) | null
}

/** Destinations that first messages wait for, and these messages: what comes later goes after them. */
export class Openings {
  readonly #waiting = new Map<string, Turn[]>()

  has(key: string): boolean {
    return this.#waiting.has(key)
  }

  /** One after another, in the order of their calls, whatever else becomes known of the destination meanwhile. */
  inTurn(
    key: string,
    declared: Promise<QueueSettings>,
    handOver: (known: QueueSettings) => void,
    fail: (error: unknown) => void,
  ): void {
    const waiting = this.#waiting.get(key) ?? []
    this.#waiting.set(key, waiting)
    const turn: Turn = { go: null }
    waiting.push(turn)
    const ready = (go: () => void) => {
      turn.go = go
      for (let first = waiting[0]; first !== undefined && first.go !== null; first = waiting[0]) {
        waiting.shift()
        first.go()
      }
      if (waiting.length === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
    }
    declared.then(
      (known) => ready(() => handOver(known)),
      (error: unknown) => ready(() => fail(error)),
    )
  }
}
