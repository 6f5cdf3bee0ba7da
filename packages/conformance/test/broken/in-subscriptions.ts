import type { Delivery, QueueSettings } from '@mq/core/adapter'
import { copyOf, keyOf, onPublish, onReceiver, sharedMap, type Broken } from './broken.ts'

const signal = () => new AbortController().signal

/** Makes subscriptions with other settings than it is asked for, and says that it did as it was told. */
const quietly =
  (settings: Partial<QueueSettings>): Broken['fault'] =>
  (inner) => ({
    ...inner,
    async declare(target, declaration) {
      if (!('subscription' in target)) return inner.declare(target, declaration)
      await inner.declare(target, { ...declaration, settings: { ...declaration.settings, ...settings } })
      return declaration.settings
    },
  })

/** Puts what comes back to an ordered subscription behind what waits. */
const behind = (operation: 'release' | 'retry', counted: number): Broken['fault'] =>
  function (inner) {
    return onReceiver(inner, (receiver, { target, ordered }) => {
      if (!('topic' in target)) return {}
      const move = async (deliveries: readonly Delivery[]) => {
        const copies = deliveries.map((delivery) => ({
          ...copyOf(delivery),
          destination: target,
          deliveryCount: delivery.deliveryCount + counted,
          redriven: delivery.redriven,
          expiresAt: delivery.expiresAt,
          deduplicationId: delivery.deduplicationId,
          priority: delivery.priority,
        }))
        await inner.publish(copies, signal())
        return receiver.ack(deliveries)
      }
      if (!ordered) return {}
      return operation === 'release'
        ? { release: move }
        : {
            retry: (deliveries, delayMs) =>
              delayMs > 0 ? receiver.retry(deliveries, delayMs) : move(deliveries),
          }
    })
  }

/** Faults of subscriptions, of what queues are asked for in other items. */
export const inSubscriptions: readonly Broken[] = [
  {
    name: 'puts what an ordered subscription releases behind the next of its key',
    fault: behind('release', 0),
    fails: ['order.returned'],
  },
  {
    name: 'puts what an ordered subscription retries at once behind the next of its key',
    fault: behind('retry', 1),
    fails: ['order.returned'],
  },
  {
    name: 'lets everybody have an exclusive subscription',
    fault: quietly({ exclusive: false }),
    fails: ['topics.exclusive', 'queues.made-again-ends'],
  },
  {
    name: 'keeps a subscription that nobody uses',
    fault: quietly({ expires: null }),
    fails: ['topics.expires', 'queues.made-again-ends'],
  },
  {
    name: 'lets a subscription expire while it is consumed',
    fault(inner, { clock }) {
      return {
        ...inner,
        async declare(target, declaration) {
          const settings = await inner.declare(target, declaration)
          const { expires } = declaration.settings
          if ('subscription' in target && expires === 2000)
            clock.setTimeout(() => void inner.remove(target).catch(() => undefined), expires)
          return settings
        },
      }
    },
    fails: ['topics.expires', 'queues.made-again-ends'],
  },
  {
    name: 'counts the messageTtl of a subscription from the call, and not from when a message is due',
    fault: (inner, { shared, clock }) => {
      const ttls = sharedMap<number>(shared, 'ttls')
      const published = onPublish(inner, (message) => {
        const { destination, delayMs, expiresAt } = message
        const ttl = 'topic' in destination ? ttls.get(destination.topic) : undefined
        return ttl === undefined || delayMs === 0 || expiresAt !== undefined
          ? message
          : { ...message, expiresAt: clock.now() + ttl }
      })
      return {
        ...published,
        declare(target, declaration) {
          const { messageTtl } = declaration.settings
          if ('subscription' in target && messageTtl !== null) ttls.set(target.topic, messageTtl)
          return inner.declare(target, declaration)
        },
      }
    },
    fails: ['time.ttl-subscription'],
  },
  {
    name: 'gives what a subscription gets its own messageTtl, however short that of the message is',
    fault: (inner, { shared }) => {
      const ttls = sharedMap<number>(shared, 'ttls')
      const published = onPublish(inner, (message) => {
        const { destination } = message
        return 'topic' in destination && ttls.has(destination.topic)
          ? { ...message, expiresAt: undefined }
          : message
      })
      return {
        ...published,
        declare(target, declaration) {
          const { messageTtl } = declaration.settings
          if ('subscription' in target && messageTtl !== null) ttls.set(target.topic, messageTtl)
          return inner.declare(target, declaration)
        },
      }
    },
    fails: ['time.ttl-subscription'],
  },
]

/** Faults of what was seen long ago, or took a way round. */
export const longAgo: readonly Broken[] = [
  {
    name: 'remembers a thousand deduplication ids of a queue',
    fault(inner, { shared }) {
      const seen = sharedMap<Map<string, number>>(shared, 'seen')
      // A thousand later one is another one.
      return onPublish(inner, (message) => {
        const { destination, deduplicationId: id } = message
        if (id === undefined || !('queue' in destination)) return message
        const ids = seen.get(keyOf(destination)) ?? new Map<string, number>()
        seen.set(keyOf(destination), ids)
        const forgotten = ids.has(id) && ids.size - (ids.get(id) ?? 0) > 1000
        if (!ids.has(id)) ids.set(id, ids.size)
        return forgotten ? { ...message, redriven: true } : message
      })
    },
    fails: ['extras.dedupe-many'],
  },
  {
    name: 'puts what is redriven behind whatever has a priority',
    fault(inner) {
      const LAST = 'x-last'
      const published = onPublish(inner, (message) =>
        message.redriven && message.priority > 0
          ? { ...message, priority: 0, headers: { ...message.headers, [LAST]: String(message.priority) } }
          : message,
      )
      return onReceiver(published, (receiver) => ({
        async receive(max, abort, waitMs) {
          const deliveries = await receiver.receive(max, abort, waitMs)
          for (const delivery of deliveries) {
            const { [LAST]: priority, ...headers } = delivery.headers
            if (priority === undefined) continue
            Object.defineProperty(delivery, 'priority', { value: Number(priority) })
            Object.defineProperty(delivery, 'headers', { value: headers })
          }
          return deliveries
        },
      }))
    },
    fails: ['extras.priority-returned'],
  },
]
