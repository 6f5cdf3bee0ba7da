import type { Delivery, OutboundMessage, Receiver, Target } from '@mq/core/adapter'
import {
  copyOf,
  keyOf,
  onPublish,
  onReceiver,
  sharedMap,
  sharedSet,
  type Broken,
  type Run,
} from './broken.ts'

/** What waits for its time, as somebody remembers who is not the queue. */
interface Later {
  readonly target: object
  readonly message: OutboundMessage
  readonly due: number
}

const later = ({ shared }: Run) => sharedMap<Later>(shared, 'later')

const forever = () => new AbortController().signal

/** Faults of `purge`, `remove` and `size`: too little, or too much. */
export const discarding: readonly Broken[] = [
  {
    name: 'deletes a queue, but not what is delayed in it',
    fault(inner, run) {
      const { clock } = run
      const waiting = later(run)
      return {
        ...onPublish(inner, (message) => {
          const { delayMs, destination, id } = message
          if (delayMs > 0) waiting.set(id, { target: destination, message, due: clock.now() + delayMs })
          return message
        }),
        async remove(target) {
          await inner.remove(target)
          for (const [id, { target: of, message, due }] of waiting) {
            if (keyOf(of) !== keyOf(target) || due < clock.now()) continue
            waiting.delete(id)
            clock.setTimeout(
              () => void inner.publish([{ ...message, delayMs: 0 }], forever()),
              due - clock.now(),
            )
          }
        },
      }
    },
    fails: ['queues.delete', 'topics.delete-delayed'],
  },
  {
    name: 'purges all but what is to be retried later',
    fault(inner, run) {
      const { clock } = run
      const waiting = later(run)
      return {
        ...onReceiver(inner, (receiver, { target }) => ({
          retry(deliveries, delayMs) {
            for (const delivery of deliveries) {
              const message = {
                ...copyOf(delivery),
                destination: target,
                deliveryCount: delivery.deliveryCount + 1,
              }
              waiting.set(delivery.id, { target, message, due: clock.now() + delayMs })
            }
            return receiver.retry(deliveries, delayMs)
          },
        })),
        async purge(target) {
          let count = await inner.purge(target)
          for (const { target: of, message, due } of waiting.values()) {
            const delayMs = due - clock.now()
            if (keyOf(of) !== keyOf(target) || delayMs <= 0) continue
            await inner.publish([{ ...message, delayMs }], forever())
            count--
          }
          return count
        },
      }
    },
    fails: ['queues.purge-delayed'],
  },
  {
    name: 'purges one message of each key',
    fault: (inner) => ({
      ...inner,
      async purge(target) {
        const source = {
          target,
          mode: 'browse',
          prefetch: 1,
          leaseMs: 1,
          ordered: false,
          after: undefined,
        } as const
        const browse = await inner.open(source, () => undefined)
        const keys = new Set<string>()
        const kept = (await browse.receive(1000, forever(), 0)).filter(({ key }) => {
          if (key === undefined) return false
          const again = keys.has(key)
          keys.add(key)
          return again
        })
        await browse.close(forever())
        const count = await inner.purge(target)
        const copies = kept.map((delivery) => ({ ...copyOf(delivery), destination: target }))
        if (copies.length > 0) await inner.publish(copies, forever())
        return count - copies.length
      },
    }),
    fails: ['order.unblocked', 'queues.purge-ordered'],
  },
  {
    name: 'deletes the dead letters of a queue with it',
    fault: (inner) => ({
      ...inner,
      async remove(target) {
        await inner.remove(target)
        if ('queue' in target) await inner.remove({ queue: `${target.queue}.dlq` })
      },
    }),
    fails: ['queues.purge-one', 'receiver.fenced-anew'],
  },
  {
    name: 'counts and purges what does not exist as empty',
    fault: (inner) => ({
      ...inner,
      size: (target) => inner.size(target).catch(() => 0),
      purge: (target) => inner.purge(target).catch(() => 0),
    }),
    fails: [
      'consume.missing',
      'contract.disconnected',
      'topics.auto-delete',
      'topics.missing',
      'topics.exclusive',
      'topics.expires',
      'queues.made-again-ends',
    ],
  },
  {
    name: 'brings back what was leased when its queue was deleted',
    fault(inner, { shared }) {
      const held = sharedMap<Held>(shared, 'held')
      const orphans = sharedMap<OutboundMessage[]>(shared, 'orphans')
      const watched = onReceiver(inner, (receiver, { target, mode }) =>
        mode === 'browse' ? {} : holding(held, target, receiver),
      )
      return {
        ...watched,
        async remove(target) {
          await inner.remove(target)
          const leased = [...held.values()].filter((each) => keyOf(each.target) === keyOf(target))
          const copies = leased.map(({ delivery, target: of }) => ({ ...copyOf(delivery), destination: of }))
          if (copies.length > 0) orphans.set(keyOf(target), copies)
        },
        async declare(target, declaration) {
          const answer = await inner.declare(target, declaration)
          const copies = orphans.get(keyOf(target))
          if (orphans.delete(keyOf(target)) && copies !== undefined) await inner.publish(copies, forever())
          return answer
        },
      }
    },
    fails: ['queues.delete', 'queues.delete-ordered', 'topics.pattern-conflict', 'receiver.fenced-anew'],
  },
]

