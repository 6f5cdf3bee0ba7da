import type { Delivery } from '../adapter/contract.ts'
import type { MessageQueueError } from '../errors.ts'
import type { Claim } from './deduplication.ts'
import type { Intake } from './intake.ts'
import { heldOf as rawHeldOf, type Message } from '../message/message.ts'

/** `settling`: a settlement was asked for and is on its way; a second one is refused. */
export type HeldState = 'open' | 'settling' | 'settled' | 'lost'

/** Of a message that `receive` returned, or that a loop left: its lease is nobody's to renew. Times are those of `Clock.monotonic`. */
export interface HandLease {
  /** Renewed until then, because `extend` asked for it; 0: not at all. */
  renewUntil: number
  /** When it runs out, unless extended. */
  endsAt: number
}

/** The outcome of a settlement: `null` when it is done. */
export type SettleResult = MessageQueueError | null

/** Whoever asked for a settlement. One function for many messages: it is told which. */
export type Settled = (result: SettleResult, held: Held) => void

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
  /** Given back, or about to be: it comes again, and whatever its handler or its owner still does with it is too late. */
  givenBack = false
  message: Message | null = null
  /** Rejected by hand: how, should nothing else answer its requester. */
  rejection: Error | 'requeued' | null = null
  /** Its handler is over, and left it to be settled by hand. */
  byHand = false
  /** Whether a schema has had its say: one that changes bodies must not meet its own. */
  validated = false
  /** Failed runs so far; above the delivery's own while a retry waits in place. */
  deliveryCount: number
  firstFailedAt: number | undefined
  /** `null` while a consumer or a loop holds it, and renews it. */
  lease: HandLease | null = null
  /** What `extend` asked for meanwhile. */
  extended: HandLease | null = null
  /** Whoever asked for the settlement that is on its way. */
  done: Settled | undefined = undefined
  /** Where this process has to keep copies of the message apart. */
  claim: Claim | null = null
  /** Of the runs after the first. */
  #later: AbortController | null = null
  #controller: AbortController | null = null
  #aborted: { readonly reason: unknown } | null = null

  constructor(delivery: Delivery, intake: Intake) {
    this.delivery = delivery
    this.intake = intake
    this.deliveryCount = delivery.deliveryCount
    this.firstFailedAt = delivery.firstFailedAt
  }

  /** The run that it is in, or is next for: what a context keeps, lest a run that goes on after its time sees the signal of the next. */
  get run(): { readonly signal: AbortSignal } {
    return this.#later ?? this
  }

  /** That of the first run. Aborts when the message is no longer this handler's: lease lost, time-out, shutdown. Made when first looked at. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#aborted !== null) this.#controller.abort(this.#aborted.reason)
    }
    return this.#controller.signal
  }

  /** Whether it comes again, to whomever: settling it is no more possible. */
  get gone(): boolean {
    return this.state === 'lost' || this.givenBack
  }

  /** Aborts the current run. */
  abort(reason: unknown): void {
    if (this.#later !== null) return this.#later.abort(reason)
    if (this.#aborted !== null) return
    this.#aborted = { reason }
    this.#controller?.abort(reason)
  }

  /** The same delivery for another attempt, one failed run later: what user code has of this one is settled. */
  again(now: number): Held {
    const again = new Held(this.delivery, this.intake)
    again.deliveryCount = this.deliveryCount + 1
    again.firstFailedAt = this.firstFailedAt ?? now
    again.claim = this.claim
    this.claim = null
    this.state = 'settled'
    return again
  }

  /** A later attempt of the same delivery, after a wait in place, starts with a signal of its own. */
  renewSignal(): void {
    this.#later = new AbortController()
  }
}

/** What core holds for a message, or `null` for one that was not received, or only browsed. */
export function heldOf(message: Message): Held | null {
  // Whatever was passed: a private field can be asked for of objects alone.
  if (typeof message !== 'object' || message === null) return null
  const held = rawHeldOf(message) as Held | undefined
  // What was only looked at has no intake, and nobody settles it.
  return held?.intake ? held : null
}
