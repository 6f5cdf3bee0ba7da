import type { QueueSettings, Target } from '../adapter/contract.ts'
import { pause } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { NotConnectedError, type MessageQueueError } from '../errors.ts'
import type { Held } from './held.ts'
import { Intake } from './intake.ts'
import { AGAIN_MS } from '../manage/topology.ts'
import { keyOf } from '../message/target.ts'
import { classify, wrapError } from '../wrap-error.ts'

interface Waiter {
  /** `null`: one look, then `null`. */
  readonly deadline: number | null
  readonly resolve: (held: Held | null) => void
  readonly reject: (error: unknown) => void
}

/** Longest wait of one call of a receiver; longer waits are several calls. */
const SLICE_MS = 1000

/** An idle receiver is closed: on Kafka it would keep partitions from others. */
const IDLE_MS = 10_000

/**
 * `receive` for one queue: concurrent calls share one receiver, which is asked for exactly as many messages as calls wait, so that
 * nothing is leased beyond what is returned.
 */
export class Puller {
  readonly #engine: Engine
  readonly #target: Target
  readonly #settings: QueueSettings
  readonly #leaseMs: number
  readonly #onLost: (held: Held) => void
  readonly #onIdle: () => void
  #intake: Intake | null = null
  #waiters: Waiter[] = []
  #pumping = false
  #call = new AbortController()
  #callEndsAt = 0
  /** Why it is closed. */
  #closed: MessageQueueError | null = null
  #idleTimer: unknown = null

  constructor(
    engine: Engine,
    target: Target,
    settings: QueueSettings,
    leaseMs: number,
    onLost: (held: Held) => void,
    /** Nobody has received by it for a while: it holds nothing. */
    onIdle: () => void,
  ) {
    this.#engine = engine
    this.#target = target
    this.#settings = settings
    this.#leaseMs = leaseMs
    this.#onLost = onLost
    this.#onIdle = onIdle
  }

