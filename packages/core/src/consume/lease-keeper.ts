import type { SettleOutcome } from '../adapter/contract.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import type { Held } from './held.ts'
import type { Intake } from './intake.ts'
import { outcomesOf } from './settlement.ts'
import { wrapError } from '../wrap-error.ts'

/** A received message that nobody settled is forgotten this long after its lease ended: settling it then says `lost`. */
const FORGET_AFTER_MS = 60_000

/**
 * Renews the leases of one intake every `heartbeatIntervalMs` (a third of the lease at most): those of consumers and loops while they
 * are held, those of `receive` while `extend` asks for it. Where the broker ties ownership to the connection, it runs the lease clock of
 * received messages itself, and gives them back when it ran out.
 */
export class LeaseKeeper {
  readonly #engine: Engine
  readonly #intake: Intake
  readonly intervalMs: number
  #timer: unknown = null

  constructor(engine: Engine, intake: Intake) {
    this.#engine = engine
    this.#intake = intake
    this.intervalMs = Math.max(
      1,
      Math.min(engine.config.consumer.heartbeatIntervalMs, Math.floor(intake.source.leaseMs / 3)),
    )
  }

  start(): void {
    if (this.#timer !== null) return
    this.#timer = this.#engine.clock.setTimeout(() => {
      this.#timer = null
      void this.#beat()
    }, this.intervalMs)
  }

  stop(): void {
    if (this.#timer !== null) this.#engine.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  async #beat(): Promise<void> {
    const now = this.#engine.clock.monotonic()
    this.#endLeases(now)
    // At once: a renewal that hangs must not cost the lease, which lasts for several.
    if (this.#intake.size > 0 && !this.#intake.closed) this.start()
    // A settlement on its way (a dead-letter copy, say) needs its lease as well.
    const due = this.#intake.held.filter(
      (held) => held.state !== 'lost' && (held.lease === null || held.lease.renewUntil > now),
    )
    const { requestTimeoutMs } = this.#engine.config.producer
    if (due.length > 0) await this.#renew(due, Math.min(this.intervalMs, requestTimeoutMs))
  }

  /** Starts these leases anew. Throws what kept one from it; that it was lost or settled meanwhile, its state says. */
  async renew(helds: readonly Held[]): Promise<void> {
    const { adapter, config } = this.#engine
    const outcomes = await this.#renew(helds, config.producer.requestTimeoutMs)
    for (const [i, held] of helds.entries()) {
      const outcome = outcomes[i] ?? { error: new Error('the adapter gave no outcome for this renewal') }
      if (typeof outcome === 'object' && held.state === 'open')
        throw wrapError(adapter, outcome.error, `Message ${held.delivery.id} could not be extended`)
    }
  }

  /** What turns out to be lost is taken back. Never rejects. */
  async #renew(helds: readonly Held[], ms: number): Promise<readonly SettleOutcome[]> {
    const { clock, logger } = this.#engine
    let outcomes: readonly SettleOutcome[]
    try {
      const deliveries = helds.map((held) => held.delivery)
      outcomes = outcomesOf(
        await withDeadline(clock, ms, 'renewing leases', () => this.#intake.receiver.renew(deliveries)),
      )
    } catch (error) {
      logger.debug({ error }, 'leases could not be renewed')
      return helds.map(() => ({ error }))
    }
    // One that was settled meanwhile is rightly nobody's.
    const lost = helds.filter((held, i) => outcomes[i] === 'lost' && held.state === 'open')
    if (lost.length > 0) this.#intake.takenBack(lost, undefined)
    return outcomes
  }

  #endLeases(now: number): void {
    const { capabilities } = this.#engine.adapter
    const byConnection = capabilities.ownership === 'connection'
    const grace = byConnection ? 0 : FORGET_AFTER_MS
    const ended = this.#intake.held.filter(
      (held) => held.lease !== null && held.state === 'open' && held.lease.endsAt + grace <= now,
    )
    if (ended.length === 0) return
    if (byConnection) void this.#giveBack(ended)
    else this.#intake.takenBack(ended, undefined)
  }

  async #giveBack(helds: readonly Held[]): Promise<void> {
    await this.#intake.release(helds)
    for (const held of helds) {
      held.state = 'lost'
      this.#intake.onLost(held)
    }
  }
}
