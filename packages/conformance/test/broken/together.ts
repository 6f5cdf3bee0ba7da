import type { Delivery } from '@mq/core/adapter'
import { keyOf, onReceiver, sharedMap, type Broken, type Run } from './broken.ts'

/** How many calls about one place are under way, over all connections. */
function underWay({ shared }: Run, name: string) {
  const calls = sharedMap<number>(shared, name)
  return async <T>(place: object, work: (alone: boolean) => Promise<T>): Promise<T> => {
    const key = keyOf(place)
    const before = calls.get(key) ?? 0
    calls.set(key, before + 1)
    // Others come in between here.
    await new Promise<void>((resolve) => setImmediate(resolve))
    try {
      return await work(before === 0)
    } finally {
      calls.set(key, (calls.get(key) ?? 1) - 1)
    }
  }
}

/** Faults that show while several connections are at work alone. */
export const together: readonly Broken[] = [
  {
    name: 'loses what is published amid a purge',
    fault(inner, run) {
      const purging = sharedMap<boolean>(run.shared, 'purging')
      return {
        ...inner,
        async purge(target) {
          purging.set(keyOf(target), true)
          await new Promise<void>((resolve) => setImmediate(resolve))
          return inner.purge(target).finally(() => purging.set(keyOf(target), false))
        },
        publish: async (batch, signal) =>
          purging.get(keyOf(batch[0]?.destination ?? {})) === true
            ? batch.map(() => ({ ok: true }))
            : inner.publish(batch, signal),
      }
    },
    fails: ['contract.concurrent-purge'],
  },
  {
    name: 'loses what is released while somebody else does it',
    fault(inner, run) {
      const during = underWay(run, 'releasing')
      return onReceiver(inner, (receiver, { target }) => ({
        release: (deliveries: readonly Delivery[]) =>
          during(target, (alone) => (alone ? receiver.release(deliveries) : receiver.ack(deliveries))),
      }))
    },
    fails: ['contract.concurrent'],
  },
]