/** Faults of `mode: 'browse'`. */
export const browsing: readonly Broken[] = [
  {
    name: 'shows a browse what is leased',
    fault(inner, { shared }) {
      const held = sharedMap<Held>(shared, 'held')
      return onReceiver(inner, (receiver, { target, mode }) => {
        if (mode !== 'browse') return holding(held, target, receiver)
        let first = true
        return {
          async receive(max, signal, waitMs) {
            const leased = [...held.values()].filter((each) => first && keyOf(each.target) === keyOf(target))
            first = false
            if (leased.length === 0) return receiver.receive(max, signal, waitMs)
            return leased.slice(0, max).map(({ delivery }) => ({ ...delivery, position: '0' }))
          },
        }
      })
    },
    fails: ['receiver.browse', 'receiver.browse-ordered'],
  },
  {
    name: 'shows a browse what is delayed',
    fault(inner, run) {
      const { clock } = run
      const waiting = later(run)
      const watched = onPublish(inner, (message) => {
        const { delayMs, destination, id } = message
        if (delayMs > 0) waiting.set(id, { target: destination, message, due: clock.now() + delayMs })
        return message
      })
      return onReceiver(watched, (receiver, { target, mode }) => {
        let first = mode === 'browse'
        return {
          async receive(max, signal, waitMs) {
            const delayed = [...waiting.values()].filter(
              ({ target: of, due }) => first && keyOf(of) === keyOf(target) && due > clock.now(),
            )
            first = false
            if (delayed.length === 0) return receiver.receive(max, signal, waitMs)
            return delayed.slice(0, max).map(({ message: { headers, ...message } }) => ({
              ...message,
              headers: { ...headers },
              redeliveries: 0,
              firstFailedAt: undefined,
              deadLetter: undefined,
              position: '0',
              raw: null,
            }))
          },
        }
      })
    },
    fails: ['receiver.browse'],
  },
  {
    name: 'removes by a browse what somebody else has leased',
    fault(inner, { shared }) {
      const held = sharedMap<Held>(shared, 'held')
      return onReceiver(inner, (receiver, { target, mode }) => {
        if (mode !== 'browse') return holding(held, target, receiver)
        return {
          async ack(deliveries) {
            const outcomes = await receiver.ack(deliveries)
            const stolen = deliveries.map(({ id }, i) => (outcomes[i] === 'lost' ? held.get(id) : undefined))
            for (const each of stolen) await each?.receiver.ack([each.delivery])
            return outcomes.map((outcome, i) => (stolen[i] === undefined ? outcome : 'settled'))
          },
        }
      })
    },
    fails: ['receiver.browse-leased'],
  },
  {
    name: 'begins a browse anew when the message of its cursor is gone',
    fault(inner, { shared }) {
      const gone = sharedSet(shared, 'gone')
      const watched = onReceiver(inner, (receiver, { target, mode }) => ({
        ack(deliveries) {
          if (mode === 'browse')
            for (const { position } of deliveries) gone.add(`${keyOf(target)} ${position ?? ''}`)
          return receiver.ack(deliveries)
        },
      }))
      return {
        ...watched,
        open: (source, lost) =>
          watched.open(
            gone.has(`${keyOf(source.target)} ${source.after ?? ''}`)
              ? { ...source, after: undefined }
              : source,
            lost,
          ),
      }
    },
    fails: ['receiver.browse'],
  },
]

interface Held {
  readonly target: Target
  readonly receiver: Receiver
  readonly delivery: Delivery
}

/** Writes down who has leased what. */
function holding(held: Map<string, Held>, target: Target, receiver: Receiver): Partial<Receiver> {
  const done = <T>(deliveries: readonly Delivery[], work: Promise<T>): Promise<T> => {
    for (const { id } of deliveries) held.delete(id)
    return work
  }
  return {
    async receive(max, signal, waitMs) {
      const deliveries = await receiver.receive(max, signal, waitMs)
      for (const delivery of deliveries) held.set(delivery.id, { target, receiver, delivery })
      return deliveries
    },
    ack: (ds) => done(ds, receiver.ack(ds)),
    release: (ds) => done(ds, receiver.release(ds)),
    retry: (ds, ms) => done(ds, receiver.retry(ds, ms)),
    deadLetter: (ds, failures, to) => done(ds, receiver.deadLetter(ds, failures, to)),
    async close(signal) {
      for (const [id, each] of held) if (each.receiver === receiver) held.delete(id)
      await receiver.close(signal)
    },
  }
}
