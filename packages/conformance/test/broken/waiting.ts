import {
  onDelivery,
  onPublish,
  onReceiver,
  copyOf,
  keyOf,
  sharedMap,
  sharedSet,
  type Broken,
  type Run,
} from './broken.ts'

/** The delay of a message that waits behind whatever in its queue was delayed longer. */
function behindLonger({ shared, clock }: Run): (target: object, delayMs: number) => number {
  const last = sharedMap<number>(shared, 'last due')
  return (target, delayMs) => {
    if (delayMs === 0) return 0
    const due = Math.max(clock.now() + delayMs, last.get(keyOf(target)) ?? 0)
    last.set(keyOf(target), due)
    return due - clock.now()
  }
}

/** Faults of what waits: for its time, or behind its key. */
export const waiting: readonly Broken[] = [
  {
    name: 'delays for three seconds more than it is asked to',
    fault: (inner) =>
      onPublish(inner, (message) =>
        message.delayMs > 0 ? { ...message, delayMs: message.delayMs + 3000 } : message,
      ),
    fails: ['topics.delay-punctual', 'time.punctual'],
  },
  {
    name: 'retries after twice the delay',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        retry: (deliveries, delayMs) => receiver.retry(deliveries, 2 * delayMs),
      })),
    fails: ['time.punctual', 'topics.delay-punctual'],
  },
  {
    name: 'delays behind what is delayed longer',
    fault(inner, run) {
      const behind = behindLonger(run)
      return onPublish(inner, (message) => ({
        ...message,
        delayMs: behind(message.destination, message.delayMs),
      }))
    },
    fails: ['time.delay-blocks-nothing'],
  },
  {
    name: 'retries behind what is retried later',
    fault(inner, run) {
      const behind = behindLonger(run)
      return onReceiver(inner, (receiver, { target }) => ({
        retry: (deliveries, delayMs) => receiver.retry(deliveries, behind(target, delayMs)),
      }))
    },
    fails: ['settle.requeue-delay'],
  },
  {
    name: 'lets messages expire after half their ttl',
    fault(inner, { shared, clock }) {
      const ends = sharedMap<number>(shared, 'ends')
      const halved = onPublish(inner, (message) => {
        const { id, expiresAt } = message
        if (expiresAt === undefined) return message
        ends.set(id, expiresAt)
        return { ...message, expiresAt: (clock.now() + expiresAt) / 2 }
      })
      return onDelivery(halved, (delivery) => ({
        ...delivery,
        expiresAt: delivery.expiresAt === undefined ? undefined : ends.get(delivery.id),
      }))
    },
    fails: ['time.ttl-whole'],
  },
  {
    name: 'takes from its holder what expires',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver, { mode }) => ({
        async receive(max, signal, waitMs) {
          const deliveries = await receiver.receive(max, signal, waitMs)
          for (const delivery of mode === 'browse' ? [] : deliveries) {
            const left = (delivery.expiresAt ?? Infinity) - clock.now()
            if (left > 0 && left < 10_000) clock.setTimeout(() => void receiver.release([delivery]), left)
          }
          return deliveries
        },
      })),
    fails: ['time.ttl-held', 'time.ttl-returned'],
  },
  {
    name: 'wakes a receive that waits by what is published alone',
    fault(inner, { shared, clock }) {
      const bells = sharedMap<Set<() => void>>(shared, 'bells')
      const rung = onPublish(inner, (message) => {
        clock.setTimeout(() => bells.get(keyOf(message.destination))?.forEach((ring) => ring()), 0)
        return message
      })
      return onReceiver(rung, (receiver, { target }) => ({
        async receive(max, signal, waitMs = 1000) {
          // Core asks again every second, and would not notice.
          const ready = await receiver.receive(max, signal, waitMs > 1000 ? 0 : waitMs)
          if (ready.length > 0 || waitMs <= 1000) return ready
          const waiting = bells.get(keyOf(target)) ?? new Set()
          bells.set(keyOf(target), waiting)
          await new Promise<void>((resolve) => {
            waiting.add(resolve)
            signal.addEventListener('abort', () => resolve(), { once: true })
            clock.setTimeout(resolve, waitMs)
          })
          return receiver.receive(max, signal, 0)
        },
      }))
    },
    fails: [
      'contract.disconnect-abort',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'receiver.deleted',
      'topics.many',
    ],
  },
  {
    name: 'settles nothing while a receive waits',
    fault: (inner) =>
      onReceiver(inner, (receiver) => {
        let receiving: Promise<unknown> = Promise.resolve()
        return {
          receive(max, signal, waitMs) {
            const work = receiver.receive(max, signal, waitMs)
            if ((waitMs ?? 0) > 1000) receiving = work.catch(() => undefined)
            return work
          },
          ack: (deliveries) => receiving.then(() => receiver.ack(deliveries)),
          release: (deliveries) => receiving.then(() => receiver.release(deliveries)),
          retry: (deliveries, delayMs) => receiving.then(() => receiver.retry(deliveries, delayMs)),
        }
      }),
    fails: ['contract.receive-woken-consume', 'contract.receive-woken-pull'],
  },
  {
    name: 'never gives the key of a dead letter free',
    fault: (inner) =>
      onReceiver(inner, (receiver, { ordered }) => {
        if (!ordered) return {}
        const blocked = new Set<string>()
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            return deliveries.filter(({ key }) => key === undefined || !blocked.has(key))
          },
          deadLetter(deliveries, failures, target) {
            for (const { key } of deliveries) if (key !== undefined) blocked.add(key)
            return receiver.deadLetter(deliveries, failures, target)
          },
        }
      }),
    fails: ['contract.receive-woken-consume', 'contract.receive-woken-pull', 'order.unblocked'],
  },
  {
    name: 'never gives the keys of what it purged free',
    fault(inner, { shared }) {
      const used = sharedSet(shared, 'used')
      const blocked = sharedSet(shared, 'blocked')
      return {
        ...onPublish(inner, (message) => {
          if (message.key === undefined) return message
          const lane = `${keyOf(message.destination)} ${message.key}`
          if (blocked.has(lane)) return null
          used.add(lane)
          return message
        }),
        async purge(target) {
          for (const lane of used) if (lane.startsWith(`${keyOf(target)} `)) blocked.add(lane)
          return inner.purge(target)
        },
      }
    },
    fails: ['order.unblocked', 'queues.purge-ordered'],
  },
  {
    name: 'lets others of its key pass what is retried at once',
    fault: (inner) =>
      onReceiver(inner, (receiver, { target, ordered }) => ({
        async retry(deliveries, delayMs) {
          if (!ordered || delayMs > 0) return receiver.retry(deliveries, delayMs)
          const copies = deliveries.map((delivery) => ({
            ...copyOf(delivery),
            destination: target,
            deliveryCount: delivery.deliveryCount + 1,
          }))
          await inner.publish(copies, new AbortController().signal)
          return receiver.ack(deliveries)
        },
      })),
    fails: ['contract.fields-kinds', 'order.failed-blocks', 'order.returned'],
  },
  {
    name: 'takes messages without a key for those of one',
    fault: (inner) =>
      onReceiver(
        onPublish(inner, (message) => ({ ...message, key: message.key ?? NO_KEY })),
        (receiver) => ({
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const delivery of deliveries)
              if (delivery.key === NO_KEY) Object.defineProperty(delivery, 'key', { value: undefined })
            return deliveries
          },
        }),
      ),
    fails: ['contract.fields-reply', 'order.without-key'],
  },
]

const NO_KEY = 'no key'
