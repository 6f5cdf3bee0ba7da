import type { Delivery } from '@mq/core/adapter'
import { EVERY_WAY, onDelivery, onReceiver, type Broken } from './broken.ts'

/** Faults of `open` and `receive`. */
export const receiving: readonly Broken[] = [
  {
    name: 'answers more than it is asked for',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => ({
        receive: (max, signal, waitMs) => receiver.receive(mode === 'browse' ? max : max + 3, signal, waitMs),
      })),
    fails: [
      'consume.prefetch',
      'contract.priority-numbers',
      'contract.receive-both',
      'contract.receive-max',
      'extras.auto-delete',
      'receiver.browse-leased',
      'receiver.browse-ordered',
      'receiver.renew-length',
      'receiver.retry-several',
      'time.delay-many',
      'time.punctual',
      'topics.many',
      'topics.size',
      'extras.limits-kinds',
      'extras.priority-left',
    ],
  },
  {
    name: 'loses what it had leased when receive is aborted',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        async receive(max, signal, waitMs) {
          const deliveries = await receiver.receive(max, signal, waitMs)
          return signal.aborted ? [] : deliveries
        },
      })),
    fails: ['contract.receive-abort'],
  },
  {
    name: 'never answers an empty receive',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver, { mode }) => ({
        async receive(max, signal, waitMs) {
          for (;;) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            if (deliveries.length > 0 || signal.aborted || mode !== 'consume') return deliveries
            await new Promise((resolve) => void clock.setTimeout(() => resolve(undefined), 20))
          }
        },
      })),
    fails: ['contract.publish-outcomes', 'contract.receive-empty', 'receiver.renew-one'],
  },
  {
    name: 'ignores the abort of a receive',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        receive: (max, _signal, waitMs) => receiver.receive(max, new AbortController().signal, waitMs),
      })),
    fails: ['contract.receive-abort', 'contract.receive-ended-consume', 'contract.receive-ended-pull'],
  },
  {
    name: 'waits for the end of a long receive, with messages there',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver) => ({
        async receive(max, signal, waitMs = 1000) {
          const until = clock.now() + waitMs
          const deliveries = await receiver.receive(max, signal, waitMs)
          if (waitMs >= 10_000 && deliveries.length > 0 && !signal.aborted)
            await new Promise((resolve) => {
              clock.setTimeout(() => resolve(undefined), until - clock.now())
              signal.addEventListener('abort', resolve)
            })
          return deliveries
        },
      })),
    fails: [
      'contract.receive-beside',
      'contract.receive-both',
      'contract.receive-waits',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'topics.many',
    ],
  },
  {
    name: 'hands one object of headers to all deliveries',
    fault(inner, { shared }) {
      const headers = (shared.get('headers') ?? new Map()) as Map<string, Record<string, string>>
      shared.set('headers', headers)
      return onDelivery(inner, (delivery) => {
        const known = headers.get(delivery.id) ?? delivery.headers
        headers.set(delivery.id, known)
        return { ...delivery, headers: known }
      })
    },
    fails: ['contract.never-shared'],
  },
  {
    name: 'counts redeliveries as failed runs',
    fault: (inner) =>
      onDelivery(inner, (delivery) => ({
        ...delivery,
        deliveryCount: delivery.deliveryCount + delivery.redeliveries,
      })),
    fails: [
      'contract.disconnect',
      'contract.fields-returned',
      'contract.redeliveries-many',
      'model.random',
      'receiver.close',
      'receiver.expires',
      'receiver.renew',
      'settle.crash',
      'settle.lease-held',
      'topics.lease',
      'order.returned',
    ],
  },
  {
    name: 'counts every retry twice',
    fault: (inner) =>
      onDelivery(inner, (delivery) => ({ ...delivery, deliveryCount: delivery.deliveryCount * 2 })),
    fails: [
      'contract.counts-many',
      'contract.fields',
      'contract.fields-browsed',
      'contract.fields-delayed',
      'contract.fields-kinds',
      'contract.fields-returned',
      'contract.fields-topic',
      'dead-letters.metadata',
      'dead-letters.redrive-again',
      'model.random',
      'order.rejected-blocks',
      'queues.purge-leased',
      'receiver.browse-returned',
      'receiver.many-retry',
      'receiver.outcomes-retry',
      'receiver.retry',
      'receiver.retry-several',
      'receiver.retry-unlike',
      'retry.attempts',
      'retry.count',
      'retry.default-policy',
      'retry.exponential',
      'retry.fixed',
      'retry.handle-error',
      'retry.retry-error',
      'retry.survives-crash',
      'settle.handler-timeout',
      'settle.requeue',
      'settle.requeue-delay',
      'topics.returned',
      'topics.settle-several',
      'topics.size',
      'order.returned',
      'lifecycle.lives-settle',
    ],
  },
  {
    name: 'never counts redeliveries',
    fault: (inner) => onDelivery(inner, (delivery) => ({ ...delivery, redeliveries: 0 })),
    fails: [
      'consume.receive-poison',
      'contract.redeliveries-many',
      'dead-letters.poison',
      'receiver.expires',
      'topics.lease',
      'lifecycle.lives-time',
    ],
  },
  {
    name: 'leaves its control headers among those of the user',
    fault: (inner) =>
      onDelivery(inner, (delivery) => ({
        ...delivery,
        headers: { ...delivery.headers, 'mq-internal': '1' },
      })),
    // The place for answers is no queue, and left alone.
    fails: [
      ...EVERY_WAY.filter((id) => id !== 'contract.fields-reply'),
      'dead-letters.content',
      'dead-letters.redrive-one',
      'dead-letters.redrive-some',
      'observe.read-only',
      'payload.header-edges',
      'payload.header-many',
      'publish.headers',
      'publish.middleware-order',
      'retry.keeps-message',
      'settle.requeue',
      'time.ttl-dead-letter',
      'topics.fields',
    ],
  },
  {
    name: 'delivers the last of a large receive twice',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => {
        let again: Delivery[] = []
        return {
          async receive(max, signal, waitMs) {
            if (again.length > 0) return again.splice(0, max)
            const deliveries = await receiver.receive(max, signal, waitMs)
            if (mode === 'consume' && deliveries.length >= 10) {
              again = deliveries
                .slice(-1)
                .map((delivery) => ({ ...delivery, headers: { ...delivery.headers } }))
            }
            return deliveries
          },
        }
      }),
    fails: [
      'consume.batch',
      'consume.handled-once',
      'consume.order',
      'contract.publish-outcomes',
      'failure.rebalance',
      'failure.slow',
      'model.random',
      'publish.burst',
      'queues.kept',
      'shutdown.flushed',
      'shutdown.zero-loss',
      'time.delay-many',
      'topics.competing',
      'topics.each-all',
      'extras.dedupe-many',
    ],
  },
  {
    name: 'lets leases run four times as long',
    fault: (inner) => ({
      ...inner,
      open: (source, lost) => inner.open({ ...source, leaseMs: source.leaseMs * 20 }, lost),
    }),
    fails: [
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'failure.blocked-loop',
      'model.random',
      'order.crash-repeats',
      'queues.lease-ran-out',
      'receiver.renew',
      'receiver.renew-length',
      'receiver.renew-one',
      'settle.crash',
      'settle.lease-held',
      'settle.lost-aborts',
      'extras.priority-left',
      'receiver.fenced-lease',
      'lifecycle.lives-time',
    ],
  },
  {
    name: 'lets leases run out early',
    fault: (inner) => ({
      ...inner,
      open: (source, lost) => inner.open({ ...source, leaseMs: Math.min(source.leaseMs, 200) }, lost),
    }),
    fails: [
      'consume.rate-limit',
      'contract.expired-behind',
      'extras.extend',
      'order.arriving',
      'order.delayed',
      'order.unblocked',
      'queues.expires',
      'receiver.expires',
      'receiver.many-renew',
      'receiver.renew',
      'receiver.renew-length',
      'receiver.renew-one',
      'receiver.retry',
      'settle.lease-held',
      'settle.renewed',
      'settle.renewed-ahead',
      'time.long',
      'time.ttl-held',
      'time.ttl-read-ahead',
      'topics.lease',
      'time.ttl-returned',
      'time.ttl-subscription',
      'topics.expires',
      'lifecycle.lives-time',
    ],
  },
  {
    name: 'consumes what is browsed',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => ({
        async receive(max, signal, waitMs) {
          const deliveries = await receiver.receive(max, signal, waitMs)
          if (mode === 'browse') await receiver.ack(deliveries)
          return deliveries
        },
      })),
    fails: [
      'capabilities.browse-hides',
      'contract.never-shared',
      'dead-letters.busy',
      'dead-letters.get',
      'dead-letters.list',
      'dead-letters.list-pages',
      'dead-letters.purge',
      'dead-letters.redrive-again',
      'dead-letters.redrive-one',
      'dead-letters.redrive-some',
      'receiver.browse',
      'receiver.browse-leased',
      'receiver.browse-ordered',
      'receiver.browse-priorities',
      'receiver.browse-removed',
      'contract.large-ways',
      'time.ttl-returned',
      'lifecycle.lives-settle',
    ],
  },
  {
    name: 'browses from the beginning whatever the cursor',
    fault: (inner) => ({
      ...inner,
      open: (source, lost) => inner.open({ ...source, after: undefined }, lost),
    }),
    fails: ['dead-letters.list-pages', 'receiver.browse', 'receiver.browse-ordered'],
  },
  {
    name: 'opens what does not exist',
    fault: (inner, { clock }) => ({
      ...inner,
      async open(source, lost) {
        try {
          return await inner.open(source, lost)
        } catch {
          const answer = () => Promise.resolve([])
          const close = () => Promise.resolve()
          const wait = () => new Promise<[]>((resolve) => clock.setTimeout(() => resolve([]), 20))
          return {
            receive: wait,
            ack: answer,
            release: answer,
            retry: answer,
            deadLetter: answer,
            renew: answer,
            close,
          }
        }
      },
    }),
    fails: [
      'consume.missing',
      'contract.disconnected',
      'contract.refused-open',
      'dead-letters.list-pages',
      'extras.exclusive-others',
      'queues.deleted-elsewhere',
      'topics.missing',
      'topics.exclusive',
      'queues.made-again-ends',
    ],
  },
]
