import { EVERY_WAY, onPublish, sharedSet, type Broken } from './broken.ts'

/** Faults of `publish`. */
export const publishing: readonly Broken[] = [
  {
    name: 'loses the last message of a large call',
    fault: (inner) =>
      onPublish(inner, (message, i, batch) =>
        batch.length >= 100 && i === batch.length - 1 ? null : message,
      ),
    fails: [
      'consume.competing',
      'consume.order',
      'contract.publish-outcomes',
      'contract.size-many',
      'extras.dedupe-same',
      'failure.rebalance',
      'failure.restart',
      'publish.burst',
      'receiver.browse-many',
      'receiver.many-ack',
      'receiver.many-deadLetter',
      'receiver.many-release',
      'receiver.many-renew',
      'receiver.many-retry',
      'receiver.retry-several',
      'shutdown.flushed',
      'time.delay-many',
      'topics.many',
      'extras.dedupe-many',
    ],
  },
  {
    name: 'stores the first message of a large call twice',
    fault: (inner) => ({
      ...inner,
      async publish(batch, signal) {
        const [first] = batch
        if (batch.length >= 100 && first !== undefined) await inner.publish([first], signal)
        return inner.publish(batch, signal)
      },
    }),
    fails: [
      'consume.competing',
      'consume.order',
      'contract.publish-outcomes',
      'contract.size-many',
      'failure.rebalance',
      'publish.burst',
      'receiver.browse-many',
      'receiver.many-ack',
      'receiver.many-deadLetter',
      'receiver.many-release',
      'receiver.many-renew',
      'receiver.many-retry',
      'receiver.retry-several',
      'shutdown.flushed',
      'time.delay-many',
      'topics.many',
    ],
  },
  {
    name: 'stores a call in reverse order',
    fault: (inner) => ({
      ...inner,
      publish: async (batch, signal) => [...(await inner.publish([...batch].reverse(), signal))].reverse(),
    }),
    fails: [
      'consume.order',
      'contract.publish-partial',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'extras.drop-oldest-call',
      'extras.limits-both',
      'extras.priority',
      'order.crash-repeats',
      'order.failed-blocks',
      'order.rejected-blocks',
      'order.requeued-first',
      'order.slow-key',
      'order.unblocked',
      'queues.purge-ordered',
      'receiver.browse-ordered',
      'extras.limits-call',
      'extras.limits-redriven',
      'lifecycle.lives-settle',
      'lifecycle.lives-time',
      'lifecycle.lives-ways',
      'queues.elsewhere-order',
    ],
  },
  {
    name: 'makes a missing queue instead of refusing',
    fault: (inner) => ({
      ...inner,
      async publish(batch, signal) {
        const outcomes = await inner.publish(batch, signal)
        return outcomes.map((outcome) =>
          outcome.ok || inner.classify(outcome.error).code !== 'MQ_QUEUE_NOT_FOUND' ? outcome : { ok: true },
        )
      },
    }),
    fails: [
      'contract.refused-publish',
      'extras.auto-delete',
      'extras.exclusive',
      'publish.unroutable',
      'queues.delete',
      'queues.expires',
      'queues.unknown-argument',
      'topics.missing',
    ],
  },
  {
    name: 'ignores the delay',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, delayMs: 0 })),
    fails: [
      'contract.fields-delayed',
      'contract.fields-kinds',
      'extras.drop-oldest-due',
      'model.random',
      'queues.size',
      'receiver.browse',
      'time.delay',
      'time.delay-blocks-nothing',
      'time.delay-many',
      'time.delay-order',
      'time.delay-restart',
      'time.delay-topic',
      'time.long',
      'time.punctual',
      'topics.delay-punctual',
      'topics.size',
      'lifecycle.lives-time',
    ],
  },
  {
    name: 'delivers after half the delay',
    fault: (inner) =>
      onPublish(inner, (message) => ({ ...message, delayMs: Math.floor(message.delayMs / 2) })),
    fails: [
      'contract.fields-delayed',
      'contract.fields-kinds',
      'model.random',
      'time.delay',
      'time.delay-many',
      'time.delay-order',
      'time.delay-restart',
      'time.delay-topic',
      'time.punctual',
      'topics.delay-punctual',
      'lifecycle.lives-time',
    ],
  },
  {
    name: 'delivers far too late',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        delayMs: message.delayMs === 0 ? 0 : message.delayMs + 4500,
      })),
    fails: [
      'topics.delay-punctual',
      'time.delay',
      'time.punctual',
      'time.ttl-subscription',
      'lifecycle.lives-time',
    ],
  },
  {
    name: 'ignores the expiry',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, expiresAt: undefined })),
    fails: [
      'contract.expired-behind',
      'contract.fields',
      'contract.fields-browsed',
      'contract.fields-delayed',
      'contract.fields-expired',
      'contract.fields-kinds',
      'contract.fields-returned',
      'contract.fields-topic',
      'extras.limits-freed',
      'order.unblocked',
      'request.timeout',
      'time.delay-ttl',
      'time.ttl',
      'time.ttl-dead-letter',
      'time.ttl-queue',
      'time.ttl-read-ahead',
      'time.ttl-retry',
      'time.ttl-size',
      'time.ttl-returned',
      'time.ttl-subscription',
    ],
  },
  {
    name: 'ignores the priority',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, priority: 0 })),
    fails: [
      'contract.fields-browsed',
      'contract.fields-dead',
      'contract.fields-delayed',
      'contract.fields-returned',
      'contract.priority-numbers',
      'extras.priority',
      'extras.priority-highest',
      'extras.priority-returned',
      'time.delay-priority',
      'topics.priority',
      'queues.made-again',
      'extras.priority-left',
    ],
  },
  {
    name: 'ignores the deduplication id',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, deduplicationId: undefined })),
    fails: [
      ...EVERY_WAY,
      'extras.dedupe',
      'extras.dedupe-apart',
      'extras.dedupe-delayed',
      'extras.dedupe-first',
      'extras.dedupe-same',
      'extras.dedupe-store',
      'extras.dedupe-whole',
      'publish.round-trip',
      'extras.dedupe-many',
      'queues.made-again',
      'lifecycle.lives-ways',
    ],
  },
  {
    name: 'deduplicates what is redriven',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, redriven: false })),
    fails: [
      'contract.fields',
      'contract.fields-browsed',
      'contract.fields-delayed',
      'contract.fields-kinds',
      'contract.fields-returned',
      'contract.fields-topic',
      'dead-letters.redrive-again',
      'dead-letters.redrive-one',
      'extras.dedupe-redrive',
    ],
  },
  {
    name: 'deduplicates by message id',
    fault(inner, { shared }) {
      const seen = sharedSet(shared, 'ids')
      return onPublish(inner, (message) => {
        const key = `${JSON.stringify(message.destination)} ${message.id}`
        if (seen.has(key) && !message.redriven) return null
        seen.add(key)
        return message
      })
    },
    fails: [
      'contract.fields-reply',
      'publish.same-id-twice',
      'receiver.token-same-id',
      'receiver.fenced-anew',
      'extras.limits-call',
    ],
  },
  {
    name: 'loses the headers',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, headers: {} })),
    fails: [
      ...EVERY_WAY,
      'contract.never-shared',
      'dead-letters.content',
      'dead-letters.list-filter',
      'dead-letters.redrive-one',
      'extras.drop-oldest-bytes',
      'observe.read-only',
      'observe.traceparent',
      'observe.traces',
      'order.rejected-blocks',
      'payload.header-edges',
      'payload.header-many',
      'publish.headers',
      'publish.middleware-order',
      'publish.no-aliasing',
      'publish.round-trip',
      'request.error',
      'retry.keeps-message',
      'settle.requeue',
      'time.ttl-dead-letter',
      'topics.fields',
      'topics.many',
    ],
  },
  {
    name: 'lower-cases header names',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        headers: Object.fromEntries(
          Object.entries(message.headers).map(([name, value]) => [name.toLowerCase(), value]),
        ),
      })),
    fails: [...EVERY_WAY, 'payload.header-edges', 'publish.headers'],
  },
  {
    name: 'truncates large bodies',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, body: message.body.subarray(0, 65_536) })),
    fails: [
      ...EVERY_WAY,
      'capabilities.body-limit',
      'payload.large',
      'request.result',
      'contract.large-ways',
    ],
  },
  {
    name: 'treats bodies as UTF-8 text',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        body: Buffer.from(Buffer.from(message.body).toString()),
      })),
    fails: [
      ...EVERY_WAY,
      'capabilities.body-limit',
      'payload.bytes',
      'payload.compression',
      'payload.content-types',
      'payload.large',
      'payload.undecodable',
      'contract.large-ways',
    ],
  },
  {
    name: 'makes an empty body one zero byte',
    fault: (inner) =>
      onPublish(inner, (message) =>
        message.body.length > 0 ? message : { ...message, body: new Uint8Array(1) },
      ),
    fails: [
      'contract.fields',
      'contract.fields-browsed',
      'contract.fields-dead',
      'contract.fields-delayed',
      'contract.fields-reply',
      'contract.fields-returned',
      'contract.fields-topic',
      'payload.empty',
    ],
  },
  {
    name: 'keeps whole seconds of the timestamp',
    fault: (inner) =>
      onPublish(inner, (message) => ({ ...message, timestamp: Math.floor(message.timestamp / 1000) * 1000 })),
    fails: [...EVERY_WAY, 'publish.round-trip', 'retry.keeps-message'],
  },
  {
    name: 'answers one outcome too few for a large call',
    fault: (inner) => ({
      ...inner,
      publish: async (batch, signal) =>
        (await inner.publish(batch, signal)).slice(0, batch.length < 100 ? undefined : -1),
    }),
    fails: [
      'consume.competing',
      'consume.order',
      'contract.publish-outcomes',
      'failure.rebalance',
      'publish.burst',
      'shutdown.flushed',
      'topics.many',
    ],
  },
  {
    name: 'adds headers to the message it was given',
    fault: (inner) => ({
      ...inner,
      publish(batch, signal) {
        for (const { headers } of batch) {
          if (Object.keys(headers).length > 0) (headers as Record<string, string>)['x-broker'] = 'was here'
        }
        return inner.publish(batch, signal)
      },
    }),
    fails: [
      'payload.header-many',
      'contract.publish-untouched',
      'dead-letters.content',
      'dead-letters.redrive-one',
      'observe.read-only',
      'payload.header-edges',
      'publish.headers',
      'publish.middleware-order',
      'retry.keeps-message',
      'settle.requeue',
      'time.ttl-dead-letter',
      'topics.fields',
    ],
  },
]
