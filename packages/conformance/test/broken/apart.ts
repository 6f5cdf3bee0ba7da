import type { BrokerAdapter, Delivery, QueueSettings } from '@mq/core/adapter'
import { keyOf, onDelivery, onPublish, onReceiver, sharedMap, sharedSet, type Broken } from './broken.ts'

const ANEW = ' anew'

/** Changes each message that a browse shows. */
const onBrowse =
  (change: (page: readonly Delivery[]) => readonly Delivery[]): Broken['fault'] =>
  (inner) =>
    onReceiver(inner, (receiver, { mode }) =>
      mode !== 'browse'
        ? {}
        : {
            receive: async (max, signal, waitMs) => change(await receiver.receive(max, signal, waitMs)),
          },
    )

const RARE = ['correlationId', 'replyTo', 'routingKey', 'deduplicationId'] as const

/** Makes subscriptions with other settings than it is asked for. */
const subscriptionsWith =
  (settings: Partial<QueueSettings>): Broken['fault'] =>
  (inner) => ({
    ...inner,
    declare: (target, declaration) =>
      inner.declare(
        target,
        'subscription' in target
          ? { ...declaration, settings: { ...declaration.settings, ...settings } }
          : declaration,
      ),
    open: (source, lost) =>
      inner.open('subscription' in source.target ? { ...source, ordered: false } : source, lost),
  })

/** Faults that show beside what everybody looks at: in a browse, a subscription, a large number. */
export const apart: readonly Broken[] = [
  {
    name: 'shows a browse those fields alone that every message has',
    fault: onBrowse((page) => {
      for (const delivery of page)
        for (const field of RARE) Object.defineProperty(delivery, field, { value: undefined })
      return page
    }),
    fails: ['contract.fields-browsed'],
  },
  {
    name: 'shows a browse no counts',
    fault: onBrowse((page) => {
      for (const delivery of page) Object.defineProperty(delivery, 'deliveryCount', { value: 0 })
      return page
    }),
    fails: ['contract.fields-browsed', 'receiver.browse-returned'],
  },
  {
    name: 'shows a browse nothing that came back',
    fault(inner) {
      const back = new Set<string>()
      const noting = onReceiver(inner, (receiver) => ({
        release(deliveries) {
          for (const { id } of deliveries) back.add(id)
          return receiver.release(deliveries)
        },
      }))
      return onReceiver(noting, (receiver, { mode }) => ({
        async receive(max, signal, waitMs) {
          const page = await receiver.receive(max, signal, waitMs)
          return mode === 'browse' ? page.filter(({ id }) => !back.has(id)) : page
        },
      }))
    },
    fails: ['receiver.browse-returned', 'contract.large-ways'],
  },
  {
    name: 'counts failures up to five',
    fault: (inner) =>
      onDelivery(inner, (delivery) => ({ ...delivery, deliveryCount: Math.min(delivery.deliveryCount, 5) })),
    fails: ['contract.counts-many', 'contract.fields'],
  },
  {
    name: 'gives the key of what is held free with a purge',
    fault(inner, { shared }) {
      const purged = sharedSet(shared, 'purged')
      const renamed = onPublish(inner, (message) => {
        const { key, destination } = message
        return key !== undefined && purged.has(keyOf(destination)) ? { ...message, key: key + ANEW } : message
      })
      return onReceiver(
        {
          ...renamed,
          purge(target) {
            purged.add(keyOf(target))
            return inner.purge(target)
          },
        },
        (receiver) => ({
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const delivery of deliveries)
              Object.defineProperty(delivery, 'key', { value: delivery.key?.replace(ANEW, '') })
            return deliveries
          },
        }),
      )
    },
    fails: ['queues.purge-ordered'],
  },
  {
    name: 'lets others declare an exclusive queue',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) =>
        inner.declare(target, declaration).catch((error: unknown) => {
          if (declaration.ifExists === 'compare' || inner.classify(error).code !== 'MQ_QUEUE_CONFLICT')
            throw error
          return declaration.settings
        }),
    }),
    fails: ['extras.exclusive-others', 'topics.exclusive'],
  },
  {
    name: 'lets others consume an exclusive queue',
    fault(inner, { shared }) {
      const owners = sharedMap<BrokerAdapter>(shared, 'owners')
      return {
        ...inner,
        async declare(target, declaration) {
          const answer = await inner.declare(target, declaration)
          if (declaration.settings.exclusive) owners.set(keyOf(target), inner)
          return answer
        },
        open: (source, lost) => (owners.get(keyOf(source.target)) ?? inner).open(source, lost),
      }
    },
    fails: ['extras.exclusive-others', 'topics.exclusive', 'queues.made-again-ends'],
  },
  {
    name: 'counts redeliveries up to three',
    fault: (inner) =>
      onDelivery(inner, (delivery) => ({ ...delivery, redeliveries: Math.min(delivery.redeliveries, 3) })),
    fails: ['contract.redeliveries-many'],
  },
  {
    name: 'counts up to a hundred',
    fault: (inner) => ({ ...inner, size: async (target) => Math.min(await inner.size(target), 100) }),
    fails: ['contract.size-many', 'topics.many'],
  },
  {
    name: 'says of a large purge that it was a smaller one',
    fault: (inner) => ({ ...inner, purge: async (target) => Math.min(await inner.purge(target), 100) }),
    fails: ['contract.size-many'],
  },
  {
    name: 'keeps no order in a subscription',
    fault: subscriptionsWith({ ordered: false }),
    fails: ['queues.conflict-each', 'topics.ordered', 'order.returned', 'queues.made-again'],
  },
  {
    name: 'keeps no priorities in a subscription',
    fault: subscriptionsWith({ maxPriority: null }),
    fails: ['topics.priority', 'queues.made-again', 'extras.priority-left'],
  },
  {
    name: 'refuses what a subscription should make room for',
    fault: subscriptionsWith({ overflow: 'reject' }),
    fails: ['topics.drop-oldest', 'queues.made-again', 'extras.limits-redriven'],
  },
  {
    name: 'ignores maxLengthBytes of a subscription',
    fault: subscriptionsWith({ maxLengthBytes: null }),
    fails: ['topics.drop-oldest', 'extras.limits-redriven'],
  },
  {
    name: 'keeps an autoDelete subscription',
    fault: subscriptionsWith({ autoDelete: false }),
    fails: ['topics.auto-delete', 'queues.made-again-ends'],
  },
  {
    name: 'deduplicates no subscription',
    fault: subscriptionsWith({ deduplicationWindowMs: null }),
    fails: ['extras.dedupe-apart', 'queues.made-again'],
  },
  {
    name: 'takes for a duplicate what another subscription has seen',
    fault(inner) {
      const seen = new Set<string>()
      return onPublish(inner, (message) => {
        const { deduplicationId, destination } = message
        if (deduplicationId === undefined || !('topic' in destination)) return message
        const id = `${destination.topic} ${deduplicationId}`
        if (seen.has(id)) return null
        seen.add(id)
        return message
      })
    },
    fails: [
      'contract.fields-kinds',
      'contract.fields-topic',
      'extras.dedupe-apart',
      'queues.made-again',
      'extras.limits-call',
    ],
  },
  {
    name: 'does not deduplicate what is delayed',
    fault: (inner) =>
      onPublish(inner, (message) => (message.delayMs > 0 ? { ...message, redriven: true } : message)),
    fails: ['extras.dedupe-delayed'],
  },
]
