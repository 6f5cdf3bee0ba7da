import type { DeclareTarget, QueueSettings, Target } from '../adapter/contract.ts'
import { refuseUnsupported } from '../capabilities.ts'
import { deadLetterQueueOf, isDeadLetterQueue, queueSettings } from '../config/queue-settings.ts'
import type { QueueConfig } from '../config/queue-config.ts'
import { pause, withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { keyOf, labelOf } from '../message/target.ts'
import { classify, wrapError } from '../wrap-error.ts'
import { differences } from './differences.ts'

interface Known {
  readonly target: DeclareTarget
  /** In force as far as the broker reveals them, else as configured here. */
  readonly settings: QueueSettings
  readonly pattern: string | undefined
}

export interface DeclareOptions {
  readonly config?: QueueConfig | undefined
  readonly pattern?: string | undefined
  readonly ifExists: 'take' | 'compare'
  /** How long to wait for a connection, in ms. Default `producer.requestTimeoutMs`. */
  readonly patienceMs?: number | undefined
}

/** Between a call that failed by its connection and the next one, in ms: the loss may not have been noticed yet. */
export const AGAIN_MS = 20

/**
 * What this process knows of queues, topics and subscriptions: declares each on first use, remembers the settings in force, and
 * declares all again after a reconnection, since a broker may have come back empty. Waits out a lost connection.
 */
export class Topology {
  readonly #engine: Engine
  readonly #known = new Map<string, Known>()
  /** Found missing on the broker, and not used since: to be declared as they were. */
  readonly #missing = new Map<string, Known>()
  /** Where the dead letters of a queue go by its settings, and by the options of its handler. */
  readonly #chosen = new Map<string, string>()
  readonly #diverted = new Map<string, string>()
  /** Queues that dead letters go to by either of these, and from how many queues. */
  readonly #deadLetterQueues = new Map<string, number>()
  /** Names of queues that name a dead-letter queue of their own: work queues, even where others' dead letters go there. */
  readonly #working = new Set<string>()
  readonly #pending = new Map<string, Promise<QueueSettings>>()
  /** Made by name: whoever only uses it waits for the settings that it is given. */
  readonly #creating = new Map<string, Promise<QueueSettings>>()
  /** Those of which it was logged that they work otherwise than configured. */
  readonly #warned = new Set<string>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** The settings of a target that was used before: the fast path of every send. */
  settingsOf(key: string): QueueSettings | undefined {
    return this.#known.get(key)?.settings
  }

  /** Declares a target unless that has happened; concurrent calls share one declaration. Throws wrapped errors. */
  async ensure(
    target: DeclareTarget,
    config?: QueueConfig,
    patienceMs: number = this.#engine.config.producer.requestTimeoutMs,
  ): Promise<QueueSettings> {
    const settings = await this.#inForce(target, config, patienceMs)
    if (config !== undefined) this.#warnOfDifferences(target, config, settings)
    return settings
  }

  async #inForce(
    target: DeclareTarget,
    config: QueueConfig | undefined,
    patienceMs: number,
  ): Promise<QueueSettings> {
    const { adapter, clock } = this.#engine
    const key = keyOf(target)
    const deadline = clock.monotonic() + patienceMs
    for (;;) {
      for (let creating = this.#creating.get(key); creating !== undefined; creating = this.#creating.get(key))
        await creating.catch(() => undefined)
      const known = this.#known.get(key)
      if (known !== undefined) return known.settings
      const shared = this.#pending.get(key)
      if (shared === undefined) {
        const options = {
          config,
          ifExists: 'take',
          patienceMs: Math.max(0, deadline - clock.monotonic()),
        } as const
        const pending = this.#declare(target, options).finally(() => this.#pending.delete(key))
        this.#pending.set(key, pending)
        // Awaited as the others do who share it: they go on in the order of their calls.
        return await pending
      }
      try {
        return await shared
      } catch (error) {
        // Who began it may have had less time.
        const late = isOutage(classify(adapter, error).code)
        if (!late || clock.monotonic() + AGAIN_MS >= deadline) throw error
      }
    }
  }

  /** First use takes a queue as it is. That it then works otherwise than configured is logged, once. */
  #warnOfDifferences(target: DeclareTarget, config: QueueConfig, inForce: QueueSettings): void {
    const key = keyOf(target)
    if (this.#warned.has(key)) return
    const found = differences(config, this.#settingsFor(target, config), inForce)
    if (found.length === 0) return
    this.#warned.add(key)
    this.#engine.logger.warn(
      { queue: labelOf(target) },
      `an existing queue is taken as it is, although it is configured otherwise here: ${found.join('; ')}`,
    )
  }

  /** An operation on a target that is declared. One that was deleted underneath is made again, once, and so is the call. */
  async on<T>(
    target: DeclareTarget,
    config: QueueConfig | undefined,
    operation: () => Promise<T>,
  ): Promise<T> {
    await this.ensure(target, config)
    try {
      return await operation()
    } catch (error) {
      const { adapter, config: whole } = this.#engine
      if (!whole.autoDeclare || classify(adapter, error).code !== ErrorCode.QUEUE_NOT_FOUND) throw error
      this.missing(target)
      await this.ensure(target, config)
      return operation()
    }
  }

  /** Makes a target, or refuses one that differs. `autoDeclare: false` turns the declarations of `ensure` off, not those asked for. */
  async create(target: DeclareTarget, options: Omit<DeclareOptions, 'ifExists'>): Promise<void> {
    const key = keyOf(target)
    const creating = this.#declare(target, { ...options, ifExists: 'compare' }).finally(() => {
      if (this.#creating.get(key) === creating) this.#creating.delete(key)
    })
    this.#creating.set(key, creating)
    await creating
  }

  async #declare(target: DeclareTarget, options: DeclareOptions): Promise<QueueSettings> {
    const { adapter, config } = this.#engine
    const { ifExists, patienceMs = config.producer.requestTimeoutMs } = options
    const key = keyOf(target)
    const before = ifExists === 'take' ? this.#missing.get(key) : undefined
    const known = this.#known.get(key)
    const chosen = this.#chosen.get(key)
    if (typeof options.config?.deadLetterQueue === 'string') this.#working.add(key)
    const wanted =
      (options.config === undefined ? before?.settings : undefined) ??
      this.#settingsFor(target, options.config)
    refuseUnsupported(adapter, wanted, this.#engine.deduplication !== undefined)
    this.#point(this.#chosen, key, wanted.deadLetterQueue)
    const pattern = 'subscription' in target ? (options.pattern ?? before?.pattern ?? '#') : undefined
    let settings = wanted
    if (config.autoDeclare || ifExists === 'compare') {
      try {
        if ('subscription' in target) await this.ensure({ topic: target.topic }, undefined, patienceMs)
        settings = await this.#send(target, wanted, pattern, ifExists, patienceMs)
      } catch (error) {
        this.#point(this.#chosen, key, chosen ?? null)
        throw error
      }
    }
    // Made by name meanwhile: what was asked for there is in force, whatever the broker tells of it.
    const newer = this.#known.get(key)
    if (ifExists === 'take' && newer !== undefined && newer !== known) return newer.settings
    this.#known.set(key, { target, settings, pattern })
    this.#missing.delete(key)
    return settings
  }

  /** A handler has a dead-letter queue of its own, whatever the settings say; `null`: it has none any more. */
  divertDeadLetters(target: Target, deadLetterQueue: string | null): void {
    this.#point(this.#diverted, keyOf(target), deadLetterQueue)
  }

  #point(from: Map<string, string>, key: string, to: string | null): void {
    const before = from.get(key)
    if (before !== undefined) {
      const others = (this.#deadLetterQueues.get(before) ?? 1) - 1
      if (others > 0) this.#deadLetterQueues.set(before, others)
      else this.#deadLetterQueues.delete(before)
      from.delete(key)
    }
    if (to === null) return
    from.set(key, to)
    this.#deadLetterQueues.set(to, (this.#deadLetterQueues.get(to) ?? 0) + 1)
  }

  /** Name of the queue for dead letters, as far as it is known here; nothing is declared. `null`: they are dropped. */
  deadLetterQueueOf(target: Target, config?: QueueConfig): string | null {
    const key = keyOf(target)
    const diverted = this.#diverted.get(key)
    if (diverted !== undefined) return diverted
    if (this.holdsDeadLetters(target)) return null
    return (this.settingsOf(key) ?? this.#settingsFor(target, config)).deadLetterQueue
  }

  /** Whether the dead letters of others go to this queue, as far as it is known here. It has then no dead-letter queue and no limits of its own. */
  holdsDeadLetters(target: DeclareTarget): boolean {
    if (!('queue' in target)) return false
    const name = target.queue
    if (name.endsWith('.dlq')) return true
    if (this.#working.has(name) || this.#diverted.has(name)) return false
    return this.#deadLetterQueues.has(name) || isDeadLetterQueue(name, this.#engine.config)
  }

  #settingsFor(target: DeclareTarget, chosen: QueueConfig | undefined): QueueSettings {
    const { config } = this.#engine
    if ('queue' in target) return queueSettings(target.queue, chosen, config, this.holdsDeadLetters(target))
    const settings = queueSettings(target.topic, chosen, config, false)
    if (!('subscription' in target) || settings.deadLetterQueue === null) return settings
    return {
      ...settings,
      deadLetterQueue: deadLetterQueueOf(target.topic, target.subscription, chosen, config),
    }
  }

  async #send(
    target: DeclareTarget,
    wanted: QueueSettings,
    pattern: string | undefined,
    ifExists: 'take' | 'compare',
    patienceMs: number,
  ): Promise<QueueSettings> {
    const { adapter, clock, config, supervisor } = this.#engine
    const label = labelOf(target)
    const deadline = clock.monotonic() + patienceMs
    const left = (): number => Math.max(0, deadline - clock.monotonic())
    for (;;) {
      try {
        if (supervisor.state !== 'connected') await supervisor.ready(`declaring ${label}`, left(), true)
        const ms = Math.min(config.producer.requestTimeoutMs, left())
        return await this.#sendOnce(target, wanted, pattern, ifExists, ms)
      } catch (error) {
        if (!isOutage(classify(adapter, error).code) || left() <= AGAIN_MS)
          throw wrapError(adapter, error, `Cannot declare ${label}`)
        await pause(clock, AGAIN_MS, supervisor.lifetime)
      }
    }
  }

  async #sendOnce(
    target: DeclareTarget,
    wanted: QueueSettings,
    pattern: string | undefined,
    ifExists: 'take' | 'compare',
    ms: number,
  ): Promise<QueueSettings> {
    const { adapter, clock, logger } = this.#engine
    const label = labelOf(target)
    const revealed = await withDeadline(clock, ms, `declaring ${label}`, () =>
      adapter.declare(target, { settings: wanted, pattern, ifExists }),
    )
    logger.debug({ queue: label }, 'declared')
    return { ...wanted, ...revealed }
  }

  /** Deleted here. `consumed`: keys of what is being consumed, which its consumer makes again, and then as it was. */
  forget(target: DeclareTarget, consumed: ReadonlySet<string> = new Set()): void {
    for (const key of this.#keysOf(target)) {
      this.#warned.delete(key)
      if (consumed.has(key)) {
        this.#lose(key)
        continue
      }
      this.#known.delete(key)
      this.#missing.delete(key)
      this.#working.delete(key)
      this.#point(this.#chosen, key, null)
    }
  }

  /** Found missing, deleted underneath: the next use declares it as it was. */
  missing(target: DeclareTarget): void {
    for (const key of this.#keysOf(target)) this.#lose(key)
  }

  #lose(key: string): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    this.#known.delete(key)
    this.#missing.set(key, known)
  }

  /** With a topic go its subscriptions. */
  #keysOf(target: DeclareTarget): string[] {
    if (!('topic' in target) || 'subscription' in target) return [keyOf(target)]
    const all = [...this.#known, ...this.#missing]
    const own = all.filter(([, known]) => 'topic' in known.target && known.target.topic === target.topic)
    return own.map(([key]) => key)
  }

  /** After a reconnection: a queue that was lost with the broker is there again. What fails is logged; its users will see it. */
  async redeclare(isCurrent: () => boolean): Promise<void> {
    const { adapter, config, logger } = this.#engine
    if (!config.autoDeclare) return
    const all = [...this.#known.values()].sort((a, b) => rank(a.target) - rank(b.target))
    for (const { target, settings, pattern } of all) {
      if (!isCurrent()) return
      try {
        await this.#sendOnce(target, settings, pattern, 'take', config.producer.requestTimeoutMs)
      } catch (cause) {
        const queue = labelOf(target)
        const error = wrapError(adapter, cause, `Cannot declare ${queue}`)
        logger.warn({ queue, error }, 'could not be declared again')
        const { code } = classify(adapter, cause)
        if (code === ErrorCode.CONNECTION) return
        // Somebody else's by now: whoever uses it asks for it first.
        if (code === ErrorCode.QUEUE_CONFLICT) this.#lose(keyOf(target))
      }
    }
  }
}

/** The same may succeed later, once the broker answers again. */
function isOutage(code: ErrorCode): boolean {
  return code === ErrorCode.CONNECTION || code === ErrorCode.TIMEOUT
}

// Topics before their subscriptions.
function rank(target: DeclareTarget): number {
  return 'topic' in target && !('subscription' in target) ? 0 : 1
}
