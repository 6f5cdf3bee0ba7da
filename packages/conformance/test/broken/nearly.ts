import type { Clock } from '@mq/core'
import type { BrokerAdapter, OutboundMessage, QueueSettings } from '@mq/core/adapter'
import { keyOf, onDelivery, onPublish, onReceiver, sharedMap, type Broken } from './broken.ts'

type Field = 'deduplicationId' | 'key' | 'priority' | 'expiresAt'

/** Lets the broker work with another value of a field than the one that it shows. */
function workingWith<F extends Field>(
  field: F,
  value: (message: OutboundMessage, inner: BrokerAdapter, clock: Clock) => OutboundMessage[F],
): Broken['fault'] {
  return (inner, { shared, clock }) => {
    const shown = sharedMap<OutboundMessage[F]>(shared, field)
    const changed = onPublish(inner, (message) => {
      const other = 'reply' in message.destination ? message[field] : value(message, inner, clock)
      if (other === message[field]) return message
      shown.set(message.id, message[field])
      return { ...message, [field]: other }
    })
    return onDelivery(changed, (delivery) => {
      // What is dead does not expire with what it was.
      const over = field === 'expiresAt' && delivery.deadLetter !== undefined
      return shown.has(delivery.id) && !over ? { ...delivery, [field]: shown.get(delivery.id) } : delivery
    })
  }
}

/** Keeps another window than the one that it shows. */
const windowTimes =
  (factor: number): Broken['fault'] =>
  (inner) => ({
    ...inner,
    async declare(target, declaration) {
      const { deduplicationWindowMs: ms } = declaration.settings
      if (ms === null) return inner.declare(target, declaration)
      const settings = { ...declaration.settings, deduplicationWindowMs: ms * factor }
      await inner.declare(target, { ...declaration, settings })
      return declaration.settings
    },
  })

/** Compares all settings of an existing queue but one. */
const ignoring =
  (field: keyof QueueSettings): Broken['fault'] =>
  (inner, { shared }) => {
    const made = sharedMap<QueueSettings>(shared, 'made')
    return {
      ...inner,
      declare(target, declaration) {
        const before = made.get(keyOf(target)) ?? declaration.settings
        made.set(keyOf(target), before)
        if (declaration.ifExists === 'take') return inner.declare(target, declaration)
        const settings = { ...declaration.settings, [field]: before[field] }
        return inner.declare(target, { ...declaration, settings })
      },
      async remove(target) {
        made.delete(keyOf(target))
        await inner.remove(target)
      },
    }
  }

const connections = new WeakMap<BrokerAdapter, number>()
let last = 0

function numberOf(inner: BrokerAdapter): number {
  const number = connections.get(inner) ?? ++last
  connections.set(inner, number)
  return number
}

