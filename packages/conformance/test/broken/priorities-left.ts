import type { BrokerAdapter, Delivery, Receiver, Source } from '@mq/core/adapter'
import { copyOf, keyOf, onDelivery, sharedMap, sharedSet, type Broken } from './broken.ts'

/** What is left comes as it was, but for its place. */
const left =
  (
    change: (
      inner: BrokerAdapter,
      demote: (source: Source, held: readonly Delivery[]) => Promise<void>,
      prioritised: Set<string>,
    ) => BrokerAdapter,
  ): Broken['fault'] =>
  (inner, { shared }) => {
    const were = sharedMap<Delivery>(shared, 'were')
    const prioritised = sharedSet(shared, 'prioritised')
    const demote = async (source: Source, held: readonly Delivery[]) => {
      const wanted = new Map(held.filter(({ priority }) => priority > 0).map((each) => [each.id, each]))
      if (wanted.size === 0) return
      const ghost = await inner.open({ ...source, mode: 'pull' }, () => undefined)
      const all = await ghost.receive(1000, new AbortController().signal, 0)
      const lost = all.filter(({ id }) => wanted.has(id))
      if (lost.length > 0) {
        for (const { id } of lost) were.set(id, wanted.get(id) as Delivery)
        const { target } = source
        await inner.publish(
          lost.map((delivery) => ({
            ...copyOf(delivery),
            destination: target,
            expiresAt: delivery.expiresAt,
            deliveryCount: delivery.deliveryCount,
          })),
          new AbortController().signal,
        )
        await ghost.ack(lost)
      }
      await ghost.release(all.filter((each) => !lost.includes(each)))
      await ghost.close(new AbortController().signal)
    }
    const shown = onDelivery(inner, (delivery) => {
      const before = were.get(delivery.id)
      return before === undefined ? delivery : { ...delivery, ...shownAs(before, delivery) }
    })
    return {
      ...change(shown, demote, prioritised),
      declare(target, declaration) {
        if (declaration.settings.maxPriority !== null) prioritised.add(keyOf(target))
        return inner.declare(target, declaration)
      },
    }
  }

function shownAs(before: Delivery, now: Delivery): Partial<Delivery> {
  const { priority, deduplicationId, redriven, deadLetter } = before
  const firstFailedAt = before.firstFailedAt ?? now.firstFailedAt
  return {
    priority,
    deduplicationId,
    redriven,
    deadLetter,
    firstFailedAt,
    redeliveries: now.redeliveries + 1,
  }
}

/** Faults of priorities that show in what nobody settled. */
export const prioritiesLeft: readonly Broken[] = [
  {
    name: 'forgets the priority of what a receiver left',
    fault: left((inner, demote, prioritised) => ({
      ...inner,
      async open(source, lost) {
        const receiver = await inner.open(source, lost)
        if (source.mode === 'browse' || !prioritised.has(keyOf(source.target))) return receiver
        const held = new Set<Delivery>()
        const without =
          <T extends readonly unknown[], R>(settle: (deliveries: readonly Delivery[], ...rest: T) => R) =>
          (deliveries: readonly Delivery[], ...rest: T): R => {
            for (const each of deliveries) held.delete(each)
            return settle(deliveries, ...rest)
          }
        const changed: Receiver = {
          ...receiver,
          async receive(max, signal, waitMs) {
            const deliveries = await receiver.receive(max, signal, waitMs)
            for (const each of deliveries) held.add(each)
            return deliveries
          },
          ack: without(receiver.ack),
          release: without(receiver.release),
          retry: without(receiver.retry),
          deadLetter: without(receiver.deadLetter),
          async close(signal) {
            await receiver.close(signal)
            await demote(source, [...held])
            held.clear()
          },
        }
        return changed
      },
    })),
    fails: ['extras.priority-left'],
  },
  {
    name: 'forgets the priority of what was held too long',
    fault: left((inner, demote, prioritised) => ({
      ...inner,
      open: (source, lost) =>
        inner.open(source, (deliveries, cause) => {
          lost(deliveries, cause)
          if (prioritised.has(keyOf(source.target))) void demote(source, deliveries).catch(() => undefined)
        }),
    })),
    fails: ['extras.priority-left'],
  },
]