  /** One delivery, or `null` no earlier than `timeoutMs` (without it: after one complete look). */
  receive(timeoutMs: number | undefined): Promise<Held | null> {
    return new Promise((resolve, reject) => {
      const now = this.#engine.clock.monotonic()
      const deadline = timeoutMs === undefined ? null : now + timeoutMs
      this.#waiters.push({ deadline, resolve, reject })
      this.#stopIdling()
      if (!this.#pumping) void this.#pump()
      // The call under way would outlast this one's patience. A look ends by itself: were it cut short for each that comes, none would ever end.
      else if ((deadline ?? now) < this.#callEndsAt) this.#call.abort()
    })
  }

  async #pump(): Promise<void> {
    this.#pumping = true
    let recovered = false
    while (this.#waiters.length > 0) {
      try {
        const intake = this.#intake ?? (await this.#open())
        this.#intake = intake
        // Closed while this was being opened, when there was nothing to close yet.
        if (this.#closed !== null) await this.close()
        else await this.#round(intake)
        recovered = false
      } catch (error) {
        this.#drop(error)
        if (await this.#reconnected(error)) continue
        // Deleted underneath: made again once, as on first use.
        if (!recovered && (await this.#redeclared(error))) recovered = true
        else this.#failAll(error)
      }
    }
    this.#pumping = false
    this.#startIdling()
  }

  #drop(error: unknown): void {
    const intake = this.#intake
    this.#intake = null
    intake?.discard(error)
  }

  /** Waits out a lost connection, as far as the patience of those who wait goes. */
  async #reconnected(error: unknown): Promise<boolean> {
    const { adapter, clock, config, supervisor } = this.#engine
    const { code } = classify(adapter, error)
    if (code !== ErrorCode.CONNECTION || this.#closed !== null) return false
    if (supervisor.state === 'connected') await pause(clock, AGAIN_MS, supervisor.lifetime)
    if (this.#closed !== null || supervisor.state !== 'reconnecting') return false
    const endOfLook = clock.monotonic() + config.producer.requestTimeoutMs
    const deadlines = this.#waiters.map(({ deadline }) => deadline ?? endOfLook)
    const first = least(deadlines)
    try {
      await supervisor.ready('receive', Math.max(0, first - clock.monotonic()), true)
      return true
    } catch (failure) {
      if (classify(adapter, failure).code !== ErrorCode.TIMEOUT) return false
      const impatient = this.#waiters.filter((_waiter, i) => (deadlines[i] ?? Infinity) <= first)
      this.#waiters = this.#waiters.filter((waiter) => !impatient.includes(waiter))
      for (const waiter of impatient) waiter.reject(failure)
      return true
    }
  }

  async #redeclared(error: unknown): Promise<boolean> {
    const { adapter, config, topology } = this.#engine
    const { code } = classify(adapter, error)
    if (code !== ErrorCode.QUEUE_NOT_FOUND || !config.autoDeclare || this.#closed !== null) return false
    topology.missing(this.#target)
    return topology.ensure(this.#target).then(
      () => true,
      () => false,
    )
  }

  #failAll(error: unknown): void {
    const waiters = this.#waiters
    this.#waiters = []
    const wrapped =
      this.#closed ?? wrapError(this.#engine.adapter, error, `Cannot receive from ${keyOf(this.#target)}`)
    for (const waiter of waiters) waiter.reject(wrapped)
  }

  async #open(): Promise<Intake> {
    const intake = await Intake.open(this.#engine, {
      target: this.#target,
      mode: 'pull',
      prefetch: 1,
      leaseMs: this.#leaseMs,
      ordered: this.#settings.ordered,
      after: undefined,
    })
    intake.onLost = this.#onLost
    intake.onFreed = () => this.#startIdling()
    return intake
  }

  async #round(intake: Intake): Promise<void> {
    const { clock } = this.#engine
    const asked = this.#waiters.length
    const before = clock.monotonic()
    // One that waits for a single look makes the whole call a look.
    const first = least(this.#waiters.map(({ deadline }) => deadline ?? before))
    const waitMs = Math.min(SLICE_MS, Math.max(0, first - before))
    this.#call = new AbortController()
    this.#callEndsAt = before + waitMs
    const helds = await intake.receive(asked, this.#call.signal, waitMs)
    const looked = !this.#call.signal.aborted
    const leaseEndsAt = clock.monotonic() + this.#leaseMs
    for (const held of helds) held.lease = { renewUntil: 0, endsAt: leaseEndsAt }
    const taken = helds.splice(0, this.#waiters.length)
    for (const held of taken) this.#waiters.shift()?.resolve(held)
    if (helds.length > 0) await intake.release(helds)
    this.#dismiss(Math.max(0, asked - taken.length), looked)
    // An adapter that answers at once, always, must not keep everything else from running.
    if (helds.length === 0 && this.#waiters.length > 0) await this.#engine.turn.next()
  }

  /** Those that looked in vain (the first ones: others came during the call), or whose time is up, get `null`. */
  #dismiss(inVain: number, looked: boolean): void {
    const now = this.#engine.clock.monotonic()
    const inCall = new Set(this.#waiters.slice(0, inVain))
    this.#waiters = this.#waiters.filter((waiter) => {
      const done = waiter.deadline === null ? looked && inCall.has(waiter) : waiter.deadline <= now
      if (done) waiter.resolve(null)
      return !done
    })
  }

  #startIdling(): void {
    if (this.#closed !== null || !this.#isIdle()) return
    this.#stopIdling()
    const { clock } = this.#engine
    const waitMs = Math.max(0, (this.#intake?.waitsUntil ?? 0) - clock.monotonic())
    this.#idleTimer = clock.setTimeout(() => {
      if (!this.#isIdle()) return
      const intake = this.#intake
      this.#intake = null
      void intake?.close()
      this.#onIdle()
    }, waitMs + IDLE_MS)
  }

  #isIdle(): boolean {
    return !this.#pumping && (this.#intake?.size ?? 0) === 0
  }

  #stopIdling(): void {
    if (this.#idleTimer !== null) this.#engine.clock.clearTimeout(this.#idleTimer)
    this.#idleTimer = null
  }

  connectionLost(cause: unknown): void {
    this.#call.abort()
    const intake = this.#intake
    this.#intake = null
    intake?.abandon(cause)
  }

  /** Ends the calls that wait; what was received can still be settled. */
  end(reason: MessageQueueError = new NotConnectedError('receive')): void {
    this.#closed ??= reason
    this.#stopIdling()
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) waiter.reject(this.#closed)
    this.#call.abort()
  }

  /** Gives back what was received and not settled. */
  async close(reason?: MessageQueueError, ms?: number): Promise<void> {
    this.end(reason)
    await this.#intake?.close(ms)
    this.#intake = null
  }
}

/** Not as so many arguments: a call takes some 100,000. */
function least(values: readonly number[]): number {
  return values.reduce((lowest, value) => Math.min(lowest, value), Infinity)
}
