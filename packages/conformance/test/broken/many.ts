import type { Delivery, Receiver, SettleOutcome } from '@mq/core/adapter'
import { allSettled, onReceiver, type Broken } from './broken.ts'

type Outcomes = readonly SettleOutcome[]

const AT_MOST = 100

/** Does what one settling method is called for with the first of a call alone. */
const forTheFirst =
  (operation: 'ack' | 'release' | 'retry' | 'deadLetter' | 'renew'): Broken['fault'] =>
  (inner) =>
    onReceiver(inner, (receiver) => ({
      async [operation](deliveries: readonly Delivery[], ...rest: unknown[]) {
        const work = receiver[operation] as (
          some: readonly Delivery[],
          ...args: unknown[]
        ) => Promise<Outcomes>
        const args = rest.map((arg) => (Array.isArray(arg) ? (arg as unknown[]).slice(0, AT_MOST) : arg))
        const outcomes = await work(deliveries.slice(0, AT_MOST), ...args)
        return [...outcomes, ...allSettled(deliveries.slice(AT_MOST))]
      },
    }))

/** What a receiver has handed out, and no settlement was asked for yet. */
function holding(receiver: Receiver, held: Set<Delivery>): Pick<Receiver, 'receive' | 'ack' | 'release'> {
  const done = (deliveries: readonly Delivery[]) => {
    for (const delivery of deliveries) held.delete(delivery)
    return deliveries
  }
  return {
    async receive(max, signal, waitMs) {
      const deliveries = await receiver.receive(max, signal, waitMs)
      for (const delivery of deliveries) held.add(delivery)
      return deliveries
    },
    ack: (deliveries) => receiver.ack(done(deliveries)),
    release: (deliveries) => receiver.release(done(deliveries)),
  }
}

/** Faults of calls about several messages, of which some are forgotten or others meant as well. */
export const many: readonly Broken[] = [
  {
    name: `acknowledges the first ${AT_MOST} of a call alone`,
    fault: forTheFirst('ack'),
    fails: ['receiver.many-ack', 'receiver.many-renew'],
  },
  ...(['release', 'retry', 'deadLetter', 'renew'] as const).map((operation) => ({
    name: `does ${operation} for the first ${AT_MOST} of a call alone`,
    fault: forTheFirst(operation),
    fails: [`receiver.many-${operation}`, ...(operation === 'retry' ? ['receiver.retry-several'] : [])],
  })),
  {
    name: 'delays the first of a retry alone',
    fault: (inner) =>
      onReceiver(inner, (receiver) => ({
        async retry(deliveries, delayMs) {
          const first = await receiver.retry(deliveries.slice(0, 1), delayMs)
          return [...first, ...(deliveries.length > 1 ? await receiver.retry(deliveries.slice(1), 0) : [])]
        },
      })),
    fails: ['receiver.retry-several'],
  },
  {
    name: 'renews what it was not asked to',
    fault: (inner) =>
      onReceiver(inner, (receiver) => {
        const held = new Set<Delivery>()
        return {
          ...holding(receiver, held),
          async renew(deliveries) {
            await receiver.renew([...held].filter((delivery) => !deliveries.includes(delivery)))
            return receiver.renew(deliveries)
          },
        }
      }),
    fails: ['receiver.renew-one'],
  },
  {
    name: 'renews for half a lease',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver, { leaseMs }) => {
        const ends = new Map<Delivery, unknown>()
        return {
          async renew(deliveries) {
            const outcomes = await receiver.renew(deliveries)
            for (const delivery of deliveries) {
              clock.clearTimeout(ends.get(delivery))
              ends.set(
                delivery,
                clock.setTimeout(() => void receiver.release([delivery]), leaseMs / 2),
              )
            }
            return outcomes
          },
        }
      }),
    fails: ['receiver.renew', 'receiver.renew-length'],
  },
  {
    name: 'reports all that it holds as lost when one is',
    fault: (inner) => ({
      ...inner,
      async open(source, lost) {
        const held = new Set<Delivery>()
        const receiver = await inner.open(source, (_, cause) => lost([...held], cause))
        return { ...receiver, ...holding(receiver, held) }
      },
    }),
    fails: ['receiver.renew-one'],
  },
]
