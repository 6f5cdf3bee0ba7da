import { matchesPattern, type OutboundMessage } from '@mq/core/adapter'
import { keyOf, onReceiver, sharedMap, type Broken } from './broken.ts'

interface Subscription {
  readonly topic: string
  readonly subscription: string
  readonly pattern: string
}

/** Faults of an adapter that goes by what it knew, whatever others have changed since. */
export const elsewhere: readonly Broken[] = [
  {
    name: 'remembers the size of a queue until it does something with it',
    fault(inner) {
      const sizes = new Map<string, number>()
      const forgetting = onReceiver(inner, (receiver, { target }) => ({
        receive(max, signal, waitMs) {
          sizes.delete(keyOf(target))
          return receiver.receive(max, signal, waitMs)
        },
      }))
      return {
        ...forgetting,
        publish(batch, signal) {
          sizes.clear()
          return inner.publish(batch, signal)
        },
        purge(target) {
          sizes.clear()
          return inner.purge(target)
        },
        async size(target) {
          const size = sizes.get(keyOf(target)) ?? (await inner.size(target))
          sizes.set(keyOf(target), size)
          return size
        },
      }
    },
    fails: [
      'extras.priority-left',
      'extras.priority-returned',
      'observe.listeners',
      'payload.undecodable',
      'queues.elsewhere-size',
      'queues.made-again-ends',
      'queues.size',
      'settle.handler-throws',
      'time.delay-priority',
      'time.ttl-size',
    ],
  },
  {
    name: 'publishes to the subscriptions that there were when it first did',
    fault(inner, { shared }) {
      const all = sharedMap<Subscription>(shared, 'subscriptions')
      const known = new Map<string, readonly Subscription[]>()
      const to = (topic: string, { routingKey = '' }: OutboundMessage): readonly Subscription[] => {
        const those = known.get(topic) ?? [...all.values()].filter((each) => each.topic === topic)
        known.set(topic, those)
        return those.filter(({ pattern }) => matchesPattern(pattern, routingKey))
      }
      return {
        ...inner,
        async declare(target, declaration) {
          const settings = await inner.declare(target, declaration)
          if ('subscription' in target)
            all.set(keyOf(target), { ...target, pattern: declaration.pattern ?? '#' })
          return settings
        },
        remove(target) {
          all.delete(keyOf(target))
          return inner.remove(target)
        },
        async publish(batch, signal) {
          const [first] = batch
          if (first === undefined || !('topic' in first.destination) || 'subscription' in first.destination)
            return inner.publish(batch, signal)
          const { topic } = first.destination
          const copies = batch.flatMap((message) =>
            to(topic, message).map(({ subscription }) => ({
              ...message,
              destination: { topic, subscription },
            })),
          )
          for (const copy of copies) await inner.publish([copy], signal)
          return batch.map(() => ({ ok: true }))
        },
      }
    },
    fails: [
      'extras.dedupe-apart',
      'extras.limits-call',
      'queues.elsewhere-topic',
      'queues.made-again',
      'topics.full',
      'topics.later',
      'topics.pattern-conflict',
      'topics.taken',
    ],
  },
  {
    name: 'takes no queue for full that had no limit when it declared it',
    fault(inner) {
      const unlimited = new Set<string>()
      return {
        ...inner,
        async declare(target, declaration) {
          const { settings } = declaration
          if (settings.maxLength === null && settings.maxLengthBytes === null) unlimited.add(keyOf(target))
          else unlimited.delete(keyOf(target))
          return inner.declare(target, declaration)
        },
        async publish(batch, signal) {
          const outcomes = await inner.publish(batch, signal)
          return outcomes.map((outcome, i) =>
            !outcome.ok &&
            inner.classify(outcome.error).code === 'MQ_QUEUE_FULL' &&
            unlimited.has(keyOf((batch[i] as OutboundMessage).destination))
              ? { ok: true }
              : outcome,
          )
        },
      }
    },
    fails: ['extras.limits-call', 'queues.elsewhere-limit', 'queues.made-again'],
  },
]
