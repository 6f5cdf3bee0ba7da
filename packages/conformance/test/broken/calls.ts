import type { BrokerAdapter, Delivery, OutboundMessage, Receiver, SettleOutcome } from '@mq/core/adapter'
import { onPublish, onReceiver, type Broken } from './broken.ts'

type Operation = 'release' | 'retry' | 'deadLetter' | 'renew'
type Outcomes = readonly SettleOutcome[]

/** Changes what one settling method answers. */
function answering(operation: Operation, change: (outcomes: Outcomes) => Outcomes): Broken['fault'] {
  return (inner) =>
    onReceiver(inner, (receiver) => ({
      [operation]: async (...args: [readonly Delivery[]]) =>
        change(await (receiver[operation] as (...all: [readonly Delivery[]]) => Promise<Outcomes>)(...args)),
    }))
}

const reversed = (outcomes: Outcomes) => [...outcomes].reverse()
const lostTogether = (outcomes: Outcomes) =>
  outcomes.includes('lost') ? outcomes.map(() => 'lost' as const) : outcomes

/** A field that each message has for itself, and what must fail when a call has it once. */
const OF_THE_FIRST: readonly (readonly [keyof OutboundMessage, readonly string[]])[] = [
  ['routingKey', ['topics.pattern', 'extras.limits-call', 'lifecycle.lives-ways']],
  [
    'priority',
    ['contract.priority-numbers', 'extras.priority', 'extras.priority-left', 'extras.priority-returned'],
  ],
  ['expiresAt', ['contract.fields', 'order.unblocked', 'time.ttl']],
  [
    'deduplicationId',
    [
      'contract.fields',
      'extras.dedupe',
      'extras.dedupe-many',
      'extras.dedupe-returned',
      'extras.dedupe-same',
      'extras.limits-call',
    ],
  ],
]

/** Faults that show where one call is about several messages, and they do not fare alike. */
export const calls: readonly Broken[] = [
  {
    name: 'says stored of a whole call when a part of it was',
    fault: (inner) => ({
      ...inner,
      async publish(batch, signal) {
        const outcomes = await inner.publish(batch, signal)
        return outcomes.some(({ ok }) => ok) ? outcomes.map(() => ({ ok: true })) : outcomes
      },
    }),
    fails: ['contract.publish-partial', 'extras.limits-both', 'extras.limits-call', 'extras.limits-redriven'],
  },
  {
    name: 'answers outcomes of publish in another order',
    fault: (inner) => ({
      ...inner,
      publish: async (batch, signal) => [...(await inner.publish(batch, signal))].reverse(),
    }),
    fails: ['contract.publish-partial', 'extras.limits-both', 'extras.limits-call', 'extras.limits-redriven'],
  },
  ...(['release', 'retry', 'deadLetter', 'renew'] as const).flatMap((operation) => [
    {
      name: `answers outcomes of ${operation} in another order`,
      fault: answering(operation, reversed),
      fails: [
        `receiver.outcomes-${operation}`,
        ...(operation === 'deadLetter' ? ['receiver.dead-letter-refused'] : []),
      ],
    },
    {
      name: `takes a whole ${operation} for lost when a part of it is`,
      fault: answering(operation, lostTogether),
      fails: [`receiver.outcomes-${operation}`],
    },
  ]),
  {
    name: 'settles nothing of an acknowledgement when a part of it is lost',
    fault: (inner) =>
      onReceiver(inner, (receiver: Receiver) => {
        const settled = new Set<Delivery>()
        return {
          ack(deliveries) {
            if (deliveries.some((delivery) => settled.has(delivery)))
              return Promise.resolve(deliveries.map(() => 'lost'))
            for (const delivery of deliveries) settled.add(delivery)
            return receiver.ack(deliveries)
          },
        }
      }),
    fails: ['receiver.outcomes', 'receiver.outcomes-ack'],
  },
  ...OF_THE_FIRST.map(([field, fails]) => ({
    name: `gives all messages of a call the ${field} of the first`,
    fault: (inner: BrokerAdapter) =>
      onPublish(inner, (message, _, batch) => ({ ...message, [field]: batch[0]?.[field] })),
    fails,
  })),
]
