import { backoffDelay, type BackoffPolicy } from './backoff.ts'
import type { Clock } from './adapter/clock.ts'
import type { BrokerAdapter } from './adapter/contract.ts'
import { leaveAdapter, takeAdapter } from './adapter-owners.ts'
import { sharedController } from './adapter/shared-controller.ts'
import { untilAborted } from './adapter/until-aborted.ts'
import { pause, withDeadline } from './deadline.ts'
import { ErrorCode } from './error-codes.ts'
import { ConnectionError, MessageQueueError, NotConnectedError } from './errors.ts'
import type { Logger } from './logger.ts'
import { wrapError, wrapUnmade } from './wrap-error.ts'

export type ConnectionState = 'disconnected' | 'connecting' | 'connected' | 'reconnecting' | 'disconnecting'

/** Waits between attempts to reconnect: 50 ms doubling to 2 s, spread so that clients of one broker do not return together. */
const RECONNECT: BackoffPolicy = { backoff: 'exponential', delayMs: 50, maxDelayMs: 2000, jitter: 0.3 }

/** When the broker refuses the credentials, only a person can help: look again rarely. */
const RECONNECT_REFUSED_MS = 10_000

/** How long a close may take before the connection is dropped. */
const CLOSE_MS = 5000

export interface SupervisorEvents {
  /** A connection is up: the first, or one that replaces a lost one. Awaited before `connect` resolves. `isCurrent`: it still is. */
  up(isCurrent: () => boolean): Promise<void>
  /** The connection is gone: every receiver of it is dead. */
  down(cause: unknown): void
  /** A connection that was up was closed by `disconnect`. */
  closed(): void
  reconnecting(details: { attempt: number; delayMs: number; cause: unknown }): void
  failed(error: MessageQueueError): void
}

interface Waiter {
  readonly evenBlocked: boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface SupervisorOptions {
  readonly loadAdapter: () => Promise<BrokerAdapter>
  /** Whatever else must be there before the first attempt. */
  readonly prepare: () => Promise<void>
  readonly connectTimeoutMs: number
  readonly clock: Required<Clock>
  readonly logger: Logger
  readonly events: SupervisorEvents
}

/**
 * Owns the connection: one attempt on `connect`, then reconnection for as long as nobody disconnects. Everything that
 * needs the broker goes through `ready` (wait for it) or `adapter` (have it now).
 */
export class Supervisor {
  readonly #options: SupervisorOptions
  #adapter: BrokerAdapter | null = null
  #state: ConnectionState = 'disconnected'
  /** Counts connections: a `lost` of an earlier one is ignored. */
  #epoch = 0
  #lifetime = sharedController()
  #connecting: Promise<void> | null = null
  #disconnecting: Promise<void> | null = null
  #waiters = new Set<Waiter>()
  #blocked: string | null = null
  #failure: MessageQueueError | null = null

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** From a `connect` to the `disconnect` that ends it, reconnections included: each has its own. */
  get lifetime(): AbortSignal {
    return this.#lifetime.signal
  }

  /** Why the broker accepts nothing for now, or `null`. */
  get blocked(): string | null {
    return this.#blocked
  }

  /** What the last attempt to reconnect failed with. */
  get failure(): MessageQueueError | null {
    return this.#failure
  }

  /** An adapter that was given, not loaded: its capabilities can be asked for before `connect`. */
  use(adapter: BrokerAdapter): void {
    this.#adapter = adapter
  }

