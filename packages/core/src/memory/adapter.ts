import { randomUUID } from 'node:crypto'
import {
  adapterErrorOf,
  ErrorCode,
  type BrokerAdapter,
  type Capabilities,
  type Source,
} from '../adapter/index.ts'
import { Connection } from './connection.ts'
import { brokerOf, type MemoryAdapterOptions } from './options.ts'
import { publish } from './publisher.ts'
import { openBrowse } from './browser.ts'
import { openReceiver } from './receiver.ts'
import { checkOwner, declare } from './topology.ts'

const DAY_MS = 24 * 60 * 60 * 1000

const CAPABILITIES: Capabilities = Object.freeze({
  durable: false,
  priorityLevels: 256,
  maxDelayMs: 365 * DAY_MS,
  maxBodyBytes: 2 ** 31 - 1,
  ownership: 'lease',
  redeliveries: 'count',
  retryKeepsOrder: true,
  settle: 'confirmed',
  size: 'ready',
  purgeDelayed: true,
  purgeLiveSubscription: true,
  dedupe: 'broker',
  limits: 'exact',
  exclusive: true,
  autoDelete: true,
  browseHides: false,
})

/** A connection to an in-memory broker. Messages live as long as the process. */
export function memoryAdapter(options: MemoryAdapterOptions = {}): BrokerAdapter {
  const broker = brokerOf(options)
  const connection = new Connection()

  const replies = async () => {
    connection.check()
    const address = `memory-reply:${randomUUID()}`
    const store = broker.addReplies(address)
    connection.onClose(() => broker.removeReplies(address))
    const target = { queue: address }
    const source: Source = {
      target,
      mode: 'consume',
      prefetch: 1000,
      leaseMs: DAY_MS,
      ordered: false,
      after: undefined,
    }
    return { address, receiver: openReceiver(broker, connection, store, source, () => undefined) }
  }

  return {
    broker: 'memory',
    capabilities: CAPABILITIES,
    connect: async (_on, signal) => {
      signal.throwIfAborted()
      connection.open()
    },
    disconnect: (signal) => connection.close(signal),
    ping: async () => connection.check(),
    publish: (batch, signal) => Promise.resolve(publish(broker, connection, batch, signal)),
    open: async (source, lost) => {
      connection.check()
      const store = broker.get(source.target)
      checkOwner(store, connection)
      return source.mode === 'browse'
        ? openBrowse(connection, store, source)
        : openReceiver(broker, connection, store, source, lost)
    },
    openReplies: replies,
    declare: async (target, declaration) => {
      connection.check()
      return declare(broker, connection, target, declaration)
    },
    remove: async (target) => {
      connection.check()
      broker.remove(target)
    },
    purge: async (target) => {
      connection.check()
      return broker.get(target).purge()
    },
    size: async (target) => {
      connection.check()
      return broker.get(target).size
    },
    classify: (error) => adapterErrorOf(error) ?? { code: ErrorCode.UNKNOWN, retryable: true },
  }
}
