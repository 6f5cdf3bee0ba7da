import type {
  BrokerAdapter,
  Delivery,
  OutboundMessage,
  QueueSettings,
  Receiver,
  Target,
} from '@mq/core/adapter'
import {
  copyOf,
  keyOf,
  onDelivery,
  onPublish,
  onReceiver,
  sharedMap,
  sharedSet,
  type Broken,
} from './broken.ts'

/** Changes the receivers of subscriptions, which queues do not have. */
const onSubscriptions = (
  inner: BrokerAdapter,
  change: (receiver: Receiver, target: Target & { topic: string }) => Partial<Receiver>,
): BrokerAdapter =>
  onReceiver(inner, (receiver, { target }) => ('topic' in target ? change(receiver, target) : {}))

const toSubscription = ({ destination }: OutboundMessage) => 'subscription' in destination

/** Faults of subscriptions that their queues would not show. */
export const ofASubscription: readonly Broken[] = [
  {
    name: 'retries what a subscription holds at once, whatever the delay',
    fault: (inner) =>
      onSubscriptions(inner, (receiver) => ({ retry: (deliveries) => receiver.retry(deliveries, 0) })),
    fails: ['contract.fields-kinds', 'topics.delay-punctual'],
  },
  {
    name: 'releases to every subscription of the topic',
    fault: (inner) =>
      onSubscriptions(inner, (receiver, { topic }) => ({
        async release(deliveries) {
          const destination = { topic }
          const copies = deliveries.map((delivery) => ({ ...copyOf(delivery), destination }))
          await inner.publish(copies, new AbortController().signal)
          return receiver.ack(deliveries)
        },
      })),
    fails: ['contract.fields-kinds', 'topics.lease', 'topics.returned', 'order.returned'],
  },
  {
    name: 'counts what is leased of a subscription as ready',
    fault(inner, { shared }) {
      const held = sharedMap<Set<Delivery>>(shared, 'held')
      const counting = onSubscriptions(inner, (receiver, target) => {
        const ours = held.get(keyOf(target)) ?? new Set()
        held.set(keyOf(target), ours)
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const delivery of deliveries) ours.add(delivery)
            return deliveries
          },
          ack(deliveries) {
            for (const delivery of deliveries) ours.delete(delivery)
            return receiver.ack(deliveries)
          },
        }
      })
      return {
        ...counting,
        size: async (target) => (await inner.size(target)) + (held.get(keyOf(target))?.size ?? 0),
      }
    },
    fails: ['topics.size', 'extras.priority-left'],
  },
  {
    name: 'loses the last message of a large call to a topic',
    fault: (inner) =>
      onPublish(inner, (message, i, batch) =>
        'topic' in message.destination && batch.length > 100 && i === batch.length - 1 ? null : message,
      ),
    fails: ['topics.many'],
  },
  {
    name: 'compares no setting of a subscription',
    fault(inner, { shared }) {
      const made = sharedMap<QueueSettings>(shared, 'made')
      return {
        ...inner,
        declare(target, declaration) {
          if (!('subscription' in target)) return inner.declare(target, declaration)
          const settings = made.get(keyOf(target)) ?? declaration.settings
          made.set(keyOf(target), settings)
          return inner.declare(target, { ...declaration, settings })
        },
      }
    },
    fails: ['queues.conflict-each', 'queues.made-again', 'queues.made-again-ends'],
  },
  ...(['correlationId', 'contentEncoding', 'routingKey'] as const).map((field): Broken => ({
    name: `loses the ${field} of what is sent to one subscription`,
    fault: (inner) =>
      onPublish(inner, (message) => (toSubscription(message) ? { ...message, [field]: undefined } : message)),
    fails: ['contract.fields-kinds'],
  })),
  ...(['key', 'routingKey', 'timestamp'] as const).map((field): Broken => ({
    name: `loses the ${field} of a subscription’s dead letter`,
    fault(inner, { shared }) {
      const dead = sharedSet(shared, 'dead')
      const noting = onSubscriptions(inner, (receiver) => ({
        deadLetter(deliveries, failures, target) {
          for (const { id } of deliveries) dead.add(id)
          return receiver.deadLetter(deliveries, failures, target)
        },
      }))
      return onDelivery(noting, (delivery) =>
        delivery.deadLetter !== undefined && dead.has(delivery.id)
          ? { ...delivery, [field]: field === 'timestamp' ? delivery.timestamp + 1 : undefined }
          : delivery,
      )
    },
    fails: ['contract.fields-kinds'],
  })),
]
