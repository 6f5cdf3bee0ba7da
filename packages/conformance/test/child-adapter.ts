import { memoryAdapter } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'

/** For the processes that the suite starts: each has an in-memory broker of its own. */
export function createAdapter(): BrokerAdapter {
  return memoryAdapter()
}
