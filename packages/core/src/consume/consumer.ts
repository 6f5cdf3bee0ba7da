import { BatchRunner } from './batch-runner.ts'
import { composeProcess } from '../middleware/compose.ts'
import type { Middleware } from '../middleware/types.ts'
import { Backlog } from './backlog.ts'
import { withDeadline } from '../deadline.ts'
import { Drain } from '../drain.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { checkStopOptions, type StopOptions, type StopResult } from '../stop-options.ts'
import { MessageQueueError } from '../errors.ts'
import { END_MS, Fetcher } from './fetcher.ts'
import { CircuitBreaker, RateLimiter, TurnGate } from './gates.ts'
import type { Held, Settled } from './held.ts'
import type { Message } from '../message/message.ts'
import type { ConsumerPlan } from './plan.ts'
import { SingleRunner } from './runner.ts'
import type { Slots } from './slots.ts'
import { composeChain } from './handler-chain.ts'
import type { Chain } from './timed-run.ts'
import { traced } from './traced.ts'
import { Verdicts, type VerdictHost } from './verdicts.ts'

export interface ConsumerStats {
  readonly queue: string
  readonly state: 'running' | 'paused' | 'stopping' | 'stopped'
  /** Handlers that run now. */
  readonly running: number
  /** Fetched and not started. */
  readonly buffered: number
  /** Fetched, and not yet acknowledged or settled otherwise; running ones included. Never more than the prefetch. */
  readonly unsettled: number
  /** Handler runs that succeeded, and that failed, since it started. */
  readonly handled: number
  readonly failed: number
  readonly circuit: 'closed' | 'open' | 'half-open'
  /** No run ended for `consumer.maxPollIntervalMs` although one is under way, or the broker cannot be read from. */
  readonly stuck: boolean
}

/** What a consumer needs of the MessageQueue that made it. */
export interface ConsumerHost {
  readonly middlewares: readonly Middleware[]
  readonly slots: Slots
  answer: VerdictHost['answer']
  extend(held: Held, ms: number): Promise<void>
  /** Stopped for good. */
  ended(consumer: Consumer): void
}

/** Takes messages of one queue or subscription and runs its handler, until stopped. */
export class Consumer {
  readonly #engine: Engine
  readonly #plan: ConsumerPlan
  readonly #host: ConsumerHost
  readonly #single: SingleRunner
  readonly #batches: BatchRunner
  readonly #turnGate: TurnGate | null
  readonly #limiter: RateLimiter | null
  readonly #breaker: CircuitBreaker | null
  readonly #fetcher: Fetcher
  readonly #backlog: Backlog
  readonly #drain: Drain
  #chain: Chain
  /** How many middlewares the chain has. */
  #composed = 0
  #state: ConsumerStats['state'] = 'running'
  #running = 0
  #handled = 0
  #failed = 0
  #probe: Held | null = null
  #starting = false
  #timer: unknown = null
  #timerAt = 0
  #firstOfBatchAt = 0
  #lastProgressAt: number
  #stopped: Promise<StopResult> | null = null

  constructor(engine: Engine, plan: ConsumerPlan, host: ConsumerHost) {
    this.#engine = engine
    this.#plan = plan
    this.#host = host
    const verdicts = new Verdicts(engine, plan, this)
    this.#single = new SingleRunner(engine, plan, verdicts, this)
    this.#batches = new BatchRunner(engine, plan, verdicts, this)
    const pace = engine.adapter.pace?.start
    this.#turnGate = pace === undefined ? null : new TurnGate(pace, this.#startRuns)
    this.#limiter = plan.rateLimit === null ? null : new RateLimiter(plan.rateLimit.max, plan.rateLimit.perMs)
    const breaker = plan.circuitBreaker
    this.#breaker = breaker === null ? null : new CircuitBreaker(breaker.failures, breaker.openMs)
    this.#fetcher = new Fetcher(engine, plan, this)
    this.#backlog = new Backlog(engine.clock, plan.ordered)
    this.#drain = new Drain(engine.clock, () => this.#single.idle && this.#batches.active.size === 0)
    this.#lastProgressAt = engine.clock.monotonic()
    this.#chain = composeChain(engine, [], plan)
  }

  /** Middleware that is added while this runs wraps what comes from then on, as it does for sends. @internal */
  get chain(): Chain {
    const { middlewares } = this.#host
    if (this.#composed !== middlewares.length) {
      this.#composed = middlewares.length
      this.#chain = composeChain(this.#engine, middlewares, this.#plan)
    }
    return this.#chain
  }

  /** Subscribes, then runs in the background. Rejects when the queue cannot be opened. @internal */
  start(): Promise<void> {
    return this.#fetcher.start()
  }

  /** The queue, or `topic/subscription`: what errors and stats call it. */
  get label(): string {
    return this.#plan.label
  }