/** Faults of adapters that are right but for a little. */
export const nearly: readonly Broken[] = [
  {
    name: 'renews for twice a lease',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver, { leaseMs }) => ({
        renew(deliveries) {
          clock.setTimeout(() => void receiver.renew(deliveries), leaseMs - 5)
          return receiver.renew(deliveries)
        },
      })),
    fails: ['receiver.renew-length'],
  },
  {
    name: 'waits twice as long as it is told to',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        receive: (max, signal, waitMs) =>
          receiver.receive(max, signal, waitMs === undefined ? waitMs : 2 * waitMs),
      })),
    fails: ['contract.receive-edges'],
  },
  {
    name: 'answers the ttl that was asked for, whatever is there',
    fault: (inner) => ({
      ...inner,
      async declare(target, declaration) {
        const { messageTtl } = declaration.settings
        return { ...(await inner.declare(target, declaration)), messageTtl }
      },
    }),
    fails: ['contract.declare-take'],
  },
  {
    name: 'counts failures in 16 bits',
    fault: (inner) =>
      onDelivery(inner, (delivery) => ({ ...delivery, deliveryCount: delivery.deliveryCount & 0xffff })),
    fails: ['contract.fields'],
  },
  {
    name: 'takes priorities above 127 for that',
    fault: workingWith('priority', ({ priority }) => Math.min(priority, 127)),
    fails: ['contract.priority-numbers'],
  },
  {
    name: 'takes two priorities for one another',
    fault: workingWith('priority', ({ priority }) => ({ 6: 7, 7: 6 })[priority] ?? priority),
    fails: ['contract.priority-numbers'],
  },
  {
    name: 'deduplicates what comes over one connection alone',
    fault: workingWith('deduplicationId', ({ deduplicationId: id }, inner) =>
      id === undefined ? id : `${numberOf(inner)} ${id}`,
    ),
    fails: ['extras.dedupe-same'],
  },
  {
    name: 'deduplicates each key by itself',
    fault: workingWith('deduplicationId', ({ deduplicationId: id, key }) =>
      id === undefined || key === undefined ? id : `${key} ${id}`,
    ),
    fails: ['extras.dedupe-same'],
  },
  {
    name: 'deduplicates by the first hundred characters of an id',
    fault: workingWith('deduplicationId', ({ deduplicationId }) => deduplicationId?.slice(0, 100)),
    fails: ['extras.dedupe-same'],
  },
  {
    name: 'remembers a deduplication id for a fifth longer than its window',
    fault: windowTimes(1.2),
    fails: ['extras.dedupe-window'],
  },
  {
    name: 'forgets a deduplication id after four fifths of its window',
    fault: windowTimes(0.8),
    fails: ['extras.dedupe-whole'],
  },
  {
    name: 'lets messages expire after four fifths of their ttl',
    fault: workingWith('expiresAt', ({ expiresAt }, _, clock) =>
      expiresAt === undefined ? expiresAt : clock.now() + (expiresAt - clock.now()) * 0.8,
    ),
    fails: ['time.ttl-whole'],
  },
  {
    name: 'lets what was delayed pass its key',
    fault: workingWith('key', ({ key, delayMs }) => (delayMs > 0 ? undefined : key)),
    fails: ['order.arriving', 'order.delayed'],
  },
  {
    name: 'lets what is redriven pass its key',
    fault: workingWith('key', ({ key, redriven }) => (redriven ? undefined : key)),
    fails: ['order.arriving'],
  },
  {
    name: 'takes keys that begin with the same letter for one',
    fault: workingWith('key', ({ key }) => key?.slice(0, 1)),
    fails: ['order.slow-key'],
  },
  {
    name: 'orders the messages of each connection by themselves',
    fault: workingWith('key', ({ key }, inner) => (key === undefined ? key : `${numberOf(inner)} ${key}`)),
    fails: ['order.arriving'],
  },
  {
    name: 'ignores maxLengthBytes beside maxLength',
    fault: (inner) => ({
      ...inner,
      async declare(target, declaration) {
        const { settings } = declaration
        if (settings.maxLength === null || settings.maxLengthBytes === null)
          return inner.declare(target, declaration)
        await inner.declare(target, { ...declaration, settings: { ...settings, maxLengthBytes: null } })
        return settings
      },
    }),
    fails: ['extras.limits-both'],
  },
  ...(['durable', 'expires'] as const).map((field) => ({
    name: `takes a queue of another ${field} for the same`,
    fault: ignoring(field),
    fails: ['queues.conflict-each'],
  })),
  {
    name: 'follows the causes of an error for ever',
    fault(inner) {
      const classify: BrokerAdapter['classify'] = (error) =>
        error instanceof Error && error.cause !== undefined ? classify(error.cause) : inner.classify(error)
      return { ...inner, classify }
    },
    fails: ['contract.classify'],
  },
  {
    name: 'says that what is missing may be there later',
    fault: (inner) => ({
      ...inner,
      classify(error) {
        const { code, retryable } = inner.classify(error)
        return { code, retryable: retryable || code === 'MQ_QUEUE_NOT_FOUND' }
      },
    }),
    fails: ['contract.refused-open', 'contract.refused-publish'],
  },
  {
    name: 'says that a conflict may pass',
    fault: (inner) => ({
      ...inner,
      classify(error) {
        const { code, retryable } = inner.classify(error)
        return { code, retryable: retryable || code === 'MQ_QUEUE_CONFLICT' }
      },
    }),
    fails: ['queues.conflict-each'],
  },
  {
    name: 'keeps the client’s own message to itself',
    fault: (inner) => onDelivery(inner, (delivery) => ({ ...delivery, raw: undefined })),
    fails: ['contract.fields'],
  },
  {
    name: 'cuts bodies at two megabytes',
    fault: (inner) =>
      onPublish(inner, (message) => ({ ...message, body: message.body.subarray(0, 2 ** 21) })),
    fails: ['capabilities.body-limit'],
  },
  {
    name: 'hands out the headers that it keeps to whoever browses',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => {
        if (mode !== 'browse') return {}
        return {
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            const keptBy = ({ raw }: { raw: unknown }) => (raw as { headers: Record<string, string> }).headers
            return deliveries.map((delivery) => ({ ...delivery, headers: keptBy(delivery) }))
          },
        }
      }),
    fails: ['contract.never-shared'],
  },
]
