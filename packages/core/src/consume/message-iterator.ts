import type { Source } from '../adapter/contract.ts'
import { untilAborted } from '../adapter/until-aborted.ts'
import { backoffDelay } from '../backoff.ts'
import { pause, withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { END_MS, RECONNECT_PATIENCE_MS } from './fetcher.ts'
import type { HandLease, Held } from './held.ts'
import { Intake } from './intake.ts'
import { keyOf } from '../message/target.ts'
import { RETRY_OPEN } from '../outlasting.ts'
import { classify, wrapError } from '../wrap-error.ts'

export interface IteratorHost {
  lost(held: Held): void
  /** Left, with everything settled. */
  closed(): void
}

/**
 * Deliveries one after another, fetched a few ahead, renewed while the loop lasts; a lost connection is waited out. Leaving the loop
 * gives back what was read ahead; what was handed out stays with its owner for one more lease, and the receiver closes once that is
 * settled or its lease ran out.
 */
export class MessageIterator {
  readonly #engine: Engine
  readonly #source: Source
  readonly #host: IteratorHost
  #intake: Intake | null = null
  #call = new AbortController()
  readonly #end = new AbortController()
  #reading: Promise<unknown> = Promise.resolve()
  #failures = 0
  #ended = false
  #closing: Promise<void> | null = null

  constructor(engine: Engine, source: Source, host: IteratorHost) {
    this.#engine = engine
    this.#source = source
    this.#host = host
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Held, void, undefined> {
    let ahead: Held[] = []
    try {
      while (!this.#ended) {
        const next = ahead.shift()
        if (next === undefined) ahead = await this.#fetch()
        else if (next.state === 'open') yield next
      }
    } finally {
      await this.#leave(ahead)
    }
  }

  /** Some deliveries; none when it has to be asked again. Throws wrapped errors. */
  async #fetch(): Promise<Held[]> {
    try {
      if (this.#intake === null || this.#intake.closed) this.#intake = await this.#open()
      const reading = this.#intake.receive(this.#source.prefetch, this.#call.signal)
      this.#reading = reading
      const helds = await reading
      this.#failures = 0
      if (helds.length === 0) await this.#engine.turn.next()
      return helds
    } catch (error) {
      if (!this.#ended) await this.#recover(error)
      return []
    }
  }

  async #open(): Promise<Intake> {
    const { supervisor, topology } = this.#engine
    await untilAborted(supervisor.ready('messages', RECONNECT_PATIENCE_MS, true), this.#end.signal)
    const intake = await topology.on(this.#source.target, undefined, () =>
      Intake.open(this.#engine, this.#source),
    )
    intake.onLost = (held) => this.#host.lost(held)
    // Opened after the end: nobody else would close it.
    if (this.#ended) await intake.close()
    return intake
  }

  /** After a lost connection the next fetch opens anew. Whatever else happened is for the loop's owner. */
  async #recover(error: unknown): Promise<void> {
    const { adapter, clock, supervisor } = this.#engine
    const { code } = classify(adapter, error)
    const reconnecting = supervisor.state === 'reconnecting' && code !== ErrorCode.AUTHENTICATION
    if (code !== ErrorCode.CONNECTION && !reconnecting) {
      throw wrapError(adapter, error, `Cannot receive from ${keyOf(this.#source.target)}`)
    }
    if (this.#intake?.closed === false) this.#intake.discard(error)
    await pause(clock, backoffDelay(RETRY_OPEN, Math.min(++this.#failures, 10)), this.#call.signal)
  }

  async #leave(ahead: readonly Held[]): Promise<void> {
    this.#ended = true
    const intake = this.#intake
    if (intake === null) return this.close()
    await intake.release(ahead)
    if (intake.size === 0) return this.close()
    const endsAt = this.#engine.clock.monotonic() + this.#source.leaseMs
    for (const held of intake.held)
      if (held.state === 'open') held.lease = longest(held.extended, { renewUntil: 0, endsAt })
    intake.onFreed = () => {
      if (intake.size === 0) void this.close()
    }
  }

  connectionLost(cause: unknown): void {
    this.#intake?.abandon(cause)
    // A call on a dead receiver should reject by itself; it must not depend on that.
    this.#call.abort()
    this.#call = new AbortController()
  }

  /** Ends the loop, also while it waits for a message. */
  end(): void {
    this.#ended = true
    this.#end.abort()
    this.#call.abort()
  }

  /** Ends the loop, and gives back everything that is unsettled. */
  close(ms?: number): Promise<void> {
    this.#closing ??= this.#close(ms)
    return this.#closing
  }

  async #close(ms?: number): Promise<void> {
    // First: what is given back must not come to this loop again.
    this.end()
    await withDeadline(this.#engine.clock, END_MS, 'ending to read', () => this.#reading).catch(
      () => undefined,
    )
    await this.#intake?.close(ms)
    this.#host.closed()
  }
}

function longest(asked: HandLease | null, lease: HandLease): HandLease {
  return asked !== null && asked.endsAt > lease.endsAt ? asked : lease
}
