import type { BrokerAdapter } from '@mq/core/adapter'
import { keyOf, onDelivery, onPublish, onReceiver, sharedMap, type Broken } from './broken.ts'

/** Changes every name of a queue on its way to the broker. */
function named(inner: BrokerAdapter, change: (queue: string) => string): BrokerAdapter {
  const to = <T extends object>(target: T): T =>
    'queue' in target && typeof target.queue === 'string'
      ? { ...target, queue: change(target.queue) }
      : target
  const published = onPublish(inner, (message) => ({ ...message, destination: to(message.destination) }))
  return onReceiver(
    {
      ...published,
      declare(target, declaration) {
        const { settings } = declaration
        const deadLetterQueue = settings.deadLetterQueue === null ? null : change(settings.deadLetterQueue)
        return inner.declare(to(target), { ...declaration, settings: { ...settings, deadLetterQueue } })
      },
      remove: (target) => inner.remove(to(target)),
      purge: (target) => inner.purge(to(target)),
      size: (target) => inner.size(to(target)),
      open: (source, lost) => inner.open({ ...source, target: to(source.target) }, lost),
    },
    (receiver) => ({
      deadLetter: (deliveries, failures, target) => receiver.deadLetter(deliveries, failures, to(target)),
    }),
  )
}

/** Faults that take for one what is alike, or stop at a number that seems enough. */
export const alike: readonly Broken[] = [
  {
    name: 'takes names for one that differ in case alone',
    fault: (inner) => named(inner, (queue) => queue.toLowerCase()),
    fails: ['queues.names-alike'],
  },
  {
    name: 'takes an underscore for a dash',
    fault: (inner) => named(inner, (queue) => queue.replaceAll('_', '-')),
    fails: ['queues.names-alike'],
  },
  {
    name: 'cuts names at a hundred characters',
    fault: (inner) => named(inner, (queue) => queue.slice(0, 100)),
    fails: ['queues.names-alike'],
  },
  {
    name: 'declares one priority less than it is asked for',
    fault: (inner) => ({
      ...inner,
      declare(target, declaration) {
        const { settings } = declaration
        const maxPriority = settings.maxPriority === null ? null : Math.max(1, settings.maxPriority - 1)
        return inner.declare(target, { ...declaration, settings: { ...settings, maxPriority } })
      },
    }),
    fails: ['contract.priority-numbers', 'extras.priority', 'queues.made-again'],
  },
  {
    name: 'deletes each subscription whose name begins like the one that it is told',
    fault(inner, { shared }) {
      const known = sharedMap<{ readonly topic: string; readonly subscription: string }>(shared, 'alike')
      return {
        ...inner,
        declare(target, declaration) {
          if ('subscription' in target) known.set(keyOf(target), target)
          return inner.declare(target, declaration)
        },
        async remove(target) {
          await inner.remove(target)
          if (!('subscription' in target)) return
          for (const each of known.values())
            if (each.topic === target.topic && each.subscription.startsWith(target.subscription))
              await inner.remove(each)
        },
      }
    },
    fails: ['topics.delete'],
  },
  {
    name: 'waits three times as long with what is delayed to a topic',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        delayMs: 'topic' in message.destination ? message.delayMs * 3 : message.delayMs,
      })),
    fails: ['topics.delay-punctual', 'time.ttl-subscription'],
  },
  {
    name: 'keeps fifty headers of a message',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        headers: Object.fromEntries(Object.entries(message.headers).slice(0, 50)),
      })),
    fails: ['payload.header-many'],
  },
  {
    name: 'keeps no more than three attempts of a dead letter',
    fault: (inner) =>
      onDelivery(inner, (delivery) => {
        const { deadLetter } = delivery
        if (deadLetter === undefined) return delivery
        return { ...delivery, deadLetter: { ...deadLetter, attempts: Math.min(deadLetter.attempts, 3) } }
      }),
    fails: ['receiver.dead-letter'],
  },
  {
    name: 'keeps the seconds of when a dead letter failed',
    fault: (inner) =>
      onDelivery(inner, (delivery) => {
        const { deadLetter } = delivery
        if (deadLetter === undefined) return delivery
        const lastFailedAt = new Date(Math.floor(deadLetter.lastFailedAt.getTime() / 1000) * 1000)
        return { ...delivery, deadLetter: { ...deadLetter, lastFailedAt } }
      }),
    fails: ['contract.fields-dead', 'contract.fields-kinds', 'receiver.dead-letter'],
  },
  {
    name: 'counts off what expires while it is delayed',
    fault(inner, { clock }) {
      const less = new Map<string, number>()
      const noting = onPublish(inner, (message) => {
        const { delayMs, expiresAt = Infinity, destination } = message
        const key = keyOf(destination)
        if (expiresAt < clock.now() + delayMs) less.set(key, (less.get(key) ?? 0) + 1)
        return message
      })
      return {
        ...noting,
        size: async (target) => (await inner.size(target)) - (less.get(keyOf(target)) ?? 0),
      }
    },
    fails: ['contract.size-expired'],
  },
  {
    name: 'shows a thousand messages and no more',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => {
        let left = mode === 'browse' ? 1000 : Infinity
        return {
          async receive(max, signal, waitMs) {
            const deliveries = left <= 0 ? [] : await receiver.receive(max, signal, waitMs)
            left -= deliveries.length
            return deliveries
          },
        }
      }),
    fails: ['receiver.browse-many'],
  },
]
