import { copyOf, onDelivery, onReceiver, sharedSet, sharedMap, type Broken } from './broken.ts'

/** Faults of `deadLetter`. */
export const deadLettering: readonly Broken[] = [
  {
    name: 'loses dead letters',
    fault: (inner) => onReceiver(inner, (receiver) => ({ deadLetter: (ds) => receiver.ack(ds) })),
    fails: [
      'consume.batch-outcomes',
      'consume.receive-poison',
      'contract.concurrent',
      'contract.counts-new',
      'contract.fields-dead',
      'contract.fields-kinds',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
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
      'dead-letters.redrive-again',
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
      'receiver.dead-letter-refused',
      'receiver.many-deadLetter',
      'receiver.outcomes-deadLetter',
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
      'topics.settle-several',
      'contract.large-ways',
      'extras.priority-returned',
      'lifecycle.lives-settle',
    ],
  },
  {
    name: 'leaves a copy where it was dead-lettered, once',
    fault(inner, { shared }) {
      const seen = sharedSet(shared, 'copied')
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
      'consume.receive-poison',
      'contract.concurrent',
      'contract.fields-kinds',
      'dead-letters.busy',
      'dead-letters.once',
      'dead-letters.one-subscription',
      'dead-letters.poison',
      'dead-letters.publish-fails',
      'dead-letters.redrive-again',
      'dead-letters.redrive-all',
      'dead-letters.redrive-one',
      'dead-letters.redrive-some',
      'extras.dedupe-same',
      'extras.limits-freed',
      'extras.process-message',
      'lifecycle.process-exits',
      'model.random',
      'observe.stats',
      'order.unblocked',
      'receiver.dead-letter',
      'receiver.dead-letter-refused',
      'receiver.many-deadLetter',
      'receiver.outcomes-deadLetter',
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
      'topics.lease',
      'topics.settle-several',
      'extras.priority-returned',
      'receiver.fenced',
      'receiver.fenced-anew',
      'receiver.fenced-lease',
      'lifecycle.lives-settle',
    ],
  },
  {
    name: 'gives all dead letters of a call the first one’s failure',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        deadLetter: (ds, failures, target) =>
          receiver.deadLetter(
            ds,
            failures.map(() => failures[0] as (typeof failures)[0]),
            target,
          ),
      })),
    fails: ['receiver.dead-letter', 'topics.settle-several'],
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
    fails: [
      'contract.fields-dead',
      'contract.fields-kinds',
      'dead-letters.metadata',
      'dead-letters.redrive-again',
      'receiver.dead-letter',
      'settle.reject',
    ],
  },
  {
    name: 'chooses the dead-letter queue by itself',
    fault: (inner) =>
      onReceiver(inner, (receiver, { target: from }) => ({
        deadLetter(deliveries, failures, target) {
          const queue = 'queue' in from ? `${from.queue}.dlq` : `${from.topic}.${from.subscription}.dlq`
          return receiver.deadLetter(deliveries, failures, 'queue' in target ? { queue } : target)
        },
      })),
    fails: [
      'contract.concurrent',
      'contract.fields-dead',
      'contract.fields-kinds',
      'contract.receive-woken-consume',
      'contract.receive-woken-pull',
      'dead-letters.named',
      'contract.large-ways',
      'lifecycle.lives-settle',
    ],
  },
  {
    name: 'says of a dead letter that was refused that it was moved',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        deadLetter: async (ds, failures, target) =>
          (await receiver.deadLetter(ds, failures, target)).map((outcome) =>
            outcome === 'lost' ? outcome : 'settled',
          ),
      })),
    fails: ['receiver.dead-letter-refused'],
  },
  {
    name: 'acknowledges what could not be dead-lettered',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        async deadLetter(ds, failures, target) {
          const outcomes = await receiver.deadLetter(ds, failures, target)
          await receiver.ack(ds.filter((_, i) => typeof outcomes[i] === 'object'))
          return outcomes
        },
      })),
    fails: ['receiver.dead-letter-refused'],
  },
  {
    name: 'keeps the count of a dead letter',
    fault(inner, { shared }) {
      const counts = sharedMap<number>(shared, 'counts')
      const counting = onReceiver(inner, (receiver) => ({
        deadLetter(ds, failures, target) {
          for (const { id, deliveryCount } of ds) counts.set(id, deliveryCount)
          return receiver.deadLetter(ds, failures, target)
        },
      }))
      return onDelivery(counting, (delivery) =>
        delivery.deadLetter === undefined
          ? delivery
          : { ...delivery, deliveryCount: counts.get(delivery.id) ?? delivery.deliveryCount },
      )
    },
    fails: ['contract.counts-new', 'contract.fields-dead', 'receiver.dead-letter'],
  },
]
