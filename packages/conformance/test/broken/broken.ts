import type { Clock } from '@mq/core'
import type { BrokerAdapter, Delivery, OutboundMessage, Receiver, Source } from '@mq/core/adapter'

/** Every way that a message may take, in the items that compare each field. */
export const EVERY_WAY: readonly string[] = [
  'contract.fields',
  'contract.fields-browsed',
  'contract.fields-dead',
  'contract.fields-delayed',
  'contract.fields-dropped',
  'contract.fields-expired',
  'contract.fields-kinds',
  'contract.fields-reply',
  'contract.fields-returned',
  'contract.fields-topic',
]

/** An adapter with one fault, and the ids of the suite that must fail because of it: these and no others. */
export interface Broken {
  readonly name: string
  /** Called for each adapter that the suite asks for. */
  readonly fault: (inner: BrokerAdapter, run: Run) => BrokerAdapter
  readonly fails: readonly string[]
}

export interface Run {
  /** What the adapters of one run know of each other. */
  readonly shared: Map<string, unknown>
  readonly clock: Clock
}

/** A timer that keeps a process alive for longer than the suite waits for one to exit; it ends by itself, so that the tests can. */
export function leaveTimer(): void {
  const timer = setInterval(() => undefined, 1000)
  setTimeout(() => clearInterval(timer), 30_000).unref()
}

/** Changes each message on its way to the broker; `null` drops it, and says that it was stored. */
export function onPublish(
  inner: BrokerAdapter,
  change: (
    message: OutboundMessage,
    index: number,
    batch: readonly OutboundMessage[],
  ) => OutboundMessage | null,
): BrokerAdapter {
  return {
    ...inner,
    async publish(batch, signal) {
      const changed = batch.map(change)
      const kept = changed.filter((message) => message !== null)
      const outcomes = kept.length === 0 ? [] : [...(await inner.publish(kept, signal))]
      return changed.map((message) => (message === null ? { ok: true } : (outcomes.shift() ?? { ok: true })))
    },
  }
}

/** Changes the receivers. */
export function onReceiver(
  inner: BrokerAdapter,
  change: (receiver: Receiver, source: Source) => Partial<Receiver>,
): BrokerAdapter {
  return {
    ...inner,
    async open(source, lost) {
      const receiver = await inner.open(source, lost)
      return { ...receiver, ...change(receiver, source) }
    },
  }
}

/** Changes each delivery on its way to core, and turns it back where core settles it. */
export function onDelivery(inner: BrokerAdapter, change: (delivery: Delivery) => Delivery): BrokerAdapter {
  return onReceiver(inner, (receiver) => {
    const originals = new WeakMap<Delivery, Delivery>()
    const back = (deliveries: readonly Delivery[]) =>
      deliveries.map((delivery) => originals.get(delivery) ?? delivery)
    return {
      async receive(max, signal, waitMs) {
        const deliveries = await receiver.receive(max, signal, waitMs)
        return deliveries.map((delivery) => {
          const changed = change(delivery)
          originals.set(changed, delivery)
          return changed
        })
      },
      ack: (deliveries) => receiver.ack(back(deliveries)),
      release: (deliveries) => receiver.release(back(deliveries)),
      retry: (deliveries, delayMs) => receiver.retry(back(deliveries), delayMs),
      deadLetter: (deliveries, failures, target) => receiver.deadLetter(back(deliveries), failures, target),
      renew: (deliveries) => receiver.renew(back(deliveries)),
    }
  })
}

export const SETTLED = 'settled' as const

export function allSettled(deliveries: readonly unknown[]): readonly 'settled'[] {
  return deliveries.map(() => SETTLED)
}

/** A set that the adapters of one run share. */
export function sharedSet(shared: Map<string, unknown>, name: string): Set<string> {
  const set = (shared.get(name) ?? new Set()) as Set<string>
  shared.set(name, set)
  return set
}

/** The same of a map. */
export function sharedMap<T>(shared: Map<string, unknown>, name: string): Map<string, T> {
  const map = (shared.get(name) ?? new Map()) as Map<string, T>
  shared.set(name, map)
  return map
}

export const keyOf = (target: object) => JSON.stringify(target)

/** What a message that was delivered would be if it were sent again. */
export function copyOf(delivery: Delivery): Omit<OutboundMessage, 'destination'> {
  const { id, body, headers, timestamp, contentEncoding, correlationId, replyTo, routingKey, key } = delivery
  const kept = { id, body, headers, timestamp, contentEncoding, correlationId, replyTo, routingKey, key }
  const contentType = delivery.contentType ?? 'application/octet-stream'
  const rest = { deduplicationId: undefined, priority: 0, delayMs: 0, expiresAt: undefined, deliveryCount: 0 }
  return { ...kept, ...rest, contentType, redriven: false, sendToken: id }
}
