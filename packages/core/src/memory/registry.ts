import { systemClock, type Clock } from '../adapter/index.ts'
import { MemoryBroker } from './broker.ts'

const REGISTRY = Symbol.for('@mq/memory-brokers')

interface Registry {
  /** Brokers in the system's time, by url. */
  readonly shared: Map<string, MemoryBroker>
  /** Those in another time, which ends with its clock. */
  readonly clocked: WeakMap<Clock, Map<string, MemoryBroker>>
}

/** The broker of a url, shared by everything in this process that has the same clock, copies of this package included. */
export function sharedBroker(url: string, clock: Clock = systemClock): MemoryBroker {
  const holder = globalThis as { [REGISTRY]?: Registry }
  const registry = (holder[REGISTRY] ??= { shared: new Map(), clocked: new WeakMap() })
  let brokers = clock === systemClock ? registry.shared : registry.clocked.get(clock)
  if (brokers === undefined) {
    brokers = new Map()
    registry.clocked.set(clock, brokers)
  }
  let broker = brokers.get(url)
  if (broker === undefined) {
    broker = new MemoryBroker(clock)
    brokers.set(url, broker)
  }
  return broker
}
