import type { BrokerAdapter, Delivery } from '@mq/core/adapter'
import { keyOf, leaveTimer, onPublish, onReceiver, type Broken } from './broken.ts'

const forever = () => new AbortController().signal
const deaf = { lost: () => undefined, blocked: () => undefined }

/** Works on without a connection, by making one for the call. */
function connectingFor(operation: 'open' | 'size' | 'purge' | 'declare'): Broken['fault'] {
  return (inner) => ({
    ...inner,
    [operation]: async (...args: [never, never]) => {
      const call = () => (inner[operation] as (...all: [never, never]) => Promise<unknown>)(...args)
      try {
        return await call()
      } catch (error) {
        if (inner.classify(error).code !== 'MQ_CONNECTION') throw error
        await inner.connect(deaf, forever())
        return await call().finally(() => inner.disconnect(forever()))
      }
    },
  })
}

/** Faults that show without the connection, after it, or with a claim about it. */
export const connections: readonly Broken[] = [
  ...(['open', 'size', 'purge', 'declare'] as const).map((operation) => ({
    name: `has ${operation} work without a connection`,
    fault: connectingFor(operation),
    fails: ['contract.disconnected'],
  })),
  {
    name: 'settles by the id of the message',
    fault: (inner) =>
      onReceiver(inner, (receiver) => {
        const held = new Map<string, Delivery>()
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const delivery of deliveries) held.set(delivery.id, delivery)
            return deliveries
          },
          ack: (deliveries) => receiver.ack(deliveries.map((each) => held.get(each.id) ?? each)),
        }
      }),
    fails: ['receiver.token-again', 'receiver.token-same-id', 'receiver.fenced'],
  },
  {
    name: 'says that the connection owns what a lease does',
    fault: (inner) => ({
      ...inner,
      capabilities: Object.freeze({ ...inner.capabilities, ownership: 'connection' as const }),
    }),
    fails: ['capabilities.ownership'],
  },
  {
    name: 'says that a browse hides what it shows',
    fault: (inner) => ({
      ...inner,
      capabilities: Object.freeze({ ...inner.capabilities, browseHides: true }),
    }),
    fails: ['capabilities.browse-hides'],
  },
  {
    name: 'leaves a timer behind for each browse',
    fault: (inner) => ({
      ...inner,
      open(source, lost) {
        if (source.mode === 'browse') leaveTimer()
        return inner.open(source, lost)
      },
    }),
    fails: ['lifecycle.process-exits'],
  },
  {
    name: 'does nothing at a disconnect that was aborted',
    fault: (inner) => ({
      ...inner,
      disconnect: (signal) => (signal.aborted ? Promise.resolve() : inner.disconnect(signal)),
    }),
    fails: ['contract.disconnect-abort', 'lifecycle.disconnect-aborted'],
  },
  {
    name: 'answers 0 as the size of a subscription that does not exist',
    fault: (inner) => ({
      ...inner,
      size: (target) => ('subscription' in target ? inner.size(target).catch(() => 0) : inner.size(target)),
    }),
    fails: [
      'topics.auto-delete',
      'topics.missing',
      'topics.exclusive',
      'topics.expires',
      'queues.made-again-ends',
    ],
  },
  {
    name: 'never ends a lease of a subscription',
    fault: (inner) => ({
      ...inner,
      open: (source, lost) =>
        inner.open('subscription' in source.target ? { ...source, leaseMs: 2 ** 40 } : source, lost),
    }),
    fails: ['topics.lease', 'extras.priority-left'],
  },
  {
    name: 'waits for a second when it has to look',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        receive: (max, signal, waitMs) => receiver.receive(max, signal, waitMs === 0 ? 1000 : waitMs),
      })),
    fails: [
      'contract.receive-edges',
      'receiver.many-renew',
      'receiver.renew',
      'receiver.renew-one',
      'topics.lease',
    ],
  },
  {
    name: 'releases a second later',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver) => ({
        release(deliveries) {
          clock.setTimeout(() => void receiver.release(deliveries), 1000)
          return Promise.resolve(deliveries.map(() => 'settled'))
        },
      })),
    fails: [
      'receiver.at-once',
      'receiver.outcomes',
      'receiver.outcomes-release',
      'receiver.stale-release',
      'topics.lease',
      'receiver.fenced',
      'receiver.fenced-anew',
      'receiver.fenced-lease',
    ],
  },
  {
    name: 'takes a delay of more than 31 bits for none',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        delayMs: message.delayMs > 2 ** 31 ? 1 : message.delayMs,
      })),
    fails: ['time.long'],
  },
  {
    name: 'loses what comes back to a full queue',
    fault(inner) {
      const most = new Map<string, number>()
      const watched: BrokerAdapter = {
        ...inner,
        declare(target, declaration) {
          const { maxLength } = declaration.settings
          if (maxLength !== null) most.set(keyOf(target), maxLength)
          return inner.declare(target, declaration)
        },
      }
      return onReceiver(watched, (receiver, { target }) => ({
        async release(deliveries) {
          const full = (await inner.size(target)) >= (most.get(keyOf(target)) ?? Infinity)
          return full ? receiver.ack(deliveries) : receiver.release(deliveries)
        },
      }))
    },
    fails: ['extras.limit-returned'],
  },
]
