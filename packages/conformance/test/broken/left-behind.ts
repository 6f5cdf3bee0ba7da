import { AdapterError, ErrorCode, type Delivery, type OutboundMessage, type Source } from '@mq/core/adapter'
import {
  copyOf,
  keyOf,
  onDelivery,
  onPublish,
  onReceiver,
  sharedMap,
  sharedSet,
  type Broken,
  type Run,
} from './broken.ts'

const forever = () => new AbortController().signal

/** What takes another message still, though nobody waits for it any more. */
async function takesOneMore(inner: Parameters<Broken['fault']>[0], source: Source): Promise<void> {
  const ghost = await inner.open(source, () => undefined)
  ghost.receive(1, forever(), 60_000).catch(() => undefined)
}

/** Publishes once more what was to come later and was deleted. */
function comesAll(
  { clock }: Run,
  later: readonly Later[],
  publish: (message: OutboundMessage) => unknown,
): void {
  for (const { due, message } of later)
    if (due > clock.now()) clock.setTimeout(() => void publish(message), due - clock.now())
}

interface Later {
  readonly due: number
  readonly message: OutboundMessage
}

/** Refuses what a queue with a limit would have room for, if what `counts` tells of were not in it any more. */
export function counting(
  { shared }: Run,
  whole: ReturnType<Broken['fault']>,
  counts: (left: (target: object, n: number) => void) => ReturnType<Broken['fault']>,
): ReturnType<Broken['fault']> {
  const limits = sharedMap<number>(shared, 'limits')
  const left = sharedMap<number>(shared, 'left')
  const changed = counts((target, n) => void left.set(keyOf(target), (left.get(keyOf(target)) ?? 0) + n))
  return {
    ...changed,
    declare(target, declaration) {
      const { maxLength, overflow } = declaration.settings
      if (maxLength !== null && overflow === 'reject') limits.set(keyOf(target), maxLength)
      return whole.declare(target, declaration)
    },
    async publish(batch, signal) {
      const destination = batch[0]?.destination ?? { queue: '' }
      const [most, gone] = [limits.get(keyOf(destination)), left.get(keyOf(destination))]
      if (most === undefined || gone === undefined || !('queue' in destination))
        return changed.publish(batch, signal)
      if ((await whole.size(destination)) + gone + batch.length <= most) return changed.publish(batch, signal)
      const error = new AdapterError(ErrorCode.QUEUE_FULL, 'full', { retryable: true })
      return batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
    },
  }
}

