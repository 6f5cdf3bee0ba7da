import { performance } from 'node:perf_hooks'
import { admit, deduplicationOf } from './admission.ts'
import { RunContext } from './context.ts'
import { acknowledgeFirst, type Deduplication } from './deduplication.ts'
import type { Engine } from '../engine.ts'
import type { Held, Settled } from './held.ts'
import type { Message } from '../message/message.ts'
import type { ConsumerPlan } from './plan.ts'
import { RunClock } from './run-clock.ts'
import { handlerTimeout, isThenable, type Chain } from './timed-run.ts'
import type { Verdicts } from './verdicts.ts'

export interface RunnerHost {
  readonly chain: Chain
  /** A run is over (its settlement may still be on its way): its slot is free. `ok: null` when no handler ran. */
  ended(held: Held, ok: boolean | null): void
  readonly extend: (held: Held, ms: number) => Promise<void>
  readonly settled: Settled
}

/** Bytes of a body whose decoding takes no time that a histogram of runs would show. */
const QUICKLY_DECODED = 8192

/** One run of a handler. Reused: a consumer needs no more of them than it runs at once. */
class Run {
  held: Held
  message: Message
  /** Place among those that run: removal without a search. */
  index = -1
  /** For the time-out. */
  startedAt = 0
  /** By the monotonic clock, for metrics. */
  beganAt = 0
  ended = false
  readonly ok: (value: unknown) => void
  readonly fail: (error: unknown) => void

  constructor(
    held: Held,
    message: Message,
    ok: (run: Run, value: unknown) => void,
    fail: (run: Run, error: unknown) => void,
  ) {
    this.held = held
    this.message = message
    this.ok = (value) => ok(this, value)
    this.fail = (error) => fail(this, error)
  }
}

/** Runs the handler for single messages: admission, middleware, handler, time-out, verdict. */
export class SingleRunner {
  readonly #engine: Engine
  readonly #plan: ConsumerPlan
  readonly #verdicts: Verdicts
  readonly #host: RunnerHost
  readonly #clock: RunClock<Run> | null
  readonly #pool: Run[] = []
  readonly #runs: Run[] = []
  /** Those that wait for something before their run. */
  readonly #preparing = new Set<Held>()
  /** While one run's end starts another: both happen at this time. 0: look at the clock. */
  #now = 0

  constructor(engine: Engine, plan: ConsumerPlan, verdicts: Verdicts, host: RunnerHost) {
    this.#engine = engine
    this.#plan = plan
    this.#verdicts = verdicts
    this.#host = host
    this.#clock =
      plan.timeoutMs === null
        ? null
        : new RunClock(engine.clock, plan.timeoutMs, (run: Run) => this.#timedOut(run))
  }

  /** Deliveries whose handler runs (or is about to). */
  get active(): Held[] {
    return [...this.#preparing, ...this.#runs.map((run) => run.held)]
  }

  get idle(): boolean {
    return this.#runs.length === 0 && this.#preparing.size === 0
  }

  /** Takes one slot until `host.ended`. */
  start(held: Held): void {
    const message = admit(this.#engine, this.#plan, this.#verdicts, held)
    if (message === null) return this.#host.ended(held, null)
    const { mode, deduplicationWindowMs } = this.#plan
    const deduplication = deduplicationOf(this.#engine, deduplicationWindowMs, message)
    if (mode === 'none' || deduplication !== null) {
      this.#preparing.add(held)
      void this.#prepare(held, message, deduplication)
    } else this.#run(held, message)
  }

  async #prepare(held: Held, message: Message, deduplication: Deduplication | null): Promise<void> {
    if (deduplication !== null) {
      const windowMs = this.#plan.deduplicationWindowMs ?? 0
      const isNew = await deduplication.admit(held, message, windowMs, this.#host.settled)
      // It may have expired while the store was asked.
      if (!isNew || admit(this.#engine, this.#plan, this.#verdicts, held) === null) return this.#skip(held)
    }
    if (this.#plan.mode === 'none') {
      const result = await acknowledgeFirst(held)
      if (result !== null) {
        this.#host.settled(result, held)
        // Not told to the broker: it will come again, and running it now would be a run too many.
        return this.#skip(held)
      }
    }
    this.#preparing.delete(held)
    this.#run(held, message)
  }

  #run(held: Held, message: Message): void {
    const run = this.#take(held, message)
    const context = new RunContext(held, this.#engine.logger, this.#host.extend)
    let result: unknown
    let later: boolean
    try {
      result = this.#host.chain(message, context)
      later = isThenable(result)
    } catch (error) {
      return this.#fail(run, error)
    }
    if (later) {
      this.#clock?.started(run)
      // A thenable of somebody else's may call back twice, and by then this run may be another one.
      const promise = result instanceof Promise ? result : Promise.resolve(result)
      promise.then(run.ok, run.fail)
    } else this.#ok(run, result)
  }

  #take(held: Held, message: Message): Run {
    let run = this.#pool.pop()
    if (run === undefined) {
      run = new Run(
        held,
        message,
        (ended, value) => this.#ok(ended, value),
        (ended, error) => this.#fail(ended, error),
      )
    } else {
      run.held = held
      run.message = message
      run.ended = false
    }
    run.index = this.#runs.length
    this.#runs.push(run)
    if (this.#clock !== null) run.startedAt = this.#engine.clock.monotonic()
    if (this.#engine.stats.runs !== null) {
      const now = held.delivery.body.length > QUICKLY_DECODED ? 0 : this.#now
      run.beganAt = now === 0 ? performance.now() : now
      this.#now = 0
    }
    return run
  }

  /** `false` when it was over already. */
  #over(run: Run): boolean {
    if (run.ended) return false
    run.ended = true
    const { runs } = this.#engine.stats
    if (runs !== null) {
      this.#now = performance.now()
      runs.record((this.#now - run.beganAt) / 1000)
    }
    const last = this.#runs.pop() as Run
    if (last !== run) {
      this.#runs[run.index] = last
      last.index = run.index
    }
    if (this.#clock === null) this.#pool.push(run)
    return true
  }

  #ok(run: Run, value: unknown): void {
    const { held, message } = run
    if (!this.#over(run)) return
    this.#verdicts.succeeded(held, message, value)
    this.#host.ended(held, true)
    this.#now = 0
  }

  #fail(run: Run, error: unknown): void {
    const { held, message } = run
    if (!this.#over(run)) return
    this.#verdicts.failed(held, message, error)
    this.#host.ended(held, false)
    this.#now = 0
  }

  #timedOut(run: Run): void {
    const error = handlerTimeout(this.#plan)
    run.held.abort(error)
    this.#fail(run, error)
  }

  #skip(held: Held): void {
    this.#preparing.delete(held)
    this.#host.ended(held, null)
  }

  stop(): void {
    this.#clock?.stop()
  }
}
