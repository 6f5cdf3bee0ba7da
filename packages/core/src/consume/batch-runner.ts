import { performance } from 'node:perf_hooks'
import { admit, deduplicationOf } from './admission.ts'
import { answerOf } from './batch-answer.ts'
import { acknowledgeFirst, type Deduplication } from './deduplication.ts'
import type { Engine } from '../engine.ts'
import type { MessageQueueConfig } from '../config/message-queue-config.ts'
import { CONFIG } from './context.ts'
import type { HandlerContext } from './handler.ts'
import type { Held } from './held.ts'
import type { Message } from '../message/message.ts'
import type { ConsumerPlan } from './plan.ts'
import { RunClock } from './run-clock.ts'
import type { RunnerHost } from './runner.ts'
import { handlerTimeout, isThenable } from './timed-run.ts'
import type { Verdicts } from './verdicts.ts'

interface Item {
  readonly message: Message
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

/** What middleware wraps. The delivery goes with its message, in whose place a middleware may put another. */
export type BatchCore = (message: Message, held: Held) => unknown

interface BatchItem {
  readonly held: Held
  readonly message: Message
}

interface BatchRun {
  readonly helds: readonly Held[]
  readonly startedAt: number
  ended: boolean
  /** Settles every item that has not got an outcome of its own. */
  fail(error: unknown): void
}

/**
 * Runs the handler for many messages at once. Middleware still wraps each message: it starts for all, the handler gets those that
 * reached it, and each middleware then sees the outcome of its own message.
 */
export class BatchRunner {
  readonly #engine: Engine
  readonly #plan: ConsumerPlan
  readonly #verdicts: Verdicts
  readonly #host: RunnerHost
  readonly #clock: RunClock<BatchRun> | null
  readonly #active = new Set<Held>()

