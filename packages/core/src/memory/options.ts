import type { Clock } from '../adapter/index.ts'
import { checkNames } from './check-names.ts'
import type { MemoryBroker } from './broker.ts'
import { sharedBroker } from './registry.ts'

export interface MemoryAdapterOptions {
  /** Adapters with one url (and one clock) share one broker in a process. Default `memory://default`. */
  url?: string | undefined
  /** A broker of one's own, in place of the url's. It has a clock already. */
  broker?: MemoryBroker | undefined
  /** Where the url's broker has its time from. Default: the system. */
  clock?: Clock | undefined
}

export function brokerOf(options: MemoryAdapterOptions): MemoryBroker {
  checkNames(options, ['url', 'broker', 'clock'], 'memoryAdapter')
  const { broker, url = 'memory://default', clock } = options
  return broker ?? sharedBroker(url, clock)
}
