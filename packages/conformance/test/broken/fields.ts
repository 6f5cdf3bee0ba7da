import type { BrokerAdapter, OutboundMessage } from '@mq/core/adapter'
import { EVERY_WAY, onPublish, type Broken } from './broken.ts'

/** Fields that may be left out on the way, and what must fail then. */
const FIELDS: readonly (readonly [keyof OutboundMessage, readonly string[]])[] = [
  [
    'correlationId',
    [
      ...EVERY_WAY,
      'contract.replies',
      'dead-letters.content',
      'lifecycle.process-exits',
      'publish.round-trip',
      'publish.short-forms',
      'request.answered-first',
      'request.error',
      'request.late',
      'request.many',
      'request.reconnected',
      'request.result',
      'request.retried',
      'retry.keeps-message',
      'settle.requeue',
      'topics.fields',
    ],
  ],
  [
    'replyTo',
    [
      'contract.fields',
      'contract.fields-browsed',
      'contract.fields-delayed',
      'contract.fields-returned',
      'contract.fields-topic',
      'contract.fields-kinds',
      'lifecycle.process-exits',
      'publish.reply-to',
      'request.answered-first',
      'request.error',
      'request.late',
      'request.many',
      'request.reconnected',
      'request.result',
      'request.retried',
    ],
  ],
  [
    'routingKey',
    [
      'extras.limits-call',
      'lifecycle.lives-ways',
      'queues.elsewhere-topic',
      ...EVERY_WAY,
      'dead-letters.content',
      'publish.round-trip',
      'retry.keeps-message',
      'topics.fields',
      'topics.pattern',
      'topics.pattern-conflict',
      'topics.purge-apart',
      'topics.taken',
    ],
  ],
  [
    'key',
    [
      ...EVERY_WAY,
      'dead-letters.content',
      'lifecycle.lives-time',
      'queues.elsewhere-order',
      'order.arriving',
      'order.delayed',
      'order.failed-blocks',
      'order.per-key',
      'order.received',
      'order.received-apart',
      'order.rejected-blocks',
      'order.returned',
      'queues.made-again',
      'order.slow-key',
      'order.unblocked',
      'publish.round-trip',
      'queues.purge-ordered',
      'receiver.browse-ordered',
      'retry.keeps-message',
      'topics.ordered',
    ],
  ],
  ['contentEncoding', [...EVERY_WAY, 'payload.compression', 'payload.undecodable']],
]

/** Faults of single fields, whichever way a message takes. */
export const fields: readonly Broken[] = [
  ...FIELDS.map(([field, fails]) => ({
    name: `loses ${field}`,
    fault: (inner: BrokerAdapter) => onPublish(inner, (message) => ({ ...message, [field]: undefined })),
    fails,
  })),
  {
    name: 'loses the routing key of a message that has nothing else besides',
    fault: (inner) =>
      onPublish(inner, (message) => {
        const { destination, key, correlationId, replyTo, deduplicationId } = message
        const others = [key, correlationId, replyTo, deduplicationId]
        return 'queue' in destination && others.every((value) => value === undefined)
          ? { ...message, routingKey: undefined }
          : message
      }),
    fails: ['contract.fields'],
  },
  {
    name: 'knows three content types alone',
    fault: (inner) =>
      onPublish(inner, (message) =>
        /^(application\/json|text\/plain)$/.test(message.contentType)
          ? message
          : { ...message, contentType: 'application/octet-stream' },
      ),
    fails: [...EVERY_WAY, 'payload.content-types'],
  },
  {
    name: 'cuts ids at 64 characters',
    fault: (inner) => onPublish(inner, (message) => ({ ...message, id: message.id.slice(0, 64) })),
    fails: [...EVERY_WAY, 'publish.ids'],
  },
]
