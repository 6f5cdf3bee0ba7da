import { type Delivery, type Receiver, type Target } from '@mq/core/adapter'
import { onPublish, onReceiver, type Broken } from './broken.ts'

const key = (target: object) => JSON.stringify(target)

/** Faults of queues, topics, connections and the rest. */
export const managing: readonly Broken[] = [
  {
    name: 'cuts queue names at the first dot',
    fault(inner) {
      const cut = (name: string) => (name.endsWith('.dlq') ? name : (name.split('.')[0] ?? name))
      const short = <T extends object>(target: T): T =>
        'queue' in target ? { ...target, queue: cut(String(target.queue)) } : target
      return {
        ...inner,
        publish: (batch, signal) =>
          inner.publish(
            batch.map((message) => ({ ...message, destination: short(message.destination) })),
            signal,
          ),
        open: (source, lost) => inner.open({ ...source, target: short(source.target) }, lost),
        declare: (target, declaration) => inner.declare(short(target), declaration),
        remove: (target) => inner.remove(short(target)),
        purge: (target) => inner.purge(short(target)),
        size: (target) => inner.size(short(target)),
      }
    },
    fails: ['queues.names-alike', 'consume.isolated', 'queues.purge-one'],
  },
  {
    name: 'delivers a topic to its first subscription alone',
    fault(inner, { shared }) {
      const first = (topic: string) => shared.get(topic) as string | undefined
      return {
        ...onPublish(inner, (message) => {
          const { destination } = message
          if (!('topic' in destination) || 'subscription' in destination) return message
          const subscription = first(destination.topic)
          return subscription === undefined
            ? message
            : { ...message, destination: { topic: destination.topic, subscription } }
        }),
        declare(target, declaration) {
          if ('subscription' in target && first(target.topic) === undefined)
            shared.set(target.topic, target.subscription)
          return inner.declare(target, declaration)
        },
      }
    },
    fails: [
      'contract.fields-topic',
      'contract.never-shared',
      'dead-letters.one-subscription',
      'dead-letters.redrive-subscription',
      'extras.dedupe-apart',
      'time.delay-topic',
      'topics.auto-delete',
      'topics.delete',
      'topics.delete-delayed',
      'topics.drop-oldest',
      'topics.each-all',
      'topics.full',
      'topics.later',
      'topics.many',
      'topics.pattern',
      'topics.pattern-conflict',
      'topics.purge-apart',
      'topics.returned',
      'topics.settled-apart',
      'topics.slow',
      'topics.taken',
      'topics.exclusive',
      'topics.expires',
      'extras.limits-call',
      'lifecycle.lives-ways',
      'queues.elsewhere-topic',
    ],
  },
  {
    name: 'ignores patterns',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) =>
        inner.declare(
          target,
          declaration.pattern === undefined ? declaration : { ...declaration, pattern: '#' },
        ),
    }),
    fails: [
      'time.delay-topic',
      'topics.many',
      'topics.nobody',
      'topics.pattern',
      'topics.pattern-conflict',
      'topics.purge-apart',
      'topics.taken',
      'extras.limits-call',
      'lifecycle.lives-ways',
      'queues.elsewhere-topic',
    ],
  },
  {
    name: 'reorders the messages of a key',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) =>
        inner.declare(target, { ...declaration, settings: { ...declaration.settings, ordered: false } }),
      open: (source, lost) => inner.open({ ...source, ordered: false }, lost),
    }),
    fails: [
      'contract.declare-take',
      'order.arriving',
      'order.delayed',
      'order.failed-blocks',
      'order.per-key',
      'order.received',
      'order.received-apart',
      'order.rejected-blocks',
      'order.slow-key',
      'order.unblocked',
      'queues.conflict-each',
      'queues.purge-ordered',
      'receiver.browse-ordered',
      'topics.ordered',
      'order.returned',
      'queues.made-again',
      'queues.elsewhere-order',
    ],
  },
  {
    name: 'takes another configuration for the same',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) => inner.declare(target, { ...declaration, ifExists: 'take' }),
    }),
    fails: ['queues.conflict', 'queues.conflict-each', 'topics.pattern-conflict'],
  },
  {
    name: 'refuses to take an existing queue as it is',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) => inner.declare(target, { ...declaration, ifExists: 'compare' }),
    }),
    fails: [
      'contract.declare-take',
      'extras.auto-delete',
      'extras.dedupe-same',
      'extras.priority-returned',
      'order.arriving',
      'order.crash-repeats',
      'order.delayed',
      'order.per-key',
      'order.received-apart',
      'order.requeued-first',
      'queues.take-existing',
      'topics.taken',
    ],
  },
  {
    name: 'ignores maxLength and maxLengthBytes',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) =>
        inner.declare(target, {
          ...declaration,
          settings: { ...declaration.settings, maxLength: null, maxLengthBytes: null },
        }),
    }),
    fails: [
      'contract.fields-dropped',
      'contract.publish-partial',
      'extras.dedupe-refused',
      'extras.drop-oldest',
      'extras.drop-oldest-bytes',
      'extras.drop-oldest-call',
      'extras.drop-oldest-due',
      'extras.limits-both',
      'extras.limits-freed',
      'extras.max-bytes',
      'extras.max-length',
      'queues.conflict-each',
      'receiver.dead-letter-refused',
      'topics.drop-oldest',
      'topics.full',
      'extras.limits-kinds',
      'queues.made-again',
      'extras.limits-call',
      'extras.limits-redriven',
      'queues.elsewhere-limit',
    ],
  },
  {
    name: 'deletes nothing',
    fault: (inner) => ({ ...inner, remove: () => Promise.resolve() }),
    fails: [
      'extras.limits-freed',
      'queues.delete',
      'queues.delete-ordered',
      'receiver.deleted',
      'topics.delete',
      'topics.delete-delayed',
      'topics.pattern-conflict',
      'queues.made-again',
      'queues.made-again-ends',
      'receiver.fenced-anew',
      'queues.elsewhere-limit',
      'queues.elsewhere-order',
      'queues.elsewhere-topic',
    ],
  },
  {
    name: 'leaves the subscriptions of a deleted topic',
    fault: (inner) => ({
      ...inner,
      remove: (target) =>
        'topic' in target && !('subscription' in target) ? Promise.resolve() : inner.remove(target),
    }),
    fails: ['receiver.deleted', 'topics.delete', 'topics.delete-delayed'],
  },
  {
    name: 'purges nothing, and says it did',
    fault: (inner) => ({ ...inner, purge: (target) => inner.size(target) }),
    fails: [
      'contract.concurrent-purge',
      'contract.size-many',
      'dead-letters.purge',
      'extras.limits-freed',
      'extras.max-bytes',
      'extras.priority',
      'order.unblocked',
      'queues.lease-ran-out',
      'queues.purge',
      'queues.purge-delayed',
      'queues.purge-leased',
      'queues.purge-ordered',
      'queues.purge-subscription',
      'topics.purge-apart',
      'topics.size',
      'receiver.fenced-anew',
      'lifecycle.lives-settle',
      'queues.elsewhere-size',
    ],
  },
  {
    name: 'miscounts what it purged',
    fault: (inner) => ({
      ...inner,
      async purge(target) {
        await inner.purge(target)
        return 0
      },
    }),
    fails: [
      'contract.concurrent-purge',
      'contract.size-many',
      'dead-letters.purge',
      'extras.priority',
      'queues.lease-ran-out',
      'queues.purge',
      'queues.purge-delayed',
      'queues.purge-leased',
      'queues.purge-one',
      'queues.purge-ordered',
      'queues.purge-subscription',
      'topics.purge-apart',
      'topics.size',
      'receiver.fenced-anew',
      'lifecycle.lives-settle',
      'queues.elsewhere-size',
    ],
  },
  {
    name: 'purges what is leased',
    fault(inner, { shared }) {
      const leased = (target: Target) => {
        const known = (shared.get(key(target)) ?? new Map()) as Map<Delivery, Receiver>
        shared.set(key(target), known)
        return known
      }
      const watched = onReceiver(inner, (receiver, { target, mode }) => ({
        async receive(max, signal, waitMs) {
          const deliveries = await receiver.receive(max, signal, waitMs)
          if (mode !== 'browse') for (const delivery of deliveries) leased(target).set(delivery, receiver)
          return deliveries
        },
      }))
      return {
        ...watched,
        async purge(target) {
          for (const [delivery, receiver] of leased(target))
            await receiver.ack([delivery]).catch(() => undefined)
          return inner.purge(target)
        },
      }
    },
    fails: ['queues.purge-leased', 'queues.purge-ordered', 'topics.size'],
  },
  {
    name: 'counts what is leased as ready',
    fault(inner, { shared }) {
      const counts = (target: Target) => {
        const open = (shared.get(key(target)) ?? new Set()) as Set<Delivery>
        shared.set(key(target), open)
        return open
      }
      const watched = onReceiver(inner, (receiver, { target, mode }) => {
        const done = async <T>(deliveries: readonly Delivery[], work: Promise<T>) => {
          for (const delivery of deliveries) counts(target).delete(delivery)
          return work
        }
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            if (mode !== 'browse') for (const delivery of deliveries) counts(target).add(delivery)
            return deliveries
          },
          ack: (ds) => done(ds, receiver.ack(ds)),
          release: (ds) => done(ds, receiver.release(ds)),
          retry: (ds, ms) => done(ds, receiver.retry(ds, ms)),
          deadLetter: (ds, failures, to) => done(ds, receiver.deadLetter(ds, failures, to)),
        }
      })
      return { ...watched, size: async (target) => (await inner.size(target)) + counts(target).size }
    },
    fails: [
      'queues.lease-ran-out',
      'queues.size',
      'queues.size-ordered',
      'topics.size',
      'extras.priority-left',
    ],
  },
  {
    name: 'answers requests to whoever connected first',
    fault: (inner, { shared }) => ({
      ...onPublish(inner, (message) => {
        const { destination } = message
        const first = shared.get('reply') as string | undefined
        return 'reply' in destination && first !== undefined
          ? { ...message, destination: { reply: first } }
          : message
      }),
      async connect(on, signal) {
        await inner.connect(on, signal)
        if (!shared.has('reply')) shared.set('reply', (await inner.openReplies()).address)
      },
    }),
    fails: [
      'contract.fields-reply',
      'contract.replies',
      'lifecycle.process-exits',
      'request.answered-first',
      'request.error',
      'request.late',
      'request.many',
      'request.reconnected',
      'request.result',
      'request.retried',
      'contract.large-ways',
      'contract.replies-many',
      'lifecycle.lives-ways',
    ],
  },
]