  /** Stops fetching and starting; what runs goes on, what was fetched stays leased. Loses nothing. */
  pause(): void {
    if (this.#state !== 'running') return
    this.#state = 'paused'
    this.#fetcher.pause()
  }

  /** Goes on after `pause`. */
  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    this.#resumeRuns()
    this.#fetcher.resume()
  }

  /** What it does now, and has done since it started. */
  stats(): ConsumerStats {
    return {
      queue: this.#plan.label,
      state: this.#state,
      running: this.#running,
      buffered: this.#backlog.size,
      unsettled: this.#fetcher.intake?.taken ?? 0,
      handled: this.#handled,
      failed: this.#failed,
      circuit: this.#breaker?.state ?? 'closed',
      stuck: this.#isStuck(),
    }
  }

  /** Held, and waiting for a retry. @internal */
  get waiting(): number {
    return this.#backlog.inPlace
  }

  #isStuck(): boolean {
    if (this.#fetcher.failing) return true
    return (
      this.#running > 0 &&
      this.#engine.clock.monotonic() - this.#lastProgressAt > this.#engine.config.consumer.maxPollIntervalMs
    )
  }

  /**
   * Takes no more, waits up to `timeoutMs` (default 30 s) for what runs, gives back what was not started, and unsubscribes. Always
   * settles. Handlers that still run then are aborted and listed; their messages come again, uncounted. A second call, `disconnect`
   * included, shares the first: the shorter time counts.
   */
  async stop(options: StopOptions = {}): Promise<StopResult> {
    checkStopOptions(options, 'stop')
    const { timeoutMs = 30_000 } = options
    this.#drain.limit(timeoutMs)
    this.#stopped ??= this.#stop(timeoutMs)
    return this.#stopped
  }