/** Faults of what goes, and is still there for somebody. */
export const leftBehind: readonly Broken[] = [
  {
    name: 'takes one more message after a receive was aborted',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => ({
        async receive(max, signal, waitMs) {
          if (mode === 'browse' || signal.aborted) return receiver.receive(max, signal, waitMs)
          const aborted = new Promise<[]>((resolve) => {
            signal.addEventListener('abort', () => setTimeout(() => resolve([]), 0))
          })
          return Promise.race([receiver.receive(max, forever(), waitMs), aborted])
        },
      })),
    fails: ['contract.receive-ended-consume', 'contract.receive-ended-pull'],
  },
  {
    name: 'takes one more message after a receiver was closed that waited',
    fault: (inner) =>
      onReceiver(inner, (receiver, source) => {
        let waiting = 0
        return {
          async receive(max, signal, waitMs) {
            waiting++
            return receiver.receive(max, signal, waitMs).finally(() => waiting--)
          },
          async close(signal) {
            if (waiting > 0 && source.mode !== 'browse')
              await takesOneMore(inner, source).catch(() => undefined)
            return receiver.close(signal)
          },
        }
      }),
    fails: ['contract.receive-ended-consume', 'contract.receive-ended-pull'],
  },
  {
    name: 'counts all of a retry as the first of them',
    fault(inner, { shared }) {
      const off = sharedMap<number>(shared, 'off')
      const counted = onDelivery(inner, (delivery) => {
        const { deliveryCount, id } = delivery
        return deliveryCount > 0
          ? { ...delivery, deliveryCount: deliveryCount + (off.get(id) ?? 0) }
          : delivery
      })
      return onReceiver(counted, (receiver) => ({
        retry(deliveries, delayMs) {
          const count = deliveries[0]?.deliveryCount ?? 0
          for (const { id, deliveryCount } of deliveries)
            if (deliveryCount !== count) off.set(id, count - deliveryCount)
          return receiver.retry(deliveries, delayMs)
        },
      }))
    },
    fails: ['receiver.retry-unlike'],
  },
  {
    name: 'deletes a topic, but not what is delayed in it',
    fault(inner, run) {
      const later = sharedMap<Later[]>(run.shared, 'later')
      return {
        ...onPublish(inner, (message) => {
          const { destination, delayMs } = message
          if (delayMs > 0 && 'topic' in destination && !('subscription' in destination)) {
            const list = later.get(destination.topic) ?? []
            later.set(destination.topic, list)
            list.push({ due: run.clock.now() + delayMs, message: { ...message, delayMs: 0 } })
          }
          return message
        }),
        async remove(target) {
          await inner.remove(target)
          if (!('topic' in target) || 'subscription' in target) return
          comesAll(run, later.get(target.topic) ?? [], (message) => inner.publish([message], forever()))
        },
      }
    },
    fails: ['topics.delete-delayed'],
  },
  {
    name: 'deletes a subscription, but not what is to be retried in it',
    fault(inner, run) {
      const later = sharedMap<Later[]>(run.shared, 'later')
      return {
        ...onReceiver(inner, (receiver, { target }) => ({
          retry(deliveries: readonly Delivery[], delayMs) {
            const due = run.clock.now() + delayMs
            const list = later.get(keyOf(target)) ?? []
            later.set(keyOf(target), list)
            for (const delivery of deliveries)
              list.push({ due, message: { ...copyOf(delivery), destination: target, deliveryCount: 1 } })
            return receiver.retry(deliveries, delayMs)
          },
        })),
        async remove(target) {
          await inner.remove(target)
          if (!('subscription' in target)) return
          comesAll(run, later.get(keyOf(target)) ?? [], (message) => inner.publish([message], forever()))
        },
      }
    },
    fails: ['topics.delete-delayed'],
  },
  {
    name: 'skips as many messages of a browse as it has removed',
    fault: (inner) => ({
      ...inner,
      async open(source, lost) {
        const receiver = await inner.open(source, lost)
        if (source.mode !== 'browse') return receiver
        let seen = 0
        return {
          ...receiver,
          async receive(max, signal, waitMs) {
            const again = await inner.open(source, lost)
            const page = (await again.receive(seen + max, signal, waitMs)).slice(seen)
            seen += page.length
            return page
          },
        }
      },
    }),
    fails: ['receiver.browse-removed'],
  },
  {
    name: 'makes a subscription for one connection at a time',
    fault(inner, { shared, clock }) {
      const making = sharedSet(shared, 'making')
      return {
        ...inner,
        async declare(target, declaration) {
          const key = keyOf(target)
          if (!('subscription' in target)) return inner.declare(target, declaration)
          if (making.has(key)) throw new Error('it exists already')
          making.add(key)
          await new Promise<void>((resolve) => void clock.setTimeout(resolve, 3))
          return inner.declare(target, declaration).finally(() => making.delete(key))
        },
      }
    },
    fails: ['topics.create'],
  },
  {
    name: 'keeps what a deleted queue held blocked in the next of that name',
    fault(inner, { shared }) {
      const held = sharedSet(shared, 'held')
      const blocked = sharedSet(shared, 'blocked')
      const of = (target: object, key = '') => `${keyOf(target)} ${key}`
      const receiving = onReceiver(inner, (receiver, { target, ordered }) => {
        const free = (deliveries: readonly Delivery[]) => {
          for (const { key } of deliveries) held.delete(of(target, key))
        }
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const { key } of deliveries) if (ordered && key !== undefined) held.add(of(target, key))
            return deliveries
          },
          ack: (deliveries) => (free(deliveries), receiver.ack(deliveries)),
          release: (deliveries) => (free(deliveries), receiver.release(deliveries)),
        }
      })
      return {
        ...onPublish(receiving, (message) =>
          message.key !== undefined && blocked.has(of(message.destination, message.key))
            ? { ...message, delayMs: 3_600_000 }
            : message,
        ),
        remove(target) {
          for (const place of held) if (place.startsWith(keyOf(target))) blocked.add(place)
          return inner.remove(target)
        },
      }
    },
    fails: ['queues.delete-ordered', 'queues.made-again'],
  },
  {
    name: 'counts what a deleted queue held in the next of that name',
    fault(inner, { shared }) {
      const left = sharedMap<number>(shared, 'left')
      return {
        ...inner,
        async remove(target) {
          const held = 'queue' in target ? await inner.size(target).catch(() => 0) : 0
          await inner.remove(target)
          left.set(keyOf(target), (left.get(keyOf(target)) ?? 0) + held)
        },
        size: async (target) => (await inner.size(target)) + (left.get(keyOf(target)) ?? 0),
      }
    },
    fails: ['queues.delete'],
  },
  {
    name: 'has no room for what it counted before a purge',
    fault: (inner, run) =>
      counting(run, inner, (left) => ({
        ...inner,
        async purge(target) {
          const purged = await inner.purge(target)
          left(target, purged)
          return purged
        },
      })),
    fails: ['extras.limits-freed'],
  },
  {
    name: 'has no room for what was dead-lettered',
    fault: (inner, run) =>
      counting(run, inner, (left) =>
        onReceiver(inner, (receiver, { target }) => ({
          deadLetter(deliveries, failures, to) {
            left(target, deliveries.length)
            return receiver.deadLetter(deliveries, failures, to)
          },
        })),
      ),
    fails: ['extras.limits-freed'],
  },
  {
    name: 'does nothing on a connection on which a receive waits',
    fault(inner) {
      let turn: Promise<unknown> = Promise.resolve()
      const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
        const mine = turn.then(work)
        turn = mine.catch(() => undefined)
        return mine
      }
      return {
        ...onReceiver(inner, (receiver, { mode }) => ({
          receive: (max, signal, waitMs) =>
            mode === 'browse' || waitMs === 0
              ? receiver.receive(max, signal, waitMs)
              : inTurn(() => receiver.receive(max, signal, waitMs)),
        })),
        ping: (signal) => inTurn(() => inner.ping(signal)),
      }
    },
    fails: ['contract.receive-beside'],
  },
]
