import { createMemoryBroker, memoryAdapter, type Clock } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'

const YEAR_MS = 365 * 24 * 60 * 60 * 1000

/**
 * An in-memory broker of one's own on `clock`, whose consumers wake for messages only. The plain one lets them look around every second,
 * which makes virtual months long.
 */
export function quietMemory(clock: Clock): BrokerAdapter {
  const inner = memoryAdapter({ broker: createMemoryBroker({ clock }) })
  return {
    ...inner,
    async open(source, lost) {
      const receiver = await inner.open(source, lost)
      return {
        ...receiver,
        receive: (max, signal, waitMs = YEAR_MS) => receiver.receive(max, signal, waitMs),
      }
    },
  }
}
