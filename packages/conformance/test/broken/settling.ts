import type { Delivery } from '@mq/core/adapter'
import { allSettled, onReceiver, SETTLED, type Broken } from './broken.ts'

/** Faults of `ack`, `release`, `retry`, `deadLetter`, `renew` and `close`. */
export const settling: readonly Broken[] = [
  {
    name: 'says acknowledged, and keeps the message leased',
    fault: (inner) =>
      onReceiver(inner, () => ({ ack: (deliveries) => Promise.resolve(allSettled(deliveries)) })),
    fails: [
      'consume.handled-once',
      'consume.iterator',
      'consume.iterator-leave',
      'consume.many',
      'consume.stop-returns',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'dead-letters.ordinary-queue',
      'dead-letters.purge',
      'dead-letters.redrive-all',
      'dead-letters.redrive-one',
      'dead-letters.redrive-some',
      'extras.auto-delete',
      'extras.drop-oldest',
      'failure.blocked-loop',
      'failure.rebalance',
      'failure.settle-again',
      'failure.slow',
      'model.random',
      'order.crash-repeats',
      'order.failed-blocks',
      'order.per-key',
      'order.received',
      'order.requeued-first',
      'order.slow-key',
      'order.unblocked',
      'queues.purge-ordered',
      'receiver.ack',
      'receiver.ack-some',
      'receiver.browse',
      'receiver.browse-leased',
      'receiver.browse-ordered',
      'receiver.browse-priorities',
      'receiver.close',
      'receiver.many-ack',
      'receiver.many-renew',
      'receiver.outcomes-ack',
      'receiver.outcomes-deadLetter',
      'receiver.outcomes-release',
      'receiver.outcomes-renew',
      'receiver.outcomes-retry',
      'receiver.renew',
      'receiver.stale-ack',
      'receiver.token-again',
      'receiver.token-closed',
      'receiver.token-same-id',
      'retry.once-done',
      'settle.ack',
      'settle.ack-one',
      'settle.ack-past-lease',
      'settle.mode-auto',
      'settle.mode-manual',
      'settle.mode-none',
      'shutdown.drain',
      'shutdown.flushed',
      'shutdown.zero-loss',
      'topics.lease',
    ],
  },
  {
    name: 'acknowledges all that it delivered before',
    slow: true,
    fault: (inner) =>
      onReceiver(inner, (receiver) => {
        const delivered: Delivery[] = []
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            delivered.push(...deliveries)
            return deliveries
          },
          async ack(deliveries) {
            const last = Math.max(...deliveries.map((delivery) => delivered.indexOf(delivery)))
            const earlier = delivered
              .slice(0, Math.max(0, last))
              .filter((delivery) => !deliveries.includes(delivery))
            const outcomes = await receiver.ack(deliveries)
            await receiver.ack(earlier)
            return outcomes
          },
        }
      }),
    fails: [
      'dead-letters.redrive-one',
      'model.random',
      'order.unblocked',
      'payload.schema-arrival',
      'payload.undecodable',
      'receiver.ack-some',
      'receiver.browse',
      'receiver.browse-ordered',
      'receiver.browse-priorities',
      'receiver.outcomes',
      'receiver.outcomes-ack',
      'receiver.outcomes-deadLetter',
      'receiver.outcomes-release',
      'receiver.outcomes-renew',
      'receiver.outcomes-retry',
      'settle.ack-one',
    ],
  },
  {
    name: 'says settled for what belongs to somebody else',
    fault: (inner) =>
      onReceiver(inner, (receiver) => {
        const lie = (outcomes: readonly unknown[]) =>
          outcomes.map((outcome) => (outcome === 'lost' ? SETTLED : outcome) as typeof SETTLED)
        return {
          ack: async (ds) => lie(await receiver.ack(ds)),
          release: async (ds) => lie(await receiver.release(ds)),
          retry: async (ds, ms) => lie(await receiver.retry(ds, ms)),
          deadLetter: async (ds, failures, target) => lie(await receiver.deadLetter(ds, failures, target)),
        }
      }),
    fails: [
      'receiver.browse-leased',
      'receiver.browse-ordered',
      'receiver.outcomes-ack',
      'receiver.outcomes-deadLetter',
      'receiver.outcomes-release',
      'receiver.outcomes-retry',
      'receiver.renew',
      'receiver.stale-ack',
      'receiver.stale-deadLetter',
      'receiver.stale-release',
      'receiver.stale-retry',
      'receiver.token-again',
      'receiver.token-closed',
      'topics.lease',
    ],
  },
  {
    name: 'answers outcomes in another order',
    slow: true,
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({ ack: async (ds) => [...(await receiver.ack(ds))].reverse() })),
    fails: ['receiver.browse-leased', 'receiver.outcomes', 'receiver.outcomes-ack'],
  },
  {
    name: 'loses what is released',
    fault: (inner) => onReceiver(inner, (receiver) => ({ release: (ds) => receiver.ack(ds) })),
    fails: [
      'consume.iterator',
      'consume.iterator-leave',
      'consume.stop-returns',
      'contract.fields-returned',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'contract.size-retried',
      'dead-letters.give-backs',
      'extras.dedupe-returned',
      'extras.limit-returned',
      'extras.priority-returned',
      'failure.rebalance',
      'model.random',
      'order.requeued-first',
      'receiver.at-once',
      'receiver.many-release',
      'receiver.outcomes',
      'receiver.outcomes-release',
      'receiver.parallel',
      'receiver.release',
      'receiver.token-again',
      'receiver.token-closed',
      'settle.ack-one',
      'settle.mode-manual',
      'shutdown.returned',
      'shutdown.timeout',
      'time.long',
      'topics.returned',
    ],
  },
  {
    name: 'counts what is released',
    fault: (inner) => onReceiver(inner, (receiver) => ({ release: (ds) => receiver.retry(ds, 0) })),
    fails: [
      'consume.iterator',
      'consume.stop-returns',
      'contract.fields-returned',
      'dead-letters.give-backs',
      'model.random',
      'order.requeued-first',
      'receiver.many-release',
      'receiver.outcomes-release',
      'receiver.release',
      'receiver.token-again',
      'shutdown.returned',
      'shutdown.timeout',
      'topics.returned',
    ],
  },
  {
    name: 'releases nothing before the lease runs out',
    slow: true,
    fault: (inner) => onReceiver(inner, () => ({ release: (ds) => Promise.resolve(allSettled(ds)) })),
    fails: [
      'contract.fields-returned',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'contract.size-retried',
      'receiver.at-once',
      'receiver.many-release',
      'receiver.outcomes',
      'receiver.outcomes-release',
      'receiver.parallel',
      'receiver.release',
      'receiver.stale-release',
      'receiver.token-again',
      'receiver.token-closed',
      'time.long',
      'topics.returned',
    ],
  },
  {
    name: 'loses what is retried',
    fault: (inner) => onReceiver(inner, (receiver) => ({ retry: (ds) => receiver.ack(ds) })),
    fails: [
      'consume.batch-outcomes',
      'consume.circuit-breaker',
      'contract.counts-new',
      'contract.fields-dead',
      'contract.fields-returned',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'dead-letters.metadata',
      'dead-letters.one-subscription',
      'extras.dedupe-returned',
      'extras.limit-returned',
      'extras.priority-returned',
      'lifecycle.process-exits',
      'model.random',
      'observe.stats',
      'order.failed-blocks',
      'publish.no-aliasing',
      'queues.purge-delayed',
      'queues.purge-leased',
      'receiver.at-once',
      'receiver.dead-letter',
      'receiver.many-retry',
      'receiver.outcomes-retry',
      'receiver.parallel',
      'receiver.retry',
      'receiver.retry-several',
      'request.retried',
      'retry.attempts',
      'retry.count',
      'retry.default-policy',
      'retry.exponential',
      'retry.fixed',
      'retry.handle-error',
      'retry.keeps-message',
      'retry.once-done',
      'retry.retry-error',
      'retry.survives-crash',
      'settle.handler-timeout',
      'settle.requeue',
      'settle.requeue-delay',
      'time.punctual',
      'time.ttl-retry',
    ],
  },
  {
    name: 'ignores the delay of a retry',
    fault: (inner) => onReceiver(inner, (receiver) => ({ retry: (ds) => receiver.retry(ds, 0) })),
    fails: [
      'contract.size-retried',
      'dead-letters.metadata',
      'model.random',
      'receiver.retry',
      'receiver.retry-several',
      'retry.blocks-nothing',
      'retry.exponential',
      'retry.fixed',
      'retry.retry-error',
      'retry.survives-crash',
      'settle.requeue-delay',
      'time.long',
      'time.punctual',
      'time.ttl-retry',
    ],
  },
  {
    name: 'keeps a waiting retry in the process that asked for it',
    slow: true,
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver) => ({
        async retry(ds, delayMs) {
          if (delayMs > 0)
            await new Promise((resolve) => void clock.setTimeout(() => resolve(undefined), delayMs))
          return receiver.retry(ds, 0)
        },
      })),
    fails: [
      'contract.size-retried',
      'dead-letters.metadata',
      'retry.blocks-nothing',
      'retry.survives-crash',
      'settle.requeue-delay',
      'time.long',
    ],
  },
  {
    name: 'renews nothing',
    slow: true,
    fault: (inner) => onReceiver(inner, () => ({ renew: (ds) => Promise.resolve(allSettled(ds)) })),
    fails: [
      'extras.extend',
      'receiver.many-renew',
      'receiver.outcomes-renew',
      'receiver.renew',
      'receiver.renew-one',
      'receiver.stale-renew',
      'settle.renewed',
      'settle.renewed-ahead',
    ],
  },
  {
    name: 'says renewed for what belongs to somebody else',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        async renew(ds) {
          await receiver.renew(ds)
          return allSettled(ds)
        },
      })),
    fails: ['receiver.outcomes-renew', 'receiver.stale-renew'],
  },
  {
    name: 'says lost although it renewed',
    slow: true,
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        async renew(ds) {
          await receiver.renew(ds)
          return ds.map(() => 'lost' as const)
        },
      })),
    fails: [
      'extras.extend',
      'lifecycle.process-exits',
      'model.random',
      'receiver.many-renew',
      'receiver.outcomes-renew',
      'receiver.renew',
      'receiver.renew-one',
      'settle.renewed',
      'settle.renewed-ahead',
    ],
  },
  {
    name: 'drops what is unsettled on close',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => {
        const open = new Set<Delivery>()
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const delivery of deliveries) open.add(delivery)
            return deliveries
          },
          async close(signal) {
            if (mode !== 'browse') await receiver.ack([...open])
            await receiver.close(signal)
          },
        }
      }),
    fails: [
      'contract.fields-returned',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'extras.dedupe-returned',
      'receiver.ack-some',
      'receiver.at-once',
      'receiver.close',
      'receiver.dead-letter-refused',
      'receiver.token-closed',
      'receiver.token-same-id',
      'topics.returned',
    ],
  },
  {
    name: 'keeps what is unsettled after close, until the lease runs out',
    slow: true,
    fault: (inner) => onReceiver(inner, () => ({ close: () => Promise.resolve() })),
    fails: [
      'contract.fields-returned',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'extras.auto-delete',
      'extras.dedupe-returned',
      'queues.expires',
      'receiver.ack-some',
      'receiver.at-once',
      'receiver.close',
      'receiver.dead-letter-refused',
      'receiver.token-closed',
      'receiver.token-same-id',
      'topics.returned',
    ],
  },
  {
    name: 'keeps for ever what was renewed once',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver, { leaseMs }) => ({
        async renew(deliveries) {
          const outcomes = await receiver.renew(deliveries)
          const again = () => {
            void receiver.renew(deliveries).then((later) => {
              if (later.includes(SETTLED)) clock.setTimeout(again, leaseMs / 3)
            })
          }
          clock.setTimeout(again, leaseMs / 3)
          return outcomes
        },
      })),
    fails: ['receiver.renew'],
  },
]