  async #stop(timeoutMs: number): Promise<StopResult> {
    const { clock } = this.#engine
    this.#state = 'stopping'
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    await this.#fetcher.stop()
    // Handlers have their whole time meanwhile; closing waits for it.
    const { intake } = this.#fetcher
    const given = this.giveBackUnstarted(Math.min(Math.max(1000, timeoutMs), END_MS))
    intake?.waitFor(given)
    await this.#drain.wait()
    const abandoned = [...this.#single.active, ...this.#batches.active]
    // Given back before their handlers hear of it: what those do about it is no attempt, whatever else is still being settled.
    intake?.waitFor(intake.release(abandoned))
    for (const held of abandoned) {
      held.abort(
        new MessageQueueError('The consumer is stopping and its time is up', { code: ErrorCode.ABORTED }),
      )
    }
    await intake?.close(this.#drain.left)
    this.#single.stop()
    this.#batches.stop()
    this.#state = 'stopped'
    // A handler that never ends must not keep its slot from those that come later.
    for (; this.#running > 0; this.#running--) this.#host.slots.give()
    this.#host.slots.forget(this.#resumeRuns)
    this.#host.ended(this)
    return { drained: abandoned.length === 0, abandoned: abandoned.map((held) => held.delivery.id) }
  }

  // What the fetcher asks for

  /** @internal */
  get ready(): number {
    return this.#backlog.ready
  }

  /** @internal */
  async giveBackUnstarted(ms: number): Promise<void> {
    const { clock, logger } = this.#engine
    const unstarted = this.#backlog.drain()
    const { intake } = this.#fetcher
    if (unstarted.length === 0 || intake === null || intake.closed) return
    await withDeadline(clock, ms, 'giving back', () => intake.release(unstarted)).catch((error: unknown) =>
      logger.debug({ error }, 'what was not started could not be given back in time'),
    )
  }

  /** The connection is gone: all that was fetched will come again. @internal */
  connectionLost(cause: unknown): void {
    this.#backlog.drain()
    this.#fetcher.connectionLost(cause)
  }

  /** @internal */
  accept(helds: readonly Held[]): void {
    if (helds.length === 0) return
    const now = this.#engine.clock.monotonic()
    this.#engine.stats.messagesReceived += helds.length
    if (this.#backlog.ready === 0) this.#firstOfBatchAt = now
    if (this.#running === 0) this.#lastProgressAt = now
    this.#backlog.add(helds)
    this.#startRuns()
  }

  /** @internal */
  lost(held: Held): void {
    if (held.message !== null) this.#engine.emit('leaseLost', held.message)
    this.settled(null, held)
  }

  /** Acknowledgements were answered, so runs come to their end. @internal */
  progressed(): void {
    this.#lastProgressAt = this.#engine.clock.monotonic()
  }

  // Running

  /** After a wait: what it was for took its time, and is no sign of being stuck. */
  readonly #resumeRuns = (): void => {
    if (this.#running === 0) this.progressed()
    this.#startRuns()
  }

  /** Starts what may start now. Not re-entered: a handler that returns at once ends inside of it. */
  readonly #startRuns = (): void => {
    if (this.#starting) return
    this.#starting = true
    try {
      while (
        this.#state === 'running' &&
        this.#backlog.ready > 0 &&
        this.#running < this.#plan.concurrency &&
        this.#gateOpen()
      ) {
        if (!this.#host.slots.take(this.#resumeRuns)) break
        if (this.#plan.batch === null) this.#startOne()
        else this.#startBatch(this.#batchSize(this.#plan.batch.size))
      }
    } finally {
      this.#starting = false
    }
  }

  #startOne(): void {
    const held = this.#backlog.next()
    if (held.state !== 'open') return this.#host.slots.give()
    this.#begin()
    if (this.#breaker?.started() === true) this.#probe = held
    this.#single.start(held)
  }

  /** The breaker probes with one message. */
  #batchSize(size: number): number {
    return this.#breaker === null || this.#breaker.state === 'closed' ? size : 1
  }

  #startBatch(size: number): void {
    const helds: Held[] = []
    while (helds.length < size && this.#backlog.ready > 0) {
      const held = this.#backlog.next()
      if (held.state === 'open') helds.push(held)
    }
    this.#firstOfBatchAt = this.#engine.clock.monotonic()
    if (helds.length === 0) return this.#host.slots.give()
    this.#begin()
    if (this.#breaker?.started() === true) this.#probe = helds[0] ?? null
    this.#batches.start(
      helds,
      (core) =>
        traced(
          this.#engine,
          this.#plan,
          composeProcess<[Held]>(this.#host.middlewares, async (message, held) => core(message, held)),
        ),
      () => this.#freeSlot(),
    )
  }

  #begin(): void {
    this.#running++
    this.#turnGate?.started()
    this.#limiter?.started(this.#engine.clock.monotonic())
  }

  /** Whether turn, batch, rate and breaker let a run start now; if not, looks again in time. */
  #gateOpen(): boolean {
    if (this.#turnGate?.open() === false) return false
    if (this.#limiter === null && this.#breaker === null && this.#plan.batch === null) return true
    const now = this.#engine.clock.monotonic()
    let waitMs = Math.max(this.#limiter?.waitMs(now) ?? 0, this.#breaker?.waitMs(now) ?? 0)
    const { batch } = this.#plan
    if (batch !== null && this.#backlog.ready < this.#batchSize(batch.size)) {
      waitMs = Math.max(waitMs, this.#firstOfBatchAt + batch.waitMs - now)
    }
    if (waitMs <= 0) return true
    if (waitMs !== Infinity && (this.#timer === null || now + waitMs < this.#timerAt))
      this.#lookAgain(now, waitMs)
    return false
  }

  /** Sooner than before where a batch filled meanwhile. */
  #lookAgain(now: number, waitMs: number): void {
    const { clock } = this.#engine
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timerAt = now + waitMs
    this.#timer = clock.setTimeout(() => {
      this.#timer = null
      this.#resumeRuns()
    }, waitMs)
  }

  /** A run is over; a batch frees its slot by itself. @internal */
  ended(held: Held, ok: boolean | null): void {
    if (ok === true) this.#handled++
    else if (ok === false) this.#failed++
    // An acknowledgement says so later, once for many; whatever else may follow, or nothing, says it here.
    if (ok !== true || this.#plan.mode !== 'auto') this.progressed()
    const isProbe = held === this.#probe
    if (isProbe) this.#probe = null
    this.#breaker?.ended(isProbe, ok, this.#lastProgressAt)
    if (this.#plan.batch === null) this.#freeSlot()
  }

  #freeSlot(): void {
    if (this.#state === 'stopped') return
    this.#running--
    this.#host.slots.give()
    this.#startRuns()
    this.#drain.check()
  }

  // What verdicts and runners ask for

  /** @internal */
  isProbe(held: Held): boolean {
    return held === this.#probe
  }

  /** @internal */
  idle(): boolean {
    return this.#running <= 1 && this.#backlog.ready === 0
  }

  /** @internal */
  readonly settled: Settled = (_result, held) => {
    if (this.#backlog.leave(held)) this.#startRuns()
  }

  /** @internal */
  waitInPlace(held: Held, delayMs: number, failures: 0 | 1): void {
    this.#backlog.waitInPlace(held, delayMs, failures, this.#resumeRuns)
  }

  /** @internal */
  readonly retryHere = (held: Held, again: Held, delayMs: number): void => {
    this.#backlog.replace(held, again)
    this.waitInPlace(again, delayMs, 0)
  }

  /** @internal */
  answer(message: Message, outcome: { value: unknown } | { error: Error }): Promise<void> {
    return this.#host.answer(message, outcome)
  }

  /** @internal */
  readonly extend = (held: Held, ms: number): Promise<void> => this.#host.extend(held, ms)
}
