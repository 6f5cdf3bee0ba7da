import type { Delivery, OutboundMessage } from '@mq/core/adapter'
import { onReceiver, type Broken } from './broken.ts'

function copyOf(delivery: Delivery): Omit<OutboundMessage, 'destination'> {
  const { id, body, headers, timestamp, contentEncoding, correlationId, replyTo, routingKey, key } = delivery
  const kept = { id, body, headers, timestamp, contentEncoding, correlationId, replyTo, routingKey, key }
  const contentType = delivery.contentType ?? 'application/octet-stream'
  const rest = { deduplicationId: undefined, priority: 0, delayMs: 0, expiresAt: undefined, deliveryCount: 0 }
  return { ...kept, ...rest, contentType, redriven: false, sendToken: id }
}

/** Faults of `deadLetter`. */
export const deadLettering: readonly Broken[] = [
  {
    name: 'loses dead letters',
    fault: (inner) => onReceiver(inner, (receiver) => ({ deadLetter: (ds) => receiver.ack(ds) })),
    fails: [
      'consume.batch-outcomes',
      'dead-letters.busy',
      'dead-letters.content',
      'dead-letters.get',
      'dead-letters.list',
      'dead-letters.list-filter',
      'dead-letters.list-pages',
      'dead-letters.metadata',
      'dead-letters.named',
      'dead-letters.no-expiry',
      'dead-letters.once',
      'dead-letters.one-subscription',
      'dead-letters.ordinary-queue',
      'dead-letters.poison',
      'dead-letters.publish-fails',
      'dead-letters.purge',
      'dead-letters.redrive-all',
      'dead-letters.redrive-one',
      'dead-letters.redrive-some',
      'dead-letters.redrive-subscription',
      'extras.dedupe-redrive',
      'extras.process-message',
      'model.random',
      'observe.listeners',
      'observe.secrets',
      'payload.schema-arrival',
      'payload.undecodable',
      'receiver.dead-letter',
      'retry.attempts',
      'retry.default-policy',
      'retry.handle-error',
      'retry.reject-error',
      'retry.retry-error',
      'settle.handler-throws',
      'settle.handler-timeout',
      'settle.mode-auto',
      'settle.mode-manual',
      'settle.reject',
      'time.ttl-read-ahead',
    ],
  },
  {
    name: 'leaves a copy where it was dead-lettered, once',
    fault(inner, { shared }) {
      const seen = (shared.get('copied') ?? new Set()) as Set<string>
      shared.set('copied', seen)
      return onReceiver(inner, (receiver, { target: from }) => ({
        async deadLetter(deliveries, failures, target) {
          const outcomes = await receiver.deadLetter(deliveries, failures, target)
          const copies = deliveries
            .filter(({ id }) => !seen.has(id))
            .map((delivery) => ({ ...copyOf(delivery), destination: from }))
          for (const { id } of deliveries) seen.add(id)
          if (copies.length > 0) await inner.publish(copies, new AbortController().signal)
          return outcomes
        },
      }))
    },
    fails: [
      'dead-letters.busy',
      'dead-letters.once',
      'dead-letters.one-subscription',
      'dead-letters.poison',
      'dead-letters.publish-fails',
      'dead-letters.redrive-all',
      'dead-letters.redrive-one',
      'dead-letters.redrive-some',
      'extras.process-message',
      'model.random',
      'observe.stats',
      'receiver.dead-letter',
      'receiver.stale-deadLetter',
      'request.error',
      'retry.attempts',
      'retry.default-policy',
      'retry.handle-error',
      'retry.reject-error',
      'retry.retry-error',
      'settle.handler-throws',
      'settle.handler-timeout',
      'settle.mode-auto',
      'settle.mode-manual',
      'settle.reject',
      'time.ttl-read-ahead',
    ],
  },
  {
    name: 'gives all dead letters of a call the first one’s failure',
    slow: true,
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        deadLetter: (ds, failures, target) =>
          receiver.deadLetter(
            ds,
            failures.map(() => failures[0] as (typeof failures)[0]),
            target,
          ),
      })),
    fails: ['receiver.dead-letter'],
  },
  {
    name: 'loses the error of a dead letter',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        deadLetter: (ds, failures, target) => {
          const error = { name: '', message: '', stack: '' }
          return receiver.deadLetter(
            ds,
            failures.map((failure) => ({ ...failure, error })),
            target,
          )
        },
      })),
    fails: ['dead-letters.metadata', 'receiver.dead-letter', 'settle.reject'],
  },
  {
    name: 'chooses the dead-letter queue by itself',
    slow: true,
    fault: (inner) =>
      onReceiver(inner, (receiver, { target: from }) => ({
        deadLetter(deliveries, failures, target) {
          const queue = 'queue' in from ? `${from.queue}.dlq` : `${from.topic}.${from.subscription}.dlq`
          return receiver.deadLetter(deliveries, failures, 'queue' in target ? { queue } : target)
        },
      })),
    fails: ['dead-letters.named'],
  },
]