  constructor(engine: Engine, plan: ConsumerPlan, verdicts: Verdicts, host: RunnerHost) {
    this.#engine = engine
    this.#plan = plan
    this.#verdicts = verdicts
    this.#host = host
    const { timeoutMs } = plan
    this.#clock =
      timeoutMs === null
        ? null
        : new RunClock(engine.clock, timeoutMs, (run: BatchRun) => this.#timedOut(run))
  }

  get active(): ReadonlySet<Held> {
    return this.#active
  }

  /** One batch, one slot; `done` when the slot is free. */
  start(helds: readonly Held[], wrap: (core: BatchCore) => BatchCore, done: () => void): void {
    const items: BatchItem[] = []
    for (const held of helds) {
      this.#active.add(held)
      const message = admit(this.#engine, this.#plan, this.#verdicts, held)
      if (message === null) this.#end(held, null)
      else items.push({ held, message })
    }
    if (items.length === 0) return done()
    const asked = items.some(({ message }) => this.#deduplication(message) !== null)
    void (asked ? this.#runNew(items, wrap) : this.#run(items, wrap)).finally(done)
  }

  #deduplication(message: Message): Deduplication | null {
    return deduplicationOf(this.#engine, this.#plan.deduplicationWindowMs, message)
  }

  /** Without those that were handled before, or of which another copy is under way. */
  async #runNew(items: readonly BatchItem[], wrap: (core: BatchCore) => BatchCore): Promise<void> {
    const windowMs = this.#plan.deduplicationWindowMs ?? 0
    const admitted = await Promise.all(
      items.map(
        async ({ held, message }) =>
          this.#deduplication(message)?.admit(held, message, windowMs, this.#host.settled) ?? true,
      ),
    )
    const fresh = items.filter(({ held }, i) => {
      // One may have been lost, or have expired, while the store was asked for another.
      const runs =
        admitted[i] === true &&
        held.state === 'open' &&
        admit(this.#engine, this.#plan, this.#verdicts, held) !== null
      if (!runs) this.#end(held, null)
      return runs
    })
    if (fresh.length > 0) await this.#run(fresh, wrap)
  }

  async #run(items: readonly BatchItem[], wrap: (core: BatchCore) => BatchCore): Promise<void> {
    if (this.#plan.mode === 'none') items = await this.#acknowledged(items)
    if (items.length === 0) return
    const gathered: Item[] = []
    const arrived = new Set<Held>()
    let open: () => void = () => undefined
    const allArrived = new Promise<void>((resolve) => (open = resolve))
    const arrive = (held: Held) => {
      arrived.add(held)
      if (arrived.size === items.length) open()
    }
    let timedOut: { readonly error: unknown } | null = null
    const chain = wrap((message, held) =>
      // Whoever comes after the time is up finds nobody to gather with.
      timedOut !== null
        ? Promise.reject(timedOut.error)
        : new Promise((resolve, reject) => {
            gathered.push({ message, resolve, reject })
            arrive(held)
          }),
    )
    let giveUp: () => void = () => undefined
    const over = new Promise<void>((resolve) => (giveUp = resolve))
    const run: BatchRun = {
      helds: items.map(({ held }) => held),
      startedAt: this.#engine.clock.monotonic(),
      ended: false,
      fail: (error) => {
        timedOut = { error }
        for (const item of gathered) item.reject(error)
        // Not by way of their middleware, which may never answer.
        for (const { held, message } of items) this.#failed(held, message, error)
        giveUp()
      },
    }
    this.#clock?.started(run)
    const beganAt = performance.now()
    const ends = items.map(async ({ held, message }) => {
      try {
        const value = await chain(message, held)
        // A middleware that answers without calling next never arrives.
        if (!arrived.has(held)) arrive(held)
        if (!this.#active.delete(held)) return
        this.#verdicts.succeeded(held, message, value)
        this.#host.ended(held, true)
      } catch (error) {
        if (!arrived.has(held)) arrive(held)
        this.#failed(held, message, error)
      }
    })
    void allArrived.then(() => {
      if (gathered.length > 0 && !run.ended) this.#handle(gathered, run)
    })
    await Promise.race([Promise.all(ends), over])
    run.ended = true
    this.#engine.stats.runs?.record((performance.now() - beganAt) / 1000)
  }

  /** Once for each message: its middleware may answer after its time was up. */
  #failed(held: Held, message: Message, error: unknown): void {
    if (!this.#active.delete(held)) return
    this.#verdicts.failed(held, message, error)
    this.#host.ended(held, false)
  }

  /** Mode `none`: those whose acknowledgement arrived; the others come again. */
  async #acknowledged(items: readonly BatchItem[]): Promise<BatchItem[]> {
    const results = await Promise.all(items.map(({ held }) => acknowledgeFirst(held)))
    return items.filter(({ held }, i) => {
      const result = results[i] ?? null
      if (result === null) return true
      this.#host.settled(result, held)
      this.#end(held, null)
      return false
    })
  }

  /** Calls the handler; each item gets its outcome when the handler answers, or when the run timed out. */
  #handle(gathered: readonly Item[], run: BatchRun): void {
    const messages = gathered.map(({ message }) => message)
    const context = new BatchContext(run.helds, this.#engine.logger, this.#host.extend)
    const assign = (answers: unknown) => {
      gathered.forEach((item, i) => {
        try {
          item.resolve(answerOf(answers, i))
        } catch (error) {
          item.reject(error)
        }
      })
    }
    const failAll = (error: unknown) => {
      for (const item of gathered) item.reject(error)
    }
    try {
      const handled: unknown = this.#plan.handler.run(messages as never, context)
      if (isThenable(handled)) handled.then(assign, failAll)
      else assign(handled)
    } catch (error) {
      failAll(error)
    }
  }

  #timedOut(run: BatchRun): void {
    if (run.ended) return
    run.ended = true
    const error = handlerTimeout(this.#plan)
    for (const held of run.helds) held.abort(error)
    run.fail(error)
  }

  #end(held: Held, ok: boolean | null): void {
    this.#active.delete(held)
    this.#host.ended(held, ok)
  }

  stop(): void {
    this.#clock?.stop()
  }
}

/** Aborts as soon as one of the batch's messages does. `attempt` is that of the message that failed most often. */
class BatchContext implements HandlerContext {
  readonly #helds: readonly Held[]
  readonly #runs: readonly Held['run'][]
  readonly #extend: (held: Held, ms: number) => Promise<void>
  readonly logger: HandlerContext['logger']
  readonly attempt: number
  #signal: AbortSignal | null = null

  constructor(
    helds: readonly Held[],
    logger: HandlerContext['logger'],
    extend: (held: Held, ms: number) => Promise<void>,
  ) {
    this.#helds = helds
    this.#runs = helds.map((held) => held.run)
    this.#extend = extend
    this.logger = logger
    // Not as so many arguments: a call takes some 100,000.
    this.attempt = helds.reduce((most, { deliveryCount }) => Math.max(most, deliveryCount), 0) + 1
  }

  get signal(): AbortSignal {
    this.#signal ??= anyOf(this.#runs.map((run) => run.signal))
    return this.#signal
  }

  get [CONFIG](): MessageQueueConfig | undefined {
    return this.#helds[0]?.intake.config
  }

  get extend(): (ms: number) => Promise<void> {
    return async (ms) => {
      await Promise.all(this.#helds.map((held) => this.#extend(held, ms)))
    }
  }
}

/** As `AbortSignal.any`, which on Node 20 holds for ever what a handler that does not take its listener off again listens with. */
function anyOf(signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController()
  for (const signal of signals) {
    const abort = () => controller.abort(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  }
  return controller.signal
}
