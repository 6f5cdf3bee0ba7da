import { admit, isDuplicate, needsDeduplication } from './admission.ts'
import { RunContext } from './context.ts'
import type { Engine } from './engine.ts'
import { ErrorCode } from './error-codes.ts'
import { MessageQueueError } from './errors.ts'
import type { HandlerContext } from './handler.ts'
import type { Held } from './held.ts'
import type { Message } from './message.ts'
import type { ConsumerPlan } from './plan.ts'
import { RunClock } from './run-clock.ts'
import type { SettleResult } from './intake.ts'
import type { Verdicts } from './verdicts.ts'

/** Middleware around the handler, composed once. */
export type Chain = (message: Message, context: HandlerContext) => unknown

export interface RunnerHost {
  readonly chain: Chain
  /** A run is over (its settlement may still be on its way): its slot is free. `ok: null` when no handler ran. */
  ended(held: Held, ok: boolean | null): void
  /** Whether the failure of this run is the circuit breaker's probe: given back, at no attempt. */
  isProbe(held: Held): boolean
  readonly extend: (held: Held, ms: number) => Promise<void>
  settled(held: Held, result: SettleResult): void
}

/** One run of a handler. Reused: a consumer needs no more of them than it runs at once. */
class Run {
  held: Held
  message: Message
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
  readonly #active = new Set<Held>()

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
  get active(): ReadonlySet<Held> {
    return this.#active
  }

  /** Takes one slot until `host.ended`. */
  start(held: Held): void {
    this.#active.add(held)
    const message = admit(this.#engine, this.#plan, this.#verdicts, held)
    if (message === null) return this.#end(held, null)
    if (this.#plan.mode === 'none' || needsDeduplication(this.#engine, this.#plan, message))
      void this.#prepare(held, message)
    else this.#run(held, message)
  }

  async #prepare(held: Held, message: Message): Promise<void> {
    if (
      needsDeduplication(this.#engine, this.#plan, message) &&
      (await isDuplicate(this.#engine, this.#plan, message))
    ) {
      this.#verdicts.acknowledge(held)
      return this.#end(held, null)
    }
    if (this.#plan.mode === 'none') {
      const result = await new Promise<SettleResult>((resolve) => held.intake.ack(held, true, resolve))
      this.#host.settled(held, result)
      // Not told to the broker: it will come again, and running it now would be a run too many.
      if (result !== null) return this.#end(held, null)
    }
    this.#run(held, message)
  }

  #run(held: Held, message: Message): void {
    const run = this.#take(held, message)
    const context = new RunContext(held, this.#engine.logger, this.#host.extend)
    let result: unknown
    try {
      result = this.#host.chain(message, context)
    } catch (error) {
      return this.#fail(run, error)
    }
    if (isThenable(result)) {
      this.#clock?.started(run)
      result.then(run.ok, run.fail)
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
    run.startedAt = this.#engine.clock.now()
    if (this.#engine.stats.runs !== null) run.beganAt = performance.now()
    return run
  }

  #ok(run: Run, value: unknown): void {
    if (run.ended) return
    run.ended = true
    this.#engine.stats.runs?.record((performance.now() - run.beganAt) / 1000)
    const { held, message } = run
    if (this.#clock === null) this.#pool.push(run)
    // Ended first: whether more runs decides if the acknowledgement waits for company.
    this.#active.delete(held)
    this.#verdicts.succeeded(held, message, value)
    this.#host.ended(held, true)
  }

  #fail(run: Run, error: unknown): void {
    if (run.ended) return
    run.ended = true
    this.#engine.stats.runs?.record((performance.now() - run.beganAt) / 1000)
    const { held, message } = run
    if (this.#clock === null) this.#pool.push(run)
    this.#active.delete(held)
    if (this.#host.isProbe(held) && held.state === 'open') {
      held.intake.settle(held, { kind: 'release' }, (result) => this.#host.settled(held, result))
    } else this.#verdicts.failed(held, message, error)
    this.#host.ended(held, false)
  }

  #timedOut(run: Run): void {
    const ms = this.#plan.timeoutMs ?? 0
    const error = new MessageQueueError(
      `The handler of ${this.#plan.label} ran longer than its timeoutMs (${ms} ms)`,
      {
        code: ErrorCode.HANDLER_TIMEOUT,
      },
    )
    run.held.abort(error)
    this.#fail(run, error)
  }

  #end(held: Held, ok: boolean | null): void {
    this.#active.delete(held)
    this.#host.ended(held, ok)
  }

  stop(): void {
    this.#clock?.stop()
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
