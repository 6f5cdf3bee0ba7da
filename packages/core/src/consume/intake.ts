import type { DeadLetterInfo, Delivery, Receiver, SettleOutcome, Source } from '../adapter/contract.ts'
import type { MessageQueueConfig } from '../config/message-queue-config.ts'
import { pause, sleep, withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { LeaseLostError } from '../errors.ts'
import { closeQuietly, closingMs } from './close-quietly.ts'
import { Held, type SettleResult, type Settled } from './held.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { ACK, logSettled, RELEASE, settleAgainAfter, settleAll, type Settlement } from './settlement.ts'
import { keyOf } from '../message/target.ts'
import { classify, wrapError } from '../wrap-error.ts'

/** Acknowledgements without an answer, in prefetches, that reading goes on with: a crash makes all of them come again. */
const MOST_ANSWERING = 4

/** How long the settlements under way may take when a receiver is closed. */
const SETTLE_MS = 10_000

/** How long a message whose dead-lettering failed is kept before it is given back. */
const GIVE_BACK_MS = 1000

/**
 * An open receiver with everything that core keeps about it: the deliveries held, their leases, and settlements gathered into few
 * calls. Consumers, `receive` and iterators each use their own.
 */
export class Intake {
  readonly #engine: Engine
  readonly source: Source
  /** Told when an ack was confirmed or failed, so that a consumer can fetch more. */
  onFreed: () => void = () => undefined
  /** Told when acknowledgements were answered. */
  onAcknowledged: () => void = () => undefined
  /** Told when a delivery was settled that its handler had left to be settled by hand. */
  onSettledByHand: (held: Held) => void = () => undefined
  /** Told when a delivery was lost to somebody else. */
  onLost: (held: Held) => void = () => undefined
  /** Runs a delivery that was rejected by hand again after a wait, where the broker's own retry would lose its place. */
  onRetry: ((held: Held, again: Held, delayMs: number) => void) | null = null
  /** When the last of those is due that wait for a retry in the receiver: closed before, it would give them back. */
  waitsUntil = 0
  readonly #helds: Held[] = []
  readonly #keeper: LeaseKeeper
  #receiver: Receiver | null = null
  #acks: Held[] = []
  #flush: 'none' | 'later' | 'soon' = 'none'
  /** Acknowledged, and not heard of yet. */
  #answering = 0
  #pendingCalls = new Set<Promise<void>>()
  #closed = false

  private constructor(engine: Engine, source: Source) {
    this.#engine = engine
    this.source = source
    this.#keeper = new LeaseKeeper(engine, this)
  }

  /** Subscribes. Throws wrapped errors. */
  static async open(engine: Engine, source: Source): Promise<Intake> {
    const { adapter, clock, config } = engine
    const intake = new Intake(engine, source)
    const label = keyOf(source.target)
    try {
      intake.#receiver = await withDeadline(
        clock,
        // The first open of a Kafka group waits for the group, up to its rebalance time.
        Math.max(config.producer.requestTimeoutMs, config.consumer.sessionTimeoutMs),
        `opening ${label}`,
        () => adapter.open(source, (deliveries) => intake.#takenBack(deliveries)),
        (late) => void closeQuietly(late),
      )
    } catch (error) {
      throw wrapError(adapter, error, `Cannot receive from ${label}`)
    }
    return intake
  }

  belongsTo(engine: Engine): boolean {
    return this.#engine === engine
  }

  get config(): MessageQueueConfig {
    return this.#engine.config
  }

  get held(): readonly Held[] {
    return this.#helds
  }

  get receiver(): Receiver {
    return this.#receiver as Receiver
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Unsettled deliveries, those whose settlement is on its way included. */
  get size(): number {
    return this.#helds.length
  }

  /**
   * How many of `prefetch` are taken. An acknowledgement on its way counts no more, so that the next messages are asked for while the
   * broker still answers it; of those that wait for an answer there are never more than a few times the prefetch.
   */
  get taken(): number {
    return this.#helds.length - Math.min(this.#answering, this.source.prefetch * MOST_ANSWERING)
  }

  /** Up to `max` deliveries, now held. Throws the adapter's own error. */
  async receive(max: number, signal: AbortSignal, waitMs?: number): Promise<Held[]> {
    const deliveries = await this.receiver.receive(max, signal, waitMs)
    if (this.#closed) return []
    const helds: Held[] = new Array<Held>(deliveries.length)
    for (let i = 0; i < deliveries.length; i++) {
      const held = new Held(deliveries[i] as Delivery, this)
      held.index = this.#helds.length
      this.#helds.push(held)
      helds[i] = held
    }
    this.#engine.stats.inFlight += helds.length
    if (helds.length > 0) this.#keeper.start()
    return helds
  }

  /**
   * Acknowledges with the next flush; `done` hears the outcome. Flushed before anything else happens when the caller is idle, else at
   * the end of this turn of the event loop, so that what ends together goes together.
   */
  ack(held: Held, idle: boolean, done?: Settled): void {
    held.state = 'settling'
    held.done = done
    if (held.claim === null) this.#ack(held, idle)
    else {
      // First remembered: between the two a crash then makes no duplicate.
      const remembered = held.claim.remember().then(() => {
        if (held.state === 'lost') this.#lose(held)
        else this.#ack(held, idle)
      })
      this.waitFor(remembered)
    }
  }

  #ack(held: Held, idle: boolean): void {
    this.#acks.push(held)
    if (this.#flush === 'soon') return
    if (idle) {
      this.#flush = 'soon'
      queueMicrotask(() => this.#flushAcks())
    } else if (this.#flush === 'none') {
      this.#flush = 'later'
      setImmediate(() => this.#flushAcks())
    }
  }

  #flushAcks(): void {
    this.#flush = 'none'
    if (this.#acks.length === 0) return
    const waiting = this.#acks
    this.#acks = []
    this.#track(this.#settle(waiting, ACK, [], 1))
    this.onFreed()
  }

  /** Keeps a delivery for `ms` from now. Throws `LeaseLostError` when it belongs to somebody else already. */
  async extend(held: Held, ms: number): Promise<void> {
    const now = this.#engine.clock.monotonic()
    const { lease } = held
    // The last renewal lasts a whole lease by itself.
    const asked = { renewUntil: now + ms - this.source.leaseMs + this.#keeper.intervalMs, endsAt: now + ms }
    const before = lease === null ? null : { ...lease }
    if (lease !== null) Object.assign(lease, asked)
    try {
      await this.#keeper.renew([held])
    } catch (error) {
      if (lease !== null) Object.assign(lease, before)
      throw error
    }
    held.extended = asked
    if (held.state === 'lost') throw new LeaseLostError(held.delivery.id)
    this.#keeper.start()
  }

  /** Any settlement but an ack, by itself. One that was lost while that was prepared is lost still. */
  settle(held: Held, settlement: Settlement, done?: Settled): void {
    held.done = done
    if (held.state === 'lost') return this.#lose(held)
    held.state = 'settling'
    held.givenBack = settlement.kind === 'release'
    const infos = settlement.kind === 'deadLetter' ? [settlement.info] : []
    if (
      settlement.kind === 'retry' &&
      this.source.ordered &&
      !this.#engine.adapter.capabilities.retryKeepsOrder
    )
      this.waitsUntil = Math.max(this.waitsUntil, this.#engine.clock.monotonic() + settlement.delayMs)
    this.#track(this.#settle([held], settlement, infos, 1))
  }

  /** Whether it waits here for its next attempt; otherwise the broker has to be told. */
  retryHere(held: Held, delayMs: number): boolean {
    if (this.onRetry === null) return false
    const again = held.again(this.#engine.clock.now())
    again.index = held.index
    this.#helds[held.index] = again
    held.index = -1
    this.onRetry(held, again, delayMs)
    return true
  }

  /** Gives back many at once, uncounted. Resolves when the broker was told, or cannot be. */
  async release(helds: readonly Held[]): Promise<void> {
    const open = helds.filter((held) => held.state === 'open')
    if (open.length === 0) return
    for (const held of open) {
      held.state = 'settling'
      held.givenBack = true
    }
    await this.#settle(open, RELEASE, [], 1)
  }

  #track(call: Promise<void>): void {
    this.#pendingCalls.add(call)
    void call.then(() => this.#pendingCalls.delete(call))
  }

  /** What leads to a settlement, and has to end before this is closed: else a message that was handled would come again. */
  waitFor(work: Promise<unknown>): void {
    this.#track(Promise.allSettled([work]).then(() => undefined))
  }

  /** Never rejects. */
  async #settle(
    helds: readonly Held[],
    settlement: Settlement,
    infos: readonly DeadLetterInfo[],
    attempt: number,
    leaseEndsAt = this.#engine.clock.monotonic() + this.source.leaseMs,
  ): Promise<void> {
    const acknowledged = settlement.kind === 'ack' ? helds.length : 0
    this.#answering += acknowledged
    const outcomes = await settleAll(this.#engine, this.receiver, helds, settlement, infos)
    this.#answering -= acknowledged
    logSettled(this.#engine, this.source.target, helds, settlement, outcomes)
    let again: Held[] | null = null
    let waitMs = 0
    let missing = false
    for (let i = 0; i < helds.length; i++) {
      const held = helds[i] as Held
      const outcome: SettleOutcome = outcomes[i] ?? {
        error: new Error('the adapter gave no outcome for this settlement'),
      }
      if (outcome === 'settled') this.#finish(held, 'settled', null)
      else if (outcome === 'lost') this.#lose(held)
      else {
        const delayMs =
          this.#closed || held.state === 'lost'
            ? null
            : settleAgainAfter(this.#engine, outcome.error, attempt, leaseEndsAt)
        if (delayMs === null) this.#giveUp(held, settlement, outcome.error)
        else {
          ;(again ??= []).push(held)
          waitMs = Math.max(waitMs, delayMs)
          missing ||= classify(this.#engine.adapter, outcome.error).code === ErrorCode.QUEUE_NOT_FOUND
        }
      }
    }
    if (settlement.kind === 'ack') this.onAcknowledged()
    this.onFreed()
    if (again === null) return
    await sleep(this.#engine.clock, waitMs)
    if (settlement.kind === 'deadLetter') {
      const { topology } = this.#engine
      // Deleted underneath: made again, as it was.
      if (missing) topology.missing(settlement.target)
      await topology.ensure(settlement.target).catch(() => undefined)
    }
    await this.#settle(again, settlement, infos, attempt + 1, leaseEndsAt)
  }

  #finish(held: Held, state: 'settled' | 'lost', result: SettleResult): void {
    held.state = state
    this.#drop(held)
    const { done } = held
    held.done = undefined
    if (held.byHand) this.onSettledByHand(held)
    done?.(result, held)
  }

  #lose(held: Held): void {
    const known = held.state === 'lost'
    this.#finish(held, 'lost', new LeaseLostError(held.delivery.id))
    if (!known) this.onLost(held)
  }

  /** The broker cannot be told: the message comes back when its lease ends or its connection closes. */
  #giveUp(held: Held, settlement: Settlement, error: unknown): void {
    const { adapter, logger, stats } = this.#engine
    const { id } = held.delivery
    const wrapped = wrapError(
      adapter,
      error,
      `Message ${id} could not be settled (${settlement.kind}) and will come again`,
    )
    stats.errorCount++
    if ((settlement.kind === 'deadLetter' || settlement.kind === 'retry') && !this.#closed) {
      // Kept: given back uncounted, so that it comes again. Where the connection is the lease, nothing else would bring it back.
      logger.error({ id, error: wrapped }, `${settlement.kind} failed; the message is given back`)
      void this.#giveBackAfter(held, settlement.kind === 'retry' ? settlement.delayMs : GIVE_BACK_MS)
    }
    const heard = held.done !== undefined
    this.#finish(held, 'lost', wrapped)
    if (!heard && this.#engine.supervisor.state === 'connected') this.#engine.emit('error', wrapped)
  }

  /** Not at once: what failed now would fail again, and again. */
  async #giveBackAfter(held: Held, ms: number): Promise<void> {
    await pause(this.#engine.clock, ms, this.#engine.supervisor.lifetime)
    if (!this.#closed) await settleAll(this.#engine, this.receiver, [held], RELEASE, [])
  }

  #drop(held: Held): void {
    const { index } = held
    if (index < 0) return
    const last = this.#helds.pop() as Held
    if (last !== held) {
      this.#helds[index] = last
      last.index = index
    }
    held.index = -1
    held.claim?.release()
    this.#engine.stats.inFlight--
  }

  /** The adapter, or a renewal, found that these belong to somebody else. */
  takenBack(helds: readonly Held[], cause: unknown): void {
    const lost = helds.filter((held) => held.state !== 'settled' && held.state !== 'lost')
    for (const held of lost) {
      const settling = held.state === 'settling'
      held.state = 'lost'
      held.abort(new LeaseLostError(held.delivery.id, { cause }))
      if (!settling) this.#drop(held)
    }
    // Only now: hearing of one starts the next of its key, which must not be one that is lost as well.
    for (const held of lost) this.onLost(held)
    this.onFreed()
  }

  #takenBack(deliveries: readonly Delivery[]): void {
    const gone = new Set(deliveries)
    this.takenBack(
      this.#helds.filter((held) => gone.has(held.delivery)),
      undefined,
    )
  }

  /** The connection is gone, and with it every claim. Nothing can be told to the broker. */
  abandon(cause: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#keeper.stop()
    this.takenBack([...this.#helds], cause)
  }

  /** The same for one that failed on a connection that is up: its receiver is closed, which nobody waits for. */
  discard(cause: unknown): void {
    this.abandon(cause)
    void closeQuietly(this.receiver)
  }

  /** Flushes settlements, gives back what is unsettled (uncounted), and unsubscribes, in `ms` more where it must. Never rejects, always settles. */
  async close(ms = 0): Promise<void> {
    if (this.#closed) return
    const { clock, logger, adapter } = this.#engine
    const until = clock.monotonic() + ms
    // A broker that does not answer must not hold up a shutdown: what it was not told comes again.
    await withDeadline(clock, SETTLE_MS, 'settling', async () => {
      this.#flushAcks()
      // The end of one may be the beginning of another.
      while (this.#pendingCalls.size > 0) {
        await Promise.all([...this.#pendingCalls])
        this.#flushAcks()
      }
      await this.release([...this.#helds])
    }).catch((error: unknown) => logger.debug({ error }, 'a receiver is closed with settlements under way'))
    this.#closed = true
    this.#keeper.stop()
    const closeMs = closingMs(adapter.capabilities, until - clock.monotonic())
    await withDeadline(clock, closeMs, 'closing a receiver', (signal) => this.receiver.close(signal)).catch(
      (error: unknown) => logger.debug({ error }, 'a receiver did not close cleanly'),
    )
    for (const held of [...this.#helds]) {
      held.state = 'lost'
      held.abort(new LeaseLostError(held.delivery.id, { cause: new Error('The consumer was closed') }))
      this.#drop(held)
    }
  }
}
