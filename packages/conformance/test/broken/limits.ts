import type { Delivery } from '@mq/core/adapter'
import { onReceiver, type Broken } from './broken.ts'
import { counting } from './left-behind.ts'

type Left = (target: object, n: number) => void

/** Counts for ever what comes back one way. */
const kept = (
  change: (left: Left) => (inner: Parameters<Broken['fault']>[0]) => ReturnType<Broken['fault']>,
) =>
  function (inner: Parameters<Broken['fault']>[0], run: Parameters<Broken['fault']>[1]) {
    return counting(run, inner, (left) => change(left)(inner))
  }

/** Faults of limits that show in what comes back, or in a queue of a kind. */
export const ofLimits: readonly Broken[] = [
  {
    name: 'counts twice what was retried with a delay',
    fault: kept(
      (left) => (inner) =>
        onReceiver(inner, (receiver, { target }) => ({
          retry(deliveries, delayMs) {
            if (delayMs > 0) left(target, deliveries.length)
            return receiver.retry(deliveries, delayMs)
          },
        })),
    ),
    fails: ['extras.limits-freed'],
  },
  {
    name: 'counts twice what a receiver left',
    fault: kept(
      (left) => (inner) =>
        onReceiver(inner, (receiver, { target, mode }) => {
          const held = new Set<Delivery>()
          const settled = (deliveries: readonly Delivery[]) => deliveries.forEach((each) => held.delete(each))
          return {
            async receive(max, signal, waitMs) {
              const deliveries = await receiver.receive(max, signal, waitMs)
              if (mode !== 'browse') for (const delivery of deliveries) held.add(delivery)
              return deliveries
            },
            ack: (deliveries) => (settled(deliveries), receiver.ack(deliveries)),
            release: (deliveries) => (settled(deliveries), receiver.release(deliveries)),
            retry: (deliveries, delayMs) => (settled(deliveries), receiver.retry(deliveries, delayMs)),
            deadLetter: (deliveries, failures, to) => (
              settled(deliveries),
              receiver.deadLetter(deliveries, failures, to)
            ),
            close(signal) {
              if (held.size > 0) left(target, held.size)
              held.clear()
              return receiver.close(signal)
            },
          }
        }),
    ),
    fails: ['extras.limits-freed', 'queues.made-again'],
  },
  ...(['ordered', 'maxPriority'] as const).map((kind): Broken => ({
    name: `keeps no limit of a queue with ${kind}`,
    fault(inner) {
      return {
        ...inner,
        async declare(target, declaration) {
          const { settings } = declaration
          const { overflow, maxLength, maxLengthBytes } = settings
          const limited = maxLength !== null || maxLengthBytes !== null
          if (!settings[kind] || !limited || overflow !== 'reject') return inner.declare(target, declaration)
          const unlimited = { ...settings, maxLength: null, maxLengthBytes: null }
          await inner.declare(target, { ...declaration, settings: unlimited })
          return settings
        },
      }
    },
    fails: ['extras.limits-kinds'],
  })),
]
