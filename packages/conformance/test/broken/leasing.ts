import type { Delivery } from '@mq/core/adapter'
import { allSettled, onReceiver, SETTLED, type Broken } from './broken.ts'

/** Faults of `renew` and `close`. */
export const leasing: readonly Broken[] = [
  {
    name: 'renews nothing',
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
      'topics.lease',
      'receiver.fenced',
      'receiver.fenced-anew',
      'receiver.fenced-lease',
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
    fails: [
      'receiver.outcomes-renew',
      'receiver.stale-renew',
      'topics.lease',
      'receiver.fenced',
      'receiver.fenced-anew',
      'receiver.fenced-lease',
    ],
  },
  {
    name: 'says lost although it renewed',
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
      'receiver.renew-length',
      'receiver.renew-one',
      'settle.renewed',
      'settle.renewed-ahead',
      'topics.lease',
      'receiver.fenced',
      'receiver.fenced-anew',
      'receiver.fenced-lease',
      'lifecycle.lives-time',
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
      'contract.concurrent',
      'contract.fields-returned',
      'contract.never-shared',
      'contract.receive-ended-consume',
      'contract.receive-ended-pull',
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
      'extras.limits-freed',
      'order.returned',
      'extras.priority-left',
      'receiver.fenced',
    ],
  },
  {
    name: 'keeps what is unsettled after close, until the lease runs out',
    fault: (inner) => onReceiver(inner, () => ({ close: () => Promise.resolve() })),
    fails: [
      'contract.concurrent',
      'contract.fields-returned',
      'contract.never-shared',
      'contract.receive-ended-consume',
      'contract.receive-ended-pull',
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
      'topics.auto-delete',
      'topics.returned',
      'extras.limits-freed',
      'order.returned',
      'extras.priority-left',
      'queues.made-again-ends',
      'receiver.fenced',
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
    fails: ['receiver.renew', 'receiver.renew-length'],
  },
]
