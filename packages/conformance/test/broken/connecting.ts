import { AdapterError, type Delivery, type Receiver } from '@mq/core/adapter'
import { leaveTimer, onReceiver, type Broken } from './broken.ts'

/** Faults of connections, of `classify` and of what is declared. */
export const connecting: readonly Broken[] = [
  {
    name: 'drops everything that is leased when it disconnects',
    fault(inner) {
      const open = new Map<Delivery, Receiver>()
      return {
        ...onReceiver(inner, (receiver) => ({
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const delivery of deliveries) open.set(delivery, receiver)
            return deliveries
          },
        })),
        async disconnect(signal) {
          for (const [delivery, receiver] of open) await receiver.ack([delivery]).catch(() => undefined)
          open.clear()
          await inner.disconnect(signal)
        },
      }
    },
    fails: [
      'contract.disconnect',
      'contract.disconnected',
      'failure.cut',
      'failure.lost-receive',
      'failure.restart',
      'extras.priority-left',
      'lifecycle.lives-settle',
    ],
  },
  {
    name: 'takes an intended disconnect for a loss',
    fault(inner) {
      let lost: (cause: unknown) => void = () => undefined
      return {
        ...inner,
        connect(on, signal) {
          lost = (cause) => on.lost(cause)
          return inner.connect(on, signal)
        },
        async disconnect(signal) {
          lost(new Error('disconnected'))
          await inner.disconnect(signal)
        },
      }
    },
    fails: ['contract.disconnect'],
  },
  {
    name: 'cannot be disconnected twice',
    fault(inner) {
      let connected = false
      return {
        ...inner,
        async connect(on, signal) {
          await inner.connect(on, signal)
          connected = true
        },
        disconnect(signal) {
          if (!connected) return Promise.reject(new Error('not connected'))
          connected = false
          return inner.disconnect(signal)
        },
      }
    },
    fails: ['contract.disconnect'],
  },
  {
    name: 'answers every ping',
    fault: (inner) => ({ ...inner, ping: () => Promise.resolve() }),
    fails: ['contract.connect-abort', 'contract.ping', 'lifecycle.disconnect-aborted'],
  },
  {
    name: 'leaves a timer behind that keeps the process alive',
    fault: (inner) => ({
      ...inner,
      async connect(on, signal) {
        await inner.connect(on, signal)
        leaveTimer()
      },
    }),
    fails: ['lifecycle.disconnect-aborted', 'lifecycle.disconnect-any-time', 'lifecycle.process-exits'],
  },
  {
    name: 'throws in classify',
    fault: (inner) => ({
      ...inner,
      classify(error) {
        if (error === undefined || error === null) throw new TypeError('cannot read properties of nothing')
        return inner.classify(error)
      },
    }),
    fails: ['contract.classify'],
  },
  {
    name: 'names every error the same',
    fault: (inner) => ({ ...inner, classify: () => ({ code: 'MQ_UNKNOWN', retryable: false }) }),
    fails: [
      'consume.batch-outcomes',
      'consume.missing',
      'consume.receive-poison',
      'contract.classify',
      'contract.refused-open',
      'contract.refused-publish',
      'dead-letters.give-backs',
      'dead-letters.list-pages',
      'dead-letters.one-subscription',
      'dead-letters.poison',
      'extras.auto-delete',
      'extras.dedupe-refused',
      'extras.drop-oldest-due',
      'extras.exclusive',
      'extras.limits-both',
      'extras.max-bytes',
      'extras.max-length',
      'failure.deleted',
      'failure.settle-again',
      'publish.repeated',
      'publish.unroutable',
      'queues.conflict',
      'queues.conflict-each',
      'queues.delete',
      'queues.deleted-elsewhere',
      'queues.expires',
      'queues.size',
      'queues.unknown-argument',
      'receiver.deleted',
      'retry.once-done',
      'settle.double',
      'settle.mode-none',
      'settle.reject-dropped',
      'settle.stale-reject',
      'time.ttl-held',
      'topics.auto-delete',
      'topics.full',
      'topics.missing',
      'topics.pattern-conflict',
      'topics.exclusive',
      'topics.expires',
      'queues.made-again-ends',
      'extras.limits-call',
      'extras.limits-redriven',
      'queues.elsewhere-limit',
    ],
  },
  {
    name: 'forgets a capability',
    fault(inner) {
      const { browseHides: _, ...rest } = inner.capabilities
      return { ...inner, capabilities: Object.freeze(rest) as typeof inner.capabilities }
    },
    fails: ['capabilities.complete'],
  },
  {
    name: 'changes its capabilities when it likes',
    fault: (inner) => ({ ...inner, capabilities: { ...inner.capabilities } }),
    fails: ['capabilities.frozen'],
  },
  {
    name: 'takes small bodies alone',
    fault: (inner) => ({
      ...inner,
      capabilities: Object.freeze({ ...inner.capabilities, maxBodyBytes: 1000 }),
    }),
    fails: [
      'capabilities.complete',
      'extras.drop-oldest-bytes',
      'extras.max-bytes',
      'payload.bytes',
      'payload.large',
      'publish.too-large',
      'request.result',
    ],
  },
  {
    name: 'refuses one queue name',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) =>
        'queue' in target && target.queue.length > 150
          ? Promise.reject(new AdapterError('MQ_VALIDATION', 'too long'))
          : inner.declare(target, declaration),
    }),
    fails: ['queues.names', 'queues.names-alike'],
  },
  {
    name: 'connects although it was told not to',
    fault: (inner) => ({
      ...inner,
      connect: (on) => inner.connect(on, new AbortController().signal),
    }),
    fails: ['contract.connect-abort'],
  },
  {
    name: 'leaves a connection open that it was told not to make',
    fault: (inner) => ({
      ...inner,
      async connect(on, signal) {
        await inner.connect(on, new AbortController().signal)
        signal.throwIfAborted()
      },
    }),
    fails: ['contract.connect-abort'],
  },
  {
    name: 'stores what it was told not to, and says that it did not',
    fault: (inner) => ({
      ...inner,
      async publish(batch, signal) {
        const outcomes = await inner.publish(batch, new AbortController().signal)
        const error = signal.reason as unknown
        return signal.aborted ? batch.map(() => ({ ok: false, error, certainty: 'not-stored' })) : outcomes
      },
    }),
    fails: ['contract.publish-abort'],
  },
  {
    name: 'leaves a receive hanging when it disconnects',
    fault(inner) {
      let connected = false
      return {
        ...onReceiver(inner, (receiver) => ({
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            return connected ? deliveries : new Promise<never>(() => undefined)
          },
        })),
        async connect(on, signal) {
          await inner.connect(on, signal)
          connected = true
        },
        disconnect(signal) {
          connected = false
          return inner.disconnect(signal)
        },
      }
    },
    fails: ['contract.disconnect-abort'],
  },
  {
    name: 'keeps the place for answers of its first connection',
    fault(inner) {
      let first: ReturnType<typeof inner.openReplies> | null = null
      return { ...inner, openReplies: () => (first ??= inner.openReplies()) }
    },
    fails: ['request.reconnected', 'lifecycle.lives-ways'],
  },
]
