import { checkOptions } from '../check-options.ts'
import type { DeclareTarget, Target } from '../adapter/contract.ts'
import { QueueConfig, type QueueConfigInput } from '../config/queue-config.ts'
import type { Engine } from '../engine.ts'
import { ValidationError } from '../errors.ts'
import { checkPattern, checkQueueName, isInternalName } from '../message/names.ts'
import { keyOf } from '../message/target.ts'
import type { Consumers } from '../consume/consumers.ts'
import type { Receiving } from '../consume/receiving.ts'
import type { Outbox } from '../send/outbox.ts'
import { call } from './call.ts'
import { sizeOf } from './size.ts'
import { resolveQueue, resolveTopic, type QueueRef, type TopicRef } from '../message/typed.ts'

export interface SubscriptionOptions {
  /** Which routing keys it gets: `orders.*`, `#`. Default: all. */
  pattern?: string | undefined
}

/** Making, sizing, emptying and deleting queues, topics and subscriptions: what `MessageQueue` offers under the same names. */
export class Administration {
  readonly #engine: Engine
  readonly #consumers: Consumers
  readonly #receiving: Receiving
  readonly #outbox: Outbox

  constructor(engine: Engine, consumers: Consumers, receiving: Receiving, outbox: Outbox) {
    this.#engine = engine
    this.#consumers = consumers
    this.#receiving = receiving
    this.#outbox = outbox
  }

  async createQueue(config: QueueConfigInput): Promise<void> {
    this.#engine.supervisor.adapterFor('createQueue')
    const parsed = QueueConfig.parse(config)
    if (isInternalName(parsed.name)) {
      throw new ValidationError(
        `${parsed.name}: names ending in .retry or .delay are made by the library itself`,
      )
    }
    await this.#engine.topology.create({ queue: parsed.name }, { config: parsed })
  }

  async createSubscription(topic: TopicRef, name: string, options: SubscriptionOptions): Promise<void> {
    this.#engine.supervisor.adapterFor('createSubscription')
    checkOptions(options, ['pattern'], 'createSubscription')
    const pattern = options.pattern === undefined ? undefined : checkPattern(options.pattern)
    await this.#engine.topology.create(subscriptionTarget(topic, name), { pattern })
  }

  async deleteQueue(queue: QueueRef): Promise<void> {
    await this.#remove(resolveQueue(queue).target)
  }

  async deleteSubscription(topic: TopicRef, name: string): Promise<void> {
    await this.#remove(subscriptionTarget(topic, name))
  }

  async deleteTopic(topic: TopicRef): Promise<void> {
    await this.#remove({ topic: resolveTopic(topic).name })
  }

  async purge(queue: QueueRef): Promise<number> {
    const { target, config } = resolveQueue(queue)
    const adapter = this.#engine.supervisor.adapterFor('purge')
    return this.#engine.topology.on(target, config, () =>
      call(this.#engine, adapter, 'purge', () => adapter.purge(target)),
    )
  }

  /** Makes nothing: a queue that nobody has used holds nothing, and a look must not decide how it is made. */
  async size(queue: QueueRef): Promise<number> {
    return (await sizeOf(this.#engine, resolveQueue(queue).target, 'size')) ?? 0
  }

  async #remove(target: DeclareTarget): Promise<void> {
    const adapter = this.#engine.supervisor.adapterFor('delete')
    await call(this.#engine, adapter, 'delete', () => adapter.remove(target))
    this.#engine.topology.forget(target, new Set(this.#consumers.running.map(({ label }) => label)))
    this.#consumers.forget(target)
    this.#receiving.forget(target)
    this.#outbox.forget(keyOf(target))
  }
}

function subscriptionTarget(topic: TopicRef, name: string): Target {
  return { topic: resolveTopic(topic).name, subscription: checkQueueName(name, 'subscription name') }
}
