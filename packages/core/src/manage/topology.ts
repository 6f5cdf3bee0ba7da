import type { DeclareTarget, QueueSettings } from '../adapter/contract.ts'
import { refuseUnsupported } from '../capabilities.ts'
import { queueSettings } from '../config/queue-settings.ts'
import type { MessageQueueConfig } from '../config/message-queue-config.ts'
import type { QueueConfig } from '../config/queue-config.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError } from '../errors.ts'
import { deadLetterQueueName } from '../message/names.ts'
import { wrapError } from '../wrap-error.ts'

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
}

/**
 * What this process knows of queues, topics and subscriptions: declares each on first use, remembers the settings in force, and
 * declares all again after a reconnection, since a broker may have come back empty.
 */
export class Topology {
  readonly #engine: Engine
  readonly #known = new Map<string, Known>()
  readonly #pending = new Map<string, Promise<QueueSettings>>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** The settings of a target that was used before: the fast path of every send. */
  settingsOf(key: string): QueueSettings | undefined {
    return this.#known.get(key)?.settings
  }

  /** Declares a target unless that has happened; concurrent calls share one declaration. Throws wrapped errors. */
  async ensure(target: DeclareTarget, config?: QueueConfig): Promise<QueueSettings> {
    const key = keyOf(target)
    const known = this.#known.get(key)
    if (known !== undefined) return known.settings
    let pending = this.#pending.get(key)
    if (pending === undefined) {
      pending = this.declare(target, { config, ifExists: 'take' }).finally(() => this.#pending.delete(key))
      this.#pending.set(key, pending)
    }
    return pending
  }

  /** Makes a target, or (`compare`) refuses one that differs. `autoDeclare: false` turns the declarations of `ensure` off, not those asked for. */
  async declare(target: DeclareTarget, options: DeclareOptions): Promise<QueueSettings> {
    const { adapter, config } = this.#engine
    const wanted = settingsFor(target, options.config, config)
    refuseUnsupported(adapter, wanted, this.#engine.deduplicationStore !== undefined)
    const pattern = 'subscription' in target ? (options.pattern ?? '#') : undefined
    let settings = wanted
    if (config.autoDeclare || options.ifExists === 'compare') {
      if ('subscription' in target) await this.ensure({ topic: target.topic })
      settings = await this.#send(target, wanted, pattern, options.ifExists)
    }
    this.#known.set(keyOf(target), { target, settings, pattern })
    return settings
  }

  async #send(
    target: DeclareTarget,
    wanted: QueueSettings,
    pattern: string | undefined,
    ifExists: 'take' | 'compare',
  ): Promise<QueueSettings> {
    const { adapter, clock, config, logger } = this.#engine
    const label = labelOf(target)
    try {
      const revealed = await withDeadline(clock, config.producer.requestTimeoutMs, `declaring ${label}`, () =>
        adapter.declare(target, { settings: wanted, pattern, ifExists }),
      )
      logger.debug({ queue: label }, 'declared')
      return { ...wanted, ...revealed }
    } catch (error) {
      throw wrapError(adapter, error, `Cannot declare ${label}`)
    }
  }

  /** Forgets a target: deleted here, or found missing. */
  forget(target: DeclareTarget): void {
    this.#known.delete(keyOf(target))
    if ('topic' in target && !('subscription' in target)) {
      for (const [key, known] of this.#known)
        if ('topic' in known.target && known.target.topic === target.topic) this.#known.delete(key)
    }
  }

  /** After a reconnection: a queue that was lost with the broker is there again. What fails is logged; its users will see it. */
  async redeclare(): Promise<void> {
    if (!this.#engine.config.autoDeclare) return
    const all = [...this.#known.values()].sort((a, b) => rank(a.target) - rank(b.target))
    for (const { target, settings, pattern } of all) {
      try {
        await this.#send(target, settings, pattern, 'take')
      } catch (error) {
        this.#engine.logger.warn({ queue: labelOf(target), error }, 'could not be declared again')
        if (MessageQueueError.is(error) && error.code === ErrorCode.CONNECTION) return
      }
    }
  }
}

// Topics before their subscriptions.
function rank(target: DeclareTarget): number {
  return 'topic' in target && !('subscription' in target) ? 0 : 1
}

function settingsFor(
  target: DeclareTarget,
  config: QueueConfig | undefined,
  defaults: MessageQueueConfig,
): QueueSettings {
  if ('queue' in target) return queueSettings(target.queue, config, defaults)
  if (!('subscription' in target)) return queueSettings(target.topic, config, defaults)
  const settings = queueSettings(target.topic, config, defaults)
  const named =
    config?.deadLetterQueue ??
    defaults.defaultQueueConfig.deadLetterQueue ??
    defaults.consumer.deadLetterQueue
  const deadLetterQueue =
    settings.deadLetterQueue === null
      ? null
      : (named ?? deadLetterQueueName(target.topic, target.subscription))
  return { ...settings, deadLetterQueue }
}

export function keyOf(target: DeclareTarget): string {
  if ('queue' in target) return target.queue
  return 'subscription' in target ? `${target.topic}/${target.subscription}` : `${target.topic}/`
}

export function labelOf(target: DeclareTarget): string {
  return 'topic' in target && !('subscription' in target) ? `topic ${target.topic}` : keyOf(target)
}
