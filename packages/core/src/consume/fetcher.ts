import { untilAborted } from '../adapter/until-aborted.ts'
import { backoffDelay } from '../backoff.ts'
import { pause as wait, withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { ConnectionError } from '../errors.ts'
import type { Held, Settled } from './held.ts'
import { Intake } from './intake.ts'
import { waitsInPlace, type ConsumerPlan } from './plan.ts'
import { outlasting, RETRY_OPEN } from '../outlasting.ts'
import { classify } from '../wrap-error.ts'

/** A consumer waits for the connection as long as it takes; this only bounds one wait. */
export const RECONNECT_PATIENCE_MS = 3_600_000

/** The first failures are often passing; what lasts is shown by health. */
const PASSING_FAILURES = 3

/** How long a receiver may take to hear that it is to receive no more. */
export const END_MS = 5000

export interface FetcherHost {
  /** Fetched, and could start now. */
  readonly ready: number
  accept(helds: readonly Held[]): void
  lost(held: Held): void
  /** Settled by hand, after its handler. */
  readonly settled: Settled
  /** Rejected by hand, and to be run again here. */
  readonly retryHere: (held: Held, again: Held, delayMs: number) => void
  /** Acknowledgements were answered. */
  progressed(): void
  /** Returns to the broker what was fetched and not started. Waits `ms` at most for its answer, and never rejects. */
  giveBackUnstarted(ms: number): Promise<void>
}

/**
 * The reading half of a consumer: keeps up to `prefetch` unsettled deliveries at hand, waits out lost connections, and opens a receiver
 * that failed again.
 */
export class Fetcher {
  readonly #engine: Engine
  readonly #plan: ConsumerPlan
  readonly #host: FetcherHost
  readonly #end = new AbortController()
  #call = new AbortController()
  #intake: Intake | null = null
  #loop: Promise<void> = Promise.resolve()
  #wake: (() => void) | null = null
  #paused = false
  #failing = false

  constructor(engine: Engine, plan: ConsumerPlan, host: FetcherHost) {
    this.#engine = engine
    this.#plan = plan
    this.#host = host
  }

  get intake(): Intake | null {
    return this.#intake
  }

  /** Whether reading has failed several times in a row, on a connection that is up. */
  get failing(): boolean {
    return this.#failing
  }

  /** Subscribes, then reads in the background. Waits out a lost connection; rejects when the queue cannot be opened. */
  async start(): Promise<void> {
    const { target, config } = this.#plan
    const open = () => this.#openUnlessEnded()
    this.#intake = await this.#engine.topology.on(target, config, () =>
      outlasting(this.#engine, 'consume', this.#end.signal, open),
    )
    this.#loop = this.#run()
  }

  pause(): void {
    this.#paused = true
    this.#call.abort()
  }

  resume(): void {
    this.#paused = false
    this.#call = new AbortController()
    this.#poke()
  }

  /** Resolves when nothing more is read, at the latest after a few seconds. The receiver stays open: `intake.close`. */
  async stop(): Promise<void> {
    const { clock, logger } = this.#engine
    this.#end.abort()
    this.#call.abort()
    this.#poke()
    const end = async () => {
      await this.#loop
      await this.#takeLast()
    }
    await withDeadline(clock, END_MS, `ending to read ${this.#plan.label}`, end).catch((error: unknown) =>
      logger.debug({ error }, 'a receiver did not end in time'),
    )
  }

  /** What was sent ahead goes back with the rest, and what comes while handlers end is for others. */
  async #takeLast(): Promise<void> {
    const intake = this.#intake
    if (intake === null || intake.closed) return
    const room = Math.max(1, this.#plan.prefetch - intake.taken)
    this.#host.accept(await intake.receive(room, this.#end.signal, 0))
  }

  /** The connection is gone: all that was fetched will come again. */
  connectionLost(cause: unknown): void {
    this.#intake?.abandon(new ConnectionError('The connection was lost', { cause }))
    // A call on a dead receiver should reject by itself; it must not depend on that.
    this.#call.abort()
    this.#call = new AbortController()
    this.#poke()
  }

  async #open(): Promise<Intake> {
    const { target, prefetch, leaseMs, ordered } = this.#plan
    const source = { target, mode: 'consume', prefetch, leaseMs, ordered, after: undefined } as const
    const intake = await Intake.open(this.#engine, source)
    intake.onFreed = () => this.#poke()
    intake.onAcknowledged = () => this.#host.progressed()
    intake.onLost = (held) => this.#host.lost(held)
    intake.onSettledByHand = (held) => this.#host.settled(null, held)
    if (waitsInPlace(this.#engine, this.#plan)) intake.onRetry = this.#host.retryHere
    return intake
  }

  async #run(): Promise<void> {
    const { signal } = this.#end
    for (let failures = 0; !signal.aborted;) {
      try {
        if (this.#intake === null || this.#intake.closed) this.#intake = await this.#reopen()
        if (signal.aborted) break
        const room = this.#room()
        if (room === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
        else {
          const helds = await this.#intake.receive(room, this.#call.signal)
          this.#host.accept(helds)
          failures = 0
          this.#failing = false
          if (helds.length === 0 || this.#engine.turn.overdue()) await this.#engine.turn.next()
        }
      } catch (error) {
        if (signal.aborted || this.#engine.supervisor.state === 'disconnected') break
        await this.#recover(error, ++failures)
      }
    }
  }

  /** How many to ask for: 0 while paused, or until enough were settled for another call to be worth it. */
  #room(): number {
    if (this.#paused) return 0
    const { prefetch, batch } = this.#plan
    const room = prefetch - (this.#intake?.taken ?? 0)
    // A batch that is not full waits for every message.
    const short = this.#host.ready < (batch === null ? 1 : batch.size)
    return short || room >= prefetch >> 2 ? Math.max(0, room) : 0
  }

  #poke(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  async #reopen(): Promise<Intake> {
    const { supervisor, topology } = this.#engine
    await untilAborted(supervisor.ready('consume', RECONNECT_PATIENCE_MS, true), this.#end.signal)
    await topology.ensure(this.#plan.target, this.#plan.config)
    return this.#openUnlessEnded()
  }

  async #openUnlessEnded(): Promise<Intake> {
    const intake = await this.#open()
    // Opened after `stop` had given up waiting: nobody else would close it.
    if (this.#end.signal.aborted) await intake.close()
    return intake
  }

  /** A receiver that failed is closed and opened again, after a growing wait; a queue deleted underneath is made again. */
  async #recover(error: unknown, failures: number): Promise<void> {
    const { adapter, logger, supervisor, topology, clock, stats } = this.#engine
    const { code } = classify(adapter, error)
    const connected = supervisor.state === 'connected'
    if (connected) {
      stats.errorCount++
      this.#failing = failures > PASSING_FAILURES
      logger.warn({ queue: this.#plan.label, error, failures }, 'receiving failed; trying again')
    }
    if (code === ErrorCode.QUEUE_NOT_FOUND) topology.missing(this.#plan.target)
    const intake = this.#intake
    if (intake !== null && !intake.closed) {
      if (connected) await this.#host.giveBackUnstarted(END_MS)
      // Its running handlers may still settle by it; they are told when they try.
      if (connected) intake.discard(error)
      else intake.abandon(error)
    }
    this.#intake = null
    await wait(clock, backoffDelay(RETRY_OPEN, Math.min(failures, 10)), this.#end.signal)
  }
}