  /** Throws `NotConnectedError` before an adapter is loaded. */
  get adapter(): BrokerAdapter {
    if (this.#adapter === null) throw new NotConnectedError('This call')
    return this.#adapter
  }

  get loadedAdapter(): BrokerAdapter | null {
    return this.#adapter
  }

  /** The adapter, for an operation that makes no sense before `connect` or after `disconnect`. Throws `NotConnectedError`. */
  adapterFor(operation: string): BrokerAdapter {
    if (this.#adapter === null || this.#state === 'disconnected' || this.#state === 'connecting') {
      throw new NotConnectedError(operation)
    }
    return this.#adapter
  }

  /** Idempotent; concurrent calls share one attempt; while reconnecting it waits for that. */
  connect(): Promise<void> {
    if (this.#state === 'connected') return Promise.resolve()
    if (this.#state === 'reconnecting') return this.ready('connect', this.#options.connectTimeoutMs, true)
    this.#connecting ??= (async () => {
      // At once where it can be: a disconnect in the same turn has to see it.
      if (this.#disconnecting !== null) await this.#disconnecting
      this.#state = 'connecting'
      this.#lifetime = sharedController()
      try {
        await this.#attempt()
      } catch (error) {
        if (this.#state === 'connecting') this.#state = 'disconnected'
        if (this.#adapter !== null) leaveAdapter(this.#adapter, this)
        // What the adapter connects after all is closed.
        this.#lifetime.abort(error)
        throw error
      }
    })().finally(() => {
      this.#connecting = null
    })
    return this.#connecting
  }

  /** Closes the connection, or ends the attempt to make one; always settles. `beforeClose` runs while the connection may still be used. */
  disconnect(beforeClose: () => Promise<void>): Promise<void> {
    if (this.#state === 'disconnected') return Promise.resolve()
    this.#disconnecting ??= this.#disconnect(beforeClose).finally(() => {
      this.#disconnecting = null
    })
    return this.#disconnecting
  }

  async #disconnect(beforeClose: () => Promise<void>): Promise<void> {
    if (this.#connecting !== null) {
      this.#lifetime.abort(
        new ConnectionError('disconnect() was called while connecting', { code: ErrorCode.ABORTED }),
      )
      await this.#connecting.catch(() => undefined)
      if (this.#adapter === null) return
    }
    try {
      await beforeClose()
    } finally {
      // One that was lost was told of already.
      const wasUp = this.#state === 'connected'
      this.#state = 'disconnecting'
      this.#epoch++
      this.#lifetime.abort(new NotConnectedError('This call'))
      this.#settleWaiters((waiter) => waiter.reject(new NotConnectedError('This call')))
      this.#blocked = null
      this.#failure = null
      const adapter = this.#adapter
      if (adapter !== null) {
        await withDeadline(this.#options.clock, CLOSE_MS, 'disconnect', (signal) =>
          adapter.disconnect(signal),
        ).catch((error: unknown) => this.#options.logger.debug({ error }, 'disconnect did not end cleanly'))
        leaveAdapter(adapter, this)
        this.#options.logger.debug({ broker: adapter.broker }, 'disconnected')
      }
      this.#state = 'disconnected'
      if (wasUp) this.#options.events.closed()
    }
  }

  /**
   * Resolves once the connection is up (and, unless `evenBlocked`, the broker accepts messages). Rejects with `MQ_TIMEOUT`, or at once
   * when the credentials are refused.
   */
  ready(operation: string, timeoutMs: number, evenBlocked = false): Promise<void> {
    if (this.#state === 'connected' && (evenBlocked || this.#blocked === null)) return Promise.resolve()
    if (this.#state === 'disconnected' || this.#state === 'disconnecting')
      return Promise.reject(new NotConnectedError(operation))
    if (this.#failure?.code === ErrorCode.AUTHENTICATION) return Promise.reject(this.#failure)
    return new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        evenBlocked,
        resolve: () => done(resolve),
        reject: (error) => done(() => reject(error)),
      }
      const done = (settle: () => void) => {
        this.#options.clock.clearTimeout(timer)
        this.#waiters.delete(waiter)
        settle()
      }
      const timer = this.#options.clock.setTimeout(
        () => waiter.reject(this.#notReady(operation, timeoutMs)),
        timeoutMs,
      )
      this.#waiters.add(waiter)
    })
  }

  #notReady(operation: string, timeoutMs: number): ConnectionError {
    const why = this.#blocked === null ? 'the connection is down' : `the broker is blocked (${this.#blocked})`
    return new ConnectionError(`${operation} waited ${timeoutMs} ms: ${why}`, {
      code: ErrorCode.TIMEOUT,
      cause: this.#failure ?? undefined,
    })
  }

  async #attempt(): Promise<void> {
    const { clock, connectTimeoutMs, events } = this.#options
    const lifetime = this.#lifetime.signal
    const deadline = clock.monotonic() + connectTimeoutMs
    const adapter = (this.#adapter = await this.#load(lifetime))
    takeAdapter(adapter, this)
    const epoch = ++this.#epoch
    // What an attempt before this one had said.
    this.#blocked = null
    let lost: { cause: unknown } | null = null
    let up = false
    try {
      await withDeadline(
        clock,
        Math.max(0, deadline - clock.monotonic()),
        `connecting to ${adapter.broker}`,
        (signal) =>
          adapter.connect(
            {
              lost: (cause) => {
                if (epoch !== this.#epoch || lost !== null) return
                lost = { cause }
                if (up) this.#lost(cause)
              },
              blocked: (reason) => {
                if (epoch === this.#epoch) this.#setBlocked(reason)
              },
            },
            AbortSignal.any([signal, lifetime]),
          ),
        () => void this.#closeLate(adapter, lifetime),
      )
      if (lifetime.aborted) await this.#closeLate(adapter, lifetime)
      lifetime.throwIfAborted()
      // Filled in by `lost` above, which the compiler cannot see.
      const early = lost as { cause: unknown } | null
      if (early !== null) throw early.cause
    } catch (error) {
      if (epoch === this.#epoch) this.#epoch++
      if (MessageQueueError.is(error) && error.code === ErrorCode.ABORTED) throw error
      const wrapped = wrapError(adapter, error, `Cannot connect to ${adapter.broker}`)
      throw wrapped.code === ErrorCode.CONNECTION || wrapped.code === ErrorCode.AUTHENTICATION
        ? wrapped
        : new ConnectionError(wrapped.message, { cause: error })
    }
    this.#state = 'connected'
    this.#failure = null
    up = true
    this.#options.logger.debug({ broker: adapter.broker }, 'connected')
    await events.up(() => epoch === this.#epoch && lost === null)
    this.#releaseWaiters()
  }

  /** What is needed before the first attempt. It is code of others, that may never answer; what it answers too late is dropped. */
  async #load(lifetime: AbortSignal): Promise<BrokerAdapter> {
    const { clock, connectTimeoutMs, loadAdapter, prepare } = this.#options
    const load = async () => {
      await prepare()
      if (this.#adapter !== null) return this.#adapter
      try {
        return await loadAdapter()
      } catch (error) {
        throw wrapUnmade(error, 'Cannot make the adapter')
      }
    }
    const loading = withDeadline(clock, connectTimeoutMs, 'loading the adapter', load)
    return untilAborted(loading, lifetime).catch((error: unknown) => {
      const late = MessageQueueError.is(error) && error.code === ErrorCode.TIMEOUT
      throw late ? new ConnectionError(error.message, { cause: error }) : error
    })
  }

  /** A connection that came up although the attempt was over: nobody else would ever close it. */
  async #closeLate(adapter: BrokerAdapter, lifetime: AbortSignal): Promise<void> {
    // Another attempt may have begun, whose connection it would be.
    if (lifetime !== this.#lifetime.signal || !lifetime.aborted) return
    await adapter.disconnect(AbortSignal.timeout(CLOSE_MS)).catch((error: unknown) => {
      this.#options.logger.debug({ error }, 'what came up too late did not close cleanly')
    })
  }

  #lost(cause: unknown): void {
    if (this.#state !== 'connected') return
    this.#state = 'reconnecting'
    this.#blocked = null
    this.#options.logger.warn({ error: cause }, 'connection lost; reconnecting')
    this.#options.events.down(cause)
    void this.#reconnect(cause)
  }

  async #reconnect(cause: unknown): Promise<void> {
    const signal = this.#lifetime.signal
    for (let attempt = 1; !signal.aborted; attempt++) {
      const refused = this.#failure?.code === ErrorCode.AUTHENTICATION
      const delayMs = refused ? RECONNECT_REFUSED_MS : backoffDelay(RECONNECT, Math.min(attempt, 10))
      this.#options.events.reconnecting({ attempt, delayMs, cause: this.#failure ?? cause })
      await pause(this.#options.clock, delayMs, signal)
      if (signal.aborted) return
      try {
        await this.#attempt()
        this.#options.logger.info({ attempt }, 'connected again')
        return
      } catch (error) {
        this.#failure = MessageQueueError.is(error)
          ? error
          : new ConnectionError(String(error), { cause: error })
        this.#options.logger.debug({ attempt, error }, 'reconnecting failed')
        if (this.#failure.code === ErrorCode.AUTHENTICATION) {
          const failure = this.#failure
          this.#settleWaiters((waiter) => waiter.reject(failure))
          this.#options.events.failed(failure)
        }
      }
    }
  }

  #setBlocked(reason: string | null): void {
    this.#blocked = reason
    if (reason !== null)
      this.#options.logger.warn({ reason }, 'the broker accepts nothing for now; sends wait')
    else this.#releaseWaiters()
  }

  #releaseWaiters(): void {
    if (this.#state !== 'connected') return
    this.#settleWaiters((waiter) => {
      if (waiter.evenBlocked || this.#blocked === null) waiter.resolve()
    })
  }

  #settleWaiters(settle: (waiter: Waiter) => void): void {
    for (const waiter of [...this.#waiters]) settle(waiter)
  }
}
