import type { Delivery } from './adapter/contract.ts'
import type { Intake } from './intake.ts'
import { heldOf as rawHeldOf, type Message } from './message.ts'

/** `settling`: a settlement was asked for and is on its way; a second one is refused. */
export type HeldState = 'open' | 'settling' | 'settled' | 'lost'

/**
 * One delivery that core holds: from the moment an adapter handed it over until it is settled, given back or lost. The message that
 * user code sees points here.
 */
export class Held {
  readonly delivery: Delivery
  readonly intake: Intake
  /** Position in the intake's list: removal without a search. */
  index = -1
  state: HeldState = 'open'
  message: Message | null = null
  /** Failed runs so far; above the delivery's own while a retry waits in place. */
  deliveryCount: number
  firstFailedAt: number | undefined
  /** Renewed until then (ms since the epoch); Infinity while a consumer holds it. */
  renewUntil = Infinity
  /** When a received message's lease runs out, unless extended. Infinity for those of consumers. */
  leaseEndsAt = Infinity
  #controller: AbortController | null = null
  #abortReason: unknown = undefined
  #aborted = false

  constructor(delivery: Delivery, intake: Intake) {
    this.delivery = delivery
    this.intake = intake
    this.deliveryCount = delivery.deliveryCount
    this.firstFailedAt = delivery.firstFailedAt
  }

  /** Aborts when the message is no longer this handler's: lease lost, time-out, shutdown. Made when first looked at. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#abortReason)
    }
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#abortReason = reason
    this.#controller?.abort(reason)
  }

  /** A later attempt of the same delivery, after a wait in place, starts with a signal of its own. */
  renewSignal(): void {
    this.#aborted = false
    this.#abortReason = undefined
    this.#controller = null
  }
}

/** What core holds for a message, or `null` for one that was not received. */
export function heldOf(message: Message): Held | null {
  // Whatever was passed: a private field can be asked for of objects alone.
  if (typeof message !== 'object' || message === null) return null
  return (rawHeldOf(message) as Held | undefined) ?? null
}
