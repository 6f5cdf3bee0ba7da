import type { BrokerAdapter } from '@mq/core/adapter'
import { onPublish, onReceiver, type Broken } from './broken.ts'

/** Whole until it is connected for the second time, and from then on `other`. */
function afterwards(other: (inner: BrokerAdapter) => BrokerAdapter): Broken['fault'] {
  return (inner) => {
    let lives = 0
    const now = () => (lives > 1 ? changed : inner)
    const changed = other(inner)
    return {
      ...inner,
      connect(on, signal) {
        lives++
        return inner.connect(on, signal)
      },
      publish: (batch, signal) => now().publish(batch, signal),
      open: (source, lost) => now().open(source, lost),
      openReplies: () => now().openReplies(),
      size: (target) => now().size(target),
      purge: (target) => now().purge(target),
    }
  }
}

/** Faults of an adapter that was connected before. */
export const lives: readonly Broken[] = [
  {
    name: 'delays nothing in its second life',
    fault: afterwards((inner) => onPublish(inner, (message) => ({ ...message, delayMs: 0 }))),
    fails: ['lifecycle.lives-time'],
  },
  {
    name: 'has forgotten routing keys in its second life',
    fault: afterwards((inner) => onPublish(inner, (message) => ({ ...message, routingKey: undefined }))),
    fails: ['lifecycle.lives-ways'],
  },
  {
    name: 'has forgotten ordering keys in its second life',
    fault: afterwards((inner) => onPublish(inner, (message) => ({ ...message, key: undefined }))),
    fails: ['lifecycle.lives-time'],
  },
  {
    name: 'has forgotten deduplication ids in its second life',
    fault: afterwards((inner) => onPublish(inner, (message) => ({ ...message, deduplicationId: undefined }))),
    fails: ['lifecycle.lives-ways'],
  },
  {
    name: 'counts no retries in its second life',
    fault: afterwards((inner) =>
      onReceiver(inner, (receiver) => ({ retry: (deliveries) => receiver.release(deliveries) })),
    ),
    fails: ['lifecycle.lives-settle'],
  },
  {
    name: 'counts what is given back in its second life',
    fault: afterwards((inner) =>
      onReceiver(inner, (receiver) => ({ release: (deliveries) => receiver.retry(deliveries, 0) })),
    ),
    fails: ['lifecycle.lives-settle'],
  },
  {
    name: 'loses dead letters in its second life',
    fault: afterwards((inner) =>
      onReceiver(inner, (receiver) => ({ deadLetter: (deliveries) => receiver.ack(deliveries) })),
    ),
    fails: ['lifecycle.lives-settle', 'observe.listeners'],
  },
  {
    name: 'leases for a day in its second life',
    fault: afterwards((inner) => ({
      ...inner,
      open: (source, lost) => inner.open({ ...source, leaseMs: 86_400_000 }, lost),
    })),
    fails: ['lifecycle.lives-time'],
  },
  {
    name: 'finds every queue empty in its second life',
    fault: afterwards((inner) => ({ ...inner, size: () => Promise.resolve(0) })),
    fails: ['lifecycle.lives-settle', 'observe.listeners'],
  },
  {
    name: 'purges nothing in its second life',
    fault: afterwards((inner) => ({ ...inner, purge: () => Promise.resolve(0) })),
    fails: ['lifecycle.lives-settle'],
  },
  {
    name: 'takes answers where it took them in its first life',
    fault(inner) {
      let address = ''
      return {
        ...inner,
        async openReplies() {
          const replies = await inner.openReplies()
          address ||= replies.address
          return { ...replies, address }
        },
      }
    },
    fails: ['lifecycle.lives-ways', 'request.reconnected'],
  },
]
