import type { Clock } from '../adapter/clock.ts'
import type { StopResult } from '../stop-options.ts'
import { Drain } from '../drain.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError } from '../errors.ts'
import type { Held } from './held.ts'

/** One run of `processMessage`. */
export class HandRun {
  readonly id: string
  /** `null`: not received here. */
  readonly held: Held | null
  readonly #unheld = new AbortController()

  constructor(id: string, held: Held | null) {
    this.id = id
    this.held = held
  }

  /** Of a message that was not received here; others have their own. */
  get signal(): AbortSignal {
    return this.#unheld.signal
  }

  abort(error: Error): void {
    if (this.held === null) this.#unheld.abort(error)
    else this.held.abort(error)
  }
}

/** The runs of `processMessage`: no consumer has them, and a shutdown waits for them as for those of consumers. */
export class HandRuns {
  readonly #clock: Required<Clock>
  readonly #runs = new Set<HandRun>()
  #stopping: { readonly drain: Drain; readonly result: Promise<StopResult> } | null = null

  constructor(clock: Required<Clock>) {
    this.#clock = clock
  }

  begin(run: HandRun): void {
    this.#runs.add(run)
  }

  end(run: HandRun): void {
    this.#runs.delete(run)
    this.#stopping?.drain.check()
  }

  /** Waits up to `timeoutMs`, then aborts what still runs, gives it back and lists it. Never rejects. */
  stop(timeoutMs: number): Promise<StopResult> {
    const drain = this.#stopping?.drain ?? new Drain(this.#clock, () => this.#runs.size === 0)
    drain.limit(timeoutMs)
    this.#stopping ??= { drain, result: this.#stop(drain).finally(() => (this.#stopping = null)) }
    return this.#stopping.result
  }

  async #stop(drain: Drain): Promise<StopResult> {
    await drain.wait()
    const abandoned = [...this.#runs]
    this.#runs.clear()
    for (const run of abandoned) {
      const { held } = run
      // Given back before its handler hears of it: what that does about it is no attempt.
      held?.intake.waitFor(held.intake.release([held]))
      run.abort(
        new MessageQueueError('The queue is disconnecting and its time is up', { code: ErrorCode.ABORTED }),
      )
    }
    return { drained: abandoned.length === 0, abandoned: abandoned.map(({ id }) => id) }
  }
}
