import type { DeadLetterInfo, Delivery } from '@mq/core/adapter'
import {
  keyOf,
  onDelivery,
  onPublish,
  onReceiver,
  sharedMap,
  sharedSet,
  type Broken,
  type Run,
} from './broken.ts'

/** Notes each delivery that is dead-lettered, by its id. */
function noting(inner: Parameters<Broken['fault']>[0], { shared }: Run) {
  const dead = sharedMap<Delivery>(shared, 'dead')
  const adapter = onReceiver(inner, (receiver) => ({
    deadLetter(deliveries, failures, target) {
      for (const delivery of deliveries) dead.set(delivery.id, delivery)
      return receiver.deadLetter(deliveries, failures, target)
    },
  }))
  return { dead, adapter }
}

/** Faults of what begins anew and does not, or does not and should go on. */
export const anew: readonly Broken[] = [
  {
    name: 'forgets what a queue has seen when it is declared once more',
    fault(inner, { shared }) {
      const times = sharedMap<number>(shared, 'declared')
      const published = onPublish(inner, (message) => {
        const { deduplicationId: id, destination } = message
        return id === undefined || 'reply' in destination
          ? message
          : { ...message, deduplicationId: `${id} ${times.get(keyOf(destination)) ?? 0}` }
      })
      return {
        ...onDelivery(published, (delivery) => {
          const { deduplicationId: id } = delivery
          return id === undefined
            ? delivery
            : { ...delivery, deduplicationId: id.slice(0, id.lastIndexOf(' ')) }
        }),
        async declare(target, declaration) {
          const settings = await inner.declare(target, declaration)
          times.set(keyOf(target), (times.get(keyOf(target)) ?? 0) + 1)
          return settings
        },
      }
    },
    fails: ['extras.dedupe-same', 'lifecycle.lives-ways'],
  },
  {
    name: 'goes on counting the failures of what is redriven',
    fault(inner, run) {
      const { dead, adapter } = noting(inner, run)
      return onPublish(adapter, (message) =>
        message.redriven
          ? { ...message, deliveryCount: dead.get(message.id)?.deliveryCount ?? message.deliveryCount }
          : message,
      )
    },
    fails: ['dead-letters.redrive-again'],
  },
  {
    name: 'keeps the first failure of what is redriven',
    fault(inner, run) {
      const { dead, adapter } = noting(inner, run)
      return onDelivery(adapter, (delivery) => {
        const before = delivery.redriven ? dead.get(delivery.id)?.firstFailedAt : undefined
        return before === undefined ? delivery : { ...delivery, firstFailedAt: before }
      })
    },
    fails: ['dead-letters.redrive-again'],
  },
  {
    name: 'marks what is redriven once',
    fault(inner, { shared }) {
      const marked = sharedSet(shared, 'marked')
      return onPublish(inner, (message) => {
        if (!message.redriven) return message
        const redriven = !marked.has(message.id)
        marked.add(message.id)
        return { ...message, redriven }
      })
    },
    fails: ['dead-letters.redrive-again'],
  },
  {
    name: 'keeps why a message was dead-lettered for the first time',
    fault(inner, { shared }) {
      const why = sharedMap<DeadLetterInfo>(shared, 'why')
      return onReceiver(inner, (receiver) => ({
        deadLetter(deliveries, failures, target) {
          const kept = deliveries.map(({ id }, i) => why.get(id) ?? (failures[i] as DeadLetterInfo))
          for (const [i, { id }] of deliveries.entries()) why.set(id, kept[i] as DeadLetterInfo)
          return receiver.deadLetter(deliveries, kept, target)
        },
      }))
    },
    fails: ['dead-letters.redrive-again'],
  },
]
