import type { Delivery } from '@mq/core/adapter'
import { EVERY_WAY, onDelivery, onPublish, onReceiver, sharedSet, type Broken } from './broken.ts'

type Way =
  | 'delayed'
  | 'released'
  | 'retried'
  | 'retried with a delay'
  | 'left unsettled'
  | 'copied from a topic'
  | 'dead-lettered'

/** Loses a field of every message that went a way, once and for all. */
function losing(way: Way, field: keyof Delivery): Broken['fault'] {
  return (inner, { shared }) => {
    const went = sharedSet(shared, 'went')
    const goes = (taken: Way, messages: readonly { readonly id: string }[]) => {
      if (taken === way) for (const { id } of messages) went.add(id)
    }
    const published = onPublish(inner, (message) => {
      if (message.delayMs > 0) goes('delayed', [message])
      if ('topic' in message.destination) goes('copied from a topic', [message])
      return message
    })
    const settled = onReceiver(published, (receiver) => ({
      release(deliveries) {
        goes('released', deliveries)
        return receiver.release(deliveries)
      },
      retry(deliveries, delayMs) {
        goes(delayMs > 0 ? 'retried with a delay' : 'retried', deliveries)
        return receiver.retry(deliveries, delayMs)
      },
      deadLetter(deliveries, failures, target) {
        goes('dead-lettered', deliveries)
        return receiver.deadLetter(deliveries, failures, target)
      },
    }))
    return onDelivery(settled, (delivery) => {
      if (delivery.redeliveries > 0) goes('left unsettled', [delivery])
      return went.has(delivery.id) ? { ...delivery, [field]: lost(field, delivery) } : delivery
    })
  }
}

function lost(field: keyof Delivery, delivery: Delivery): unknown {
  if (field === 'headers') return {}
  if (field === 'body') return Buffer.from(Buffer.from(delivery.body).toString())
  if (field === 'redriven') return false
  if (field === 'priority') return 0
  return field === 'timestamp' ? Math.floor(delivery.timestamp / 1000) * 1000 : undefined
}

interface Loss {
  readonly way: Way
  readonly field: keyof Delivery
  readonly fails: readonly string[]
}

const LOSSES: readonly Loss[] = [
  {
    way: 'delayed',
    field: 'deduplicationId',
    fails: ['contract.fields-delayed', 'contract.fields-topic'],
  },
  { way: 'delayed', field: 'headers', fails: ['contract.fields-delayed', 'contract.fields-topic'] },
  { way: 'delayed', field: 'priority', fails: ['contract.fields-delayed'] },
  { way: 'released', field: 'key', fails: ['contract.fields-kinds', 'contract.fields-returned'] },
  { way: 'released', field: 'firstFailedAt', fails: ['contract.fields-returned'] },
  {
    way: 'retried',
    field: 'contentEncoding',
    fails: ['contract.fields-dead', 'contract.fields-kinds', 'contract.fields-returned'],
  },
  {
    way: 'retried with a delay',
    field: 'redriven',
    fails: ['contract.fields-kinds', 'contract.fields-returned'],
  },
  {
    way: 'retried with a delay',
    field: 'expiresAt',
    fails: ['contract.fields-kinds', 'contract.fields-returned'],
  },
  { way: 'left unsettled', field: 'headers', fails: ['contract.fields-returned', 'contract.never-shared'] },
  { way: 'left unsettled', field: 'correlationId', fails: ['contract.fields-returned'] },
  { way: 'left unsettled', field: 'timestamp', fails: ['contract.fields-returned'] },
  { way: 'left unsettled', field: 'firstFailedAt', fails: ['contract.fields-returned'] },
  {
    way: 'delayed',
    field: 'body',
    fails: ['contract.fields-delayed', 'contract.fields-topic', 'contract.large-ways'],
  },
  {
    way: 'retried',
    field: 'body',
    fails: [
      'contract.fields-dead',
      'contract.fields-kinds',
      'contract.fields-returned',
      'contract.large-ways',
    ],
  },
  {
    way: 'dead-lettered',
    field: 'body',
    fails: ['contract.fields-dead', 'contract.fields-kinds', 'contract.large-ways'],
  },
  {
    way: 'copied from a topic',
    field: 'timestamp',
    fails: ['contract.fields-kinds', 'contract.fields-topic'],
  },
  { way: 'copied from a topic', field: 'key', fails: ['contract.fields-kinds', 'contract.fields-topic'] },
  {
    way: 'dead-lettered',
    field: 'contentEncoding',
    fails: ['contract.fields-dead', 'contract.fields-kinds'],
  },
  { way: 'dead-lettered', field: 'timestamp', fails: ['contract.fields-dead', 'contract.fields-kinds'] },
]

/** Faults of the ways that a message may take, besides the direct one. */
export const ways: readonly Broken[] = [
  ...LOSSES.map(({ way, field, fails }) => ({
    name: `loses the ${field} of what is ${way}`,
    fault: losing(way, field),
    fails,
  })),
  {
    name: 'reads keys as Latin-1',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        key: message.key === undefined ? undefined : Buffer.from(message.key).toString('latin1'),
      })),
    fails: [...EVERY_WAY],
  },
  {
    name: 'cuts headers at 1000 characters',
    fault: (inner) =>
      onPublish(inner, (message) => ({
        ...message,
        headers: Object.fromEntries(
          Object.entries(message.headers).map(([name, value]) => [name, value.slice(0, 1000)]),
        ),
      })),
    fails: [...EVERY_WAY],
  },
]
