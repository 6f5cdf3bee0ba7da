import type { Clock } from '../adapter/clock.ts'
import { withDeadline } from '../deadline.ts'
import type { DeduplicationStore } from '../engine.ts'
import type { Logger } from '../logger.ts'
import { keyOf } from '../message/target.ts'
import type { Message } from '../message/message.ts'
import type { Held, SettleResult, Settled } from './held.ts'
import { RELEASE } from './settlement.ts'

/** What a delivery has of its deduplication id: no other copy is handled in this process meanwhile, and its ack remembers the id. */
export class Claim {
  readonly #owner: Deduplication
  readonly key: string
  readonly windowMs: number
  /** Of the message, for logs. */
  readonly id: string
  readonly #waiting: (() => void)[] = []
  #released = false

  constructor(owner: Deduplication, key: string, windowMs: number, id: string) {
    this.#owner = owner
    this.key = key
    this.windowMs = windowMs
    this.id = id
  }

  /** Never rejects. */
  remember(): Promise<void> {
    return this.#owner.remember(this)
  }

  /** Resolves when another copy may be looked at. */
  over(): Promise<void> {
    return this.#released ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#owner.released(this)
    for (const resolve of this.#waiting) resolve()
  }
}

/**
 * For brokers that leave deduplication to their consumers: asks the store before a message is handled, and keeps a second copy in this
 * process from being handled at the same time, which the store alone would not: it knows what was acknowledged.
 */
export class Deduplication {
  readonly #store: DeduplicationStore
  readonly #logger: Logger
  readonly #clock: Required<Clock>
  /** How long an answer of the store is waited for, in ms. */
  readonly #patienceMs: number
  readonly #claims = new Map<string, Claim>()

  constructor(store: DeduplicationStore, logger: Logger, clock: Required<Clock>, patienceMs: number) {
    this.#store = store
    this.#logger = logger
    this.#clock = clock
    this.#patienceMs = patienceMs
  }

  /**
   * Whether the message is to be handled. One that was is acknowledged; while another copy is under way this one waits, and is then
   * acknowledged or given back. `done` hears of either.
   */
  async admit(
    held: Held,
    { deduplicationId, redriven }: Message,
    windowMs: number,
    done?: Settled,
  ): Promise<boolean> {
    // A later attempt of the same delivery.
    if (held.claim !== null) return true
    const key = `${keyOf(held.intake.source.target)}:${deduplicationId ?? ''}`
    const other = this.#claims.get(key)
    const claim = new Claim(this, key, windowMs, held.delivery.id)
    if (redriven) {
      held.claim = claim
      return true
    }
    if (other !== undefined) {
      void this.#wait(other, held, done)
      return false
    }
    held.claim = claim
    this.#claims.set(key, claim)
    if (!(await this.#knows(key, held))) return held.state === 'open'
    held.claim = null
    claim.release()
    if (held.state === 'open') held.intake.ack(held, false, done)
    return false
  }

  async #wait(other: Claim, held: Held, done: Settled | undefined): Promise<void> {
    await other.over()
    if (held.state !== 'open') return
    const decided = this.#knows(other.key, held).then((known) => {
      if (held.state !== 'open') return
      if (known) held.intake.ack(held, false, done)
      else held.intake.settle(held, RELEASE, done)
    })
    held.intake.waitFor(decided)
  }

  /** A store that fails lets the message pass: a duplicate is better than a loss. */
  async #knows(key: string, held: Held): Promise<boolean> {
    try {
      return (await this.#inTime('looking an id up', async () => this.#store.has(key))) === true
    } catch (error) {
      this.#failed(error, held.delivery.id)
      return false
    }
  }

  async remember({ key, windowMs, id }: Claim): Promise<void> {
    try {
      await this.#inTime('remembering an id', async () => this.#store.add(key, windowMs))
    } catch (error) {
      this.#failed(error, id)
    }
  }

  /** A store that never answers fails, too: a message must not wait for it for ever. */
  #inTime<T>(what: string, call: () => Promise<T>): Promise<T> {
    return withDeadline(this.#clock, this.#patienceMs, what, call)
  }

  #failed(error: unknown, id: string): void {
    this.#logger.warn({ id, error }, 'the deduplication store failed; a duplicate may be handled')
  }

  released(claim: Claim): void {
    if (this.#claims.get(claim.key) === claim) this.#claims.delete(claim.key)
  }
}

/** Mode `none`: the acknowledgement that precedes the run. One that fails must not be remembered, since the message comes again. */
export async function acknowledgeFirst(held: Held): Promise<SettleResult> {
  const { claim } = held
  held.claim = null
  const result = await new Promise<SettleResult>((resolve) => held.intake.ack(held, true, resolve))
  if (claim !== null) {
    if (result === null) await claim.remember()
    claim.release()
  }
  return result
}
