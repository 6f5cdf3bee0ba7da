import { hostname } from 'node:os'
import type {
  Clock,
  DeadLetterReason,
  DeclareTarget,
  Destination,
  OutboundMessage,
  QueueSettings,
  Target,
} from '../adapter/index.ts'
import {
  AdapterError,
  completeClock,
  ErrorCode,
  matchesPattern,
  plainSettings,
  systemClock,
} from '../adapter/index.ts'
import { checkNames } from './check-names.ts'
import type { Entry } from './entry.ts'
import { QueueStore } from './queue.ts'

const HOST = hostname()

/** The server: queues and topics, kept while the process lives. Adapters are connections to it. */
export class MemoryBroker {
  readonly clock: Required<Clock>
  readonly #queues = new Map<string, QueueStore>()
  /** Subscriptions of each topic, by name. */
  readonly #topics = new Map<string, Map<string, QueueStore>>()
  readonly #replies = new Map<string, QueueStore>()

  constructor(clock: Clock = systemClock) {
    this.clock = completeClock(clock)
  }

  find(target: Target): QueueStore | undefined {
    return 'queue' in target
      ? this.#queues.get(target.queue)
      : this.#topics.get(target.topic)?.get(target.subscription)
  }

  /** Throws MQ_QUEUE_NOT_FOUND. */
  get(target: Target): QueueStore {
    const store = this.find(target)
    if (store !== undefined) return store
    throw new AdapterError(ErrorCode.QUEUE_NOT_FOUND, `there is no ${nameOf(target)}`)
  }

  addTopic(topic: string): Map<string, QueueStore> {
    let subscriptions = this.#topics.get(topic)
    if (subscriptions === undefined) {
      subscriptions = new Map()
      this.#topics.set(topic, subscriptions)
    }
    return subscriptions
  }

  add(target: Target, settings: QueueSettings, pattern: string | undefined, owner: object): QueueStore {
    const store = new QueueStore(nameOf(target), settings, pattern, owner, this.clock, (entry, reason) =>
      this.#giveUp(store, target, entry, reason),
    )
    if ('queue' in target) this.#queues.set(target.queue, store)
    else this.addTopic(target.topic).set(target.subscription, store)
    this.#expireWhenUnused(store, target)
    return store
  }

  addReplies(address: string): QueueStore {
    const store = new QueueStore(address, plainSettings, undefined, this, this.clock, () => undefined)
    this.#replies.set(address, store)
    return store
  }

  removeReplies(address: string): void {
    this.#replies.get(address)?.delete()
    this.#replies.delete(address)
  }

  remove(target: DeclareTarget): void {
    if ('queue' in target) {
      this.#queues.get(target.queue)?.delete()
      this.#queues.delete(target.queue)
    } else if ('subscription' in target) {
      const subscriptions = this.#topics.get(target.topic)
      subscriptions?.get(target.subscription)?.delete()
      subscriptions?.delete(target.subscription)
    } else {
      for (const store of this.#topics.get(target.topic)?.values() ?? []) store.delete()
      this.#topics.delete(target.topic)
    }
  }

  /** Removes what is under a name, if it still is this. */
  removeStore(target: Target, store: QueueStore): void {
    if (this.find(target) === store) this.remove(target)
  }

  /** Where a message goes. A topic nobody subscribed to, and a requester that is gone, are nowhere. */
  route(destination: Destination, { routingKey = '' }: OutboundMessage): QueueStore[] {
    if ('reply' in destination) {
      const store = this.#replies.get(destination.reply)
      return store === undefined ? [] : [store]
    }
    if ('queue' in destination || 'subscription' in destination) return [this.get(destination)]
    const stores: QueueStore[] = []
    for (const store of this.#topics.get(destination.topic)?.values() ?? []) {
      if (matchesPattern(store.pattern ?? '#', routingKey)) stores.push(store)
    }
    return stores
  }

  /** A dead-letter queue, made if it is not there. Throws MQ_QUEUE_NOT_FOUND for a subscription: its pattern is unknown. */
  deadLetterQueue(target: Target): QueueStore {
    if ('topic' in target) return this.get(target)
    return this.find(target) ?? this.add(target, plainSettings, undefined, this)
  }

  #giveUp(store: QueueStore, source: Target, entry: Entry, reason: DeadLetterReason): void {
    const { deadLetterQueue } = store.settings
    // A dead letter for which there is no room is gone, or two full queues that point at each other would never come to rest.
    if (deadLetterQueue === null || (reason === 'max-length' && entry.deadLetter !== undefined)) return
    const now = new Date(this.clock.now())
    const target = this.deadLetterQueue({ queue: deadLetterQueue })
    target.storeDeadLetter(entry, {
      reason,
      queue: 'queue' in source ? source.queue : source.topic,
      subscription: 'queue' in source ? null : source.subscription,
      attempts: entry.deliveryCount,
      firstFailedAt: entry.firstFailedAt === undefined ? now : new Date(entry.firstFailedAt),
      lastFailedAt: now,
      error: { name: 'Error', message: WHY[reason] ?? reason, stack: '' },
      host: HOST,
    })
    target.wake()
  }

  /** `x-expires`: a queue without receivers and without use goes, with all it holds. */
  #expireWhenUnused(store: QueueStore, target: Target): void {
    const { expires } = store.settings
    if (expires === null) return
    const check = () => {
      if (store.deleted) return
      const idleUntil = store.usedAt + expires
      if (store.receivers.size === 0 && idleUntil <= this.clock.monotonic()) this.remove(target)
      else
        this.clock.setTimeout(
          check,
          store.receivers.size > 0 ? expires : Math.max(1, idleUntil - this.clock.monotonic()),
        )
    }
    this.clock.setTimeout(check, expires)
  }
}

const WHY: Partial<Record<DeadLetterReason, string>> = {
  expired: 'The message expired while it waited',
  'max-length': 'The queue was full, and drops its oldest messages',
}

export function nameOf(target: Target): string {
  return 'queue' in target ? target.queue : `${target.topic}/${target.subscription}`
}

/** A broker of one's own, which only those see that are given it. */
export function createMemoryBroker(options: { clock?: Clock | undefined } = {}): MemoryBroker {
  checkNames(options, ['clock'], 'createMemoryBroker')
  return new MemoryBroker(options.clock)
}
