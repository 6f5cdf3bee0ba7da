import type { Delivery, Receiver, Target } from '@mq/core/adapter'
import { keyOf, onReceiver, sharedMap, type Broken } from './broken.ts'

interface Owned {
  readonly receiver: Receiver
  readonly delivery: Delivery
}

type Settling = 'ack' | 'release' | 'retry' | 'deadLetter' | 'renew'

/** Lets a former owner settle what has its id and belongs to another now, where `mistaken` finds that it may. */
const fencedBadly =
  (
    operations: readonly Settling[],
    mistaken: (owners: readonly Owned[], former: Delivery) => Owned | undefined,
  ): Broken['fault'] =>
  (inner, { shared }) =>
    onReceiver(inner, (receiver, { target, mode }) => {
      if (mode === 'browse') return {}
      const known = sharedMap<Owned[]>(shared, 'owned')
      const of = ({ id }: Delivery) => {
        const key = `${keyOf(target)} ${id}`
        const list = known.get(key) ?? []
        known.set(key, list)
        return list
      }
      const through = <T extends readonly unknown[]>(operation: Settling) =>
        async function (deliveries: readonly Delivery[], ...rest: T) {
          const call = (owner: Receiver, delivery: Delivery, i: number) => {
            const [first, ...others] = rest
            const one = operation === 'deadLetter' ? [[(first as readonly unknown[])[i]], ...others] : rest
            return (owner[operation] as (...args: unknown[]) => ReturnType<Receiver['ack']>)(
              [delivery],
              ...one,
            )
          }
          if (!operations.includes(operation))
            return (receiver[operation] as (...args: unknown[]) => ReturnType<Receiver['ack']>)(
              deliveries,
              ...rest,
            )
          const outcomes = []
          for (const [i, delivery] of deliveries.entries()) {
            const owner = mistaken(of(delivery), delivery) ?? { receiver, delivery }
            outcomes.push(...(await call(owner.receiver, owner.delivery, i)))
          }
          return outcomes
        }
      return {
        async receive(max, signal, waitMs) {
          const deliveries = await receiver.receive(max, signal, waitMs)
          for (const delivery of deliveries) of(delivery).push({ receiver, delivery })
          return deliveries
        },
        ack: through('ack'),
        release: through('release'),
        retry: through<[number]>('retry'),
        deadLetter: through('deadLetter'),
        renew: through('renew'),
      } as Partial<Receiver>
    })

/** The former owner `back` owners ago, or longer ago, passes for the one of now. */
const since =
  (back: (n: number) => boolean) =>
  (owners: readonly Owned[], former: Delivery): Owned | undefined => {
    const at = owners.findIndex(({ delivery }) => delivery === former)
    return at >= 0 && back(owners.length - 1 - at) ? owners.at(-1) : undefined
  }

/** What was leased of a queue that is purged or deleted passes for what has its id later. */
const afterwards =
  (end: 'remove' | 'purge', operation: Settling): Broken['fault'] =>
  (inner, run) => {
    const known = sharedMap<Owned[]>(run.shared, 'owned')
    const ended = sharedMap<Set<Delivery>>(run.shared, 'ended')
    const gone = ended.get(end) ?? new Set()
    ended.set(end, gone)
    const noted = (target: object) => {
      for (const [key, owners] of known)
        if (key.startsWith(keyOf(target))) for (const { delivery } of owners) gone.add(delivery)
    }
    const changed = fencedBadly([operation], (owners, former) =>
      gone.has(former) && owners.length > 1 ? owners.at(-1) : undefined,
    )(inner, run)
    return {
      ...changed,
      async [end](target: Target) {
        const answer = await changed[end](target)
        noted(target)
        return answer
      },
    }
  }

/** Faults that show when a message has had several owners. */
export const fencing: readonly Broken[] = (
  ['ack', 'release', 'retry', 'deadLetter', 'renew'] as const
).flatMap((operation) => [
  ...[2, 4].map((ago) => ({
    name: `takes for the owner at ${operation} who was so ${ago} deliveries ago`,
    fault: fencedBadly(
      [operation],
      since((n) => n === ago),
    ),
    fails: ago === 2 ? ['receiver.fenced', 'receiver.fenced-lease'] : ['receiver.fenced'],
  })),
  ...(['remove', 'purge'] as const).map((end) => ({
    name: `takes for the owner at ${operation} who was so before a ${end}`,
    fault: afterwards(end, operation),
    fails: ['receiver.fenced-anew'],
  })),
])
