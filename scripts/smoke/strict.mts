// Compiled with the strictest settings, and with declarations: what a library of somebody else's exports must have a name.
import {
  messageHandler,
  MessageQueueFactory,
  MessageQueueManager,
  RetryError,
  type HandlerOptions,
  type SendOptions,
} from '@mq/core'

const manager = new MessageQueueManager({ broker: 'memory' })
const queue = MessageQueueFactory.createForTesting()

export const health = () => manager.healthCheck()
export const totals = () => manager.getGlobalStats()
export const stopped = () => manager.stop()
export const queueHealth = () => queue.healthCheck()
export const state = async () => (await queue.healthCheck()).connection
export const stats = () => queue.getStats()
export const times = () => queue.getStats().processingTime
export const handles = messageHandler('orders')
export const letters = queue.deadLetters('orders')
export const listed = () => letters.list()
export const moved = () => letters.redrive()
export const consumer = () => queue.consume('orders', () => undefined)
export const loop = queue.messages('orders')
export const asked = () => queue.request('orders', 1, { timeoutMs: 1 })

declare const maybe: undefined

export const taken = [
  () => queue.send({ queueName: 'orders', body: 1 }, { signal: maybe, queueName: maybe, routingKey: maybe }),
  () => queue.send('orders', 1, { key: maybe, ttl: maybe }),
  () => queue.request('orders', 1, { timeoutMs: 1, signal: maybe }),
  () => queue.receive('orders', { timeoutMs: maybe, leaseMs: maybe }),
  () => queue.messages('orders', { prefetch: maybe, leaseMs: maybe }),
  () =>
    queue.consume('orders', () => undefined, {
      concurrency: maybe,
      batch: maybe,
      retry: { maxRetries: maybe },
    }),
  () => queue.subscribe('events', 'audit', () => undefined, { pattern: maybe, timeoutMs: maybe }),
  () => queue.disconnect({ timeoutMs: maybe }),
  () => letters.list({ limit: maybe, filter: maybe, cursor: maybe }),
  () => letters.redrive({ to: maybe, ratePerSecond: maybe }),
  () => MessageQueueFactory.createForTesting({ logger: maybe, clock: maybe, tracer: maybe }),
  () => new MessageQueueManager({}, { logger: maybe }),
  () => new RetryError('later', { delayMs: maybe }),
]

export const options = (signal?: AbortSignal, timeoutMs?: number): [SendOptions, HandlerOptions] => [
  { signal },
  { timeoutMs },
]
