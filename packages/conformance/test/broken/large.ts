import type { Delivery, OutboundMessage } from '@mq/core/adapter'
import { EVERY_WAY, onDelivery, onPublish, onReceiver, sharedMap, sharedSet, type Broken } from './broken.ts'

const MOST = 500_000

const cut = (message: OutboundMessage): OutboundMessage =>
  message.body.length > MOST ? { ...message, body: message.body.subarray(0, MOST) } : message

const WAYS: Readonly<Record<string, (message: OutboundMessage) => boolean>> = {
  'is delayed': ({ delayMs }) => delayMs > 0,
  'is redriven': ({ redriven }) => redriven,
  'has an expiry': ({ expiresAt }) => expiresAt !== undefined,
  'has a key': ({ key }) => key !== undefined,
  'answers a request': ({ destination }) => 'reply' in destination,
  'goes to a topic': ({ destination }) => 'topic' in destination && !('subscription' in destination),
}

const SETTLED = ['release', 'retry', 'deadLetter'] as const

/** Cuts what comes back from a settlement. */
const cutting = (operation: (typeof SETTLED)[number]): Broken['fault'] =>
  function (inner, { shared }) {
    const went = sharedSet(shared, 'went')
    const noted = onReceiver(inner, (receiver) => {
      const note = (deliveries: readonly Delivery[], taken: string) => {
        if (taken === operation) for (const { id } of deliveries) went.add(id)
      }
      return {
        release: (deliveries) => (note(deliveries, 'release'), receiver.release(deliveries)),
        retry: (deliveries, delayMs) => (note(deliveries, 'retry'), receiver.retry(deliveries, delayMs)),
        deadLetter(deliveries, failures, target) {
          note(deliveries, 'deadLetter')
          return receiver.deadLetter(deliveries, failures, target)
        },
      }
    })
    return onDelivery(noted, (delivery) =>
      went.has(delivery.id) ? { ...delivery, body: delivery.body.subarray(0, MOST) } : delivery,
    )
  }

const named = (change: (name: string) => string) => (message: OutboundMessage) => ({
  ...message,
  headers: Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [change(name), value])),
})

/** Faults that show in what is much. */
export const large: readonly Broken[] = [
  ...Object.entries(WAYS).map(([what, when]) => ({
    name: `cuts the large body of what ${what}`,
    fault: (inner: Parameters<Broken['fault']>[0]) =>
      onPublish(inner, (message) => (when(message) ? cut(message) : message)),
    fails: ['contract.large-ways'],
  })),
  ...SETTLED.map((operation) => ({
    name: `cuts the large body of a ${operation}`,
    fault: cutting(operation),
    fails: ['contract.large-ways'],
  })),
  {
    name: 'keeps a hundred answers until somebody looks',
    fault(inner, { shared }) {
      const kept = sharedMap<number>(shared, 'kept')
      const published = onPublish(inner, (message) => {
        if (!('reply' in message.destination)) return message
        const { reply } = message.destination
        const count = kept.get(reply) ?? 0
        kept.set(reply, count + 1)
        return count < 100 ? message : null
      })
      return {
        ...published,
        async openReplies() {
          const { address, receiver } = await inner.openReplies()
          return {
            address,
            receiver: {
              ...receiver,
              async receive(max, signal, waitMs) {
                const got = await receiver.receive(max, signal, waitMs)
                kept.set(address, (kept.get(address) ?? 0) - got.length)
                return got
              },
            },
          }
        },
      }
    },
    fails: ['contract.replies-many'],
  },
  {
    name: 'cuts headers at 30,000 characters',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        headers: Object.fromEntries(
          Object.entries(message.headers).map(([name, value]) => [name, value.slice(0, 30_000)]),
        ),
      })),
    fails: [...EVERY_WAY],
  },
  {
    name: 'knows names of headers in ASCII alone',
    fault: (inner) =>
      onPublish(
        inner,
        named((name) => name.replace(/[^ -~]/g, '?')),
      ),
    fails: [...EVERY_WAY],
  },
  {
    name: 'cuts names of headers at a hundred characters',
    fault: (inner) =>
      onPublish(
        inner,
        named((name) => name.slice(0, 100)),
      ),
    fails: [...EVERY_WAY],
  },
]
