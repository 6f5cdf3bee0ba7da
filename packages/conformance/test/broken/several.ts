import type { BrokerAdapter, Delivery, Receiver, Source, Target } from '@mq/core/adapter'
import { allSettled, keyOf, onPublish, onReceiver, sharedMap, type Broken } from './broken.ts'

type Change = (receiver: Receiver, target: Target & { topic: string }) => Partial<Receiver>

/** A fault of the receivers of subscriptions. */
const ofSubscriptions =
  (change: Change): Broken['fault'] =>
  (inner) =>
    onReceiver(inner, (receiver, { target }) => ('topic' in target ? change(receiver, target) : {}))

/** Does something with the first, and answers the same of the others. */
const first =
  (settle: (deliveries: readonly Delivery[]) => Promise<unknown>) =>
  async (deliveries: readonly Delivery[]) => {
    await settle(deliveries.slice(0, 1))
    return allSettled(deliveries)
  }

/** Lets no more than `most` receivers of one queue wait at once: the others wait for nothing. */
function atMost(
  inner: BrokerAdapter,
  most: number,
  waiting: Map<string, number>,
  sleep: Sleep,
): BrokerAdapter {
  const count = ({ target }: Source, more: number) => {
    const n = (waiting.get(keyOf(target)) ?? 0) + more
    waiting.set(keyOf(target), n)
    return n
  }
  return onReceiver(inner, (receiver, source) => ({
    async receive(max, signal, waitMs = 1000) {
      if (waitMs === 0) return receiver.receive(max, signal, 0)
      try {
        if (count(source, 1) <= most) return await receiver.receive(max, signal, waitMs)
        await sleep(waitMs, signal)
        return await receiver.receive(max, signal, 0)
      } finally {
        count(source, -1)
      }
    },
  }))
}

type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

/** Faults that show where there is more than one: messages of a call, receivers that wait, names that are alike. */
export const several: readonly Broken[] = [
  {
    name: 'dead-letters the first of several of a subscription',
    fault: ofSubscriptions((receiver) => ({
      async deadLetter(deliveries, failures, target) {
        await receiver.deadLetter(deliveries.slice(0, 1), failures.slice(0, 1), target)
        return receiver.ack(deliveries.slice(1)).then(() => allSettled(deliveries))
      },
    })),
    fails: ['topics.lease', 'topics.settle-several'],
  },
  {
    name: 'gives the dead letters of a subscription the failure of the first',
    fault: ofSubscriptions((receiver) => ({
      deadLetter: (deliveries, failures, target) =>
        receiver.deadLetter(deliveries, new Array(deliveries.length).fill(failures[0]), target),
    })),
    fails: ['topics.settle-several'],
  },
  {
    name: 'acknowledges the first of several of a subscription',
    fault: ofSubscriptions((receiver) => ({ ack: first((deliveries) => receiver.ack(deliveries)) })),
    fails: [
      'topics.lease',
      'topics.settle-several',
      'extras.limits-call',
      'extras.limits-redriven',
      'lifecycle.lives-ways',
    ],
  },
  {
    name: 'releases the first of several of a subscription',
    fault: ofSubscriptions((receiver) => ({ release: first((deliveries) => receiver.release(deliveries)) })),
    fails: ['topics.lease', 'topics.settle-several'],
  },
  {
    name: 'counts the first of several that are retried in a subscription',
    fault: ofSubscriptions((receiver) => ({
      async retry(deliveries, delayMs) {
        await receiver.retry(deliveries.slice(0, 1), delayMs)
        return receiver.release(deliveries.slice(1)).then(() => allSettled(deliveries))
      },
    })),
    fails: ['topics.lease', 'topics.settle-several'],
  },
  {
    name: 'renews nothing of a subscription',
    fault: ofSubscriptions(() => ({ renew: async (deliveries) => allSettled(deliveries) })),
    fails: ['topics.lease'],
  },
  {
    name: 'waits twice as long with what a subscription retries',
    fault: ofSubscriptions((receiver) => ({
      retry: (deliveries, delayMs) => receiver.retry(deliveries, 2 * delayMs),
    })),
    fails: ['topics.delay-punctual'],
  },
  {
    name: 'lets ten receivers of a queue wait at once',
    fault: (inner, { shared, clock }) =>
      atMost(inner, 10, sharedMap<number>(shared, 'waiting'), (ms, signal) => {
        return new Promise((resolve) => {
          clock.setTimeout(resolve, ms)
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }),
    fails: ['contract.receive-both'],
  },
  {
    name: 'delays a hundred messages at once, and no more',
    fault(inner, { shared, clock }) {
      const delayed = sharedMap<number>(shared, 'delayed')
      const count = (key: string, more: number) => {
        const n = (delayed.get(key) ?? 0) + more
        delayed.set(key, n)
        return n
      }
      return onPublish(inner, (message) => {
        const key = keyOf(message.destination)
        if (message.delayMs === 0) return message
        clock.setTimeout(() => count(key, -1), message.delayMs)
        return count(key, 1) > 100 ? { ...message, delayMs: 0 } : message
      })
    },
    fails: ['time.delay-many'],
  },
  {
    name: 'says of no purge that it was of more than a thousand',
    fault: (inner) => ({
      ...inner,
      purge: async (target) => Math.min(1000, await inner.purge(target)),
    }),
    fails: ['contract.size-many'],
  },
  {
    name: 'counts a thousand messages and no more',
    fault: (inner) => ({ ...inner, size: async (target) => Math.min(1000, await inner.size(target)) }),
    fails: ['contract.size-many'],
  },
  {
    name: 'copies what a subscription gets to the queue that is called like both its names',
    fault(inner, { shared }) {
      const alike = sharedMap<Target & { topic: string; subscription: string }>(shared, 'alike')
      return {
        ...inner,
        declare(target, declaration) {
          if ('subscription' in target) alike.set(keyOf(target), target)
          return inner.declare(target, declaration)
        },
        async publish(batch, signal) {
          const outcomes = await inner.publish(batch, signal)
          const destination = batch[0]?.destination ?? { queue: '' }
          for (const { topic, subscription } of alike.values()) {
            if (!('topic' in destination) || 'subscription' in destination || destination.topic !== topic)
              continue
            const queue = { queue: `${topic}.${subscription}` }
            await inner.publish(
              batch.map((message) => ({ ...message, destination: queue })),
              signal,
            )
          }
          return outcomes
        },
      }
    },
    fails: ['topics.dots'],
  },
]
