import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { MessageQueue } from '@mq/core'
import type {
  BrokerAdapter,
  Declaration,
  Delivery,
  Destination,
  OutboundMessage,
  Receiver,
  Target,
} from '@mq/core/adapter'
import { kafkaAdapter, type KafkaOptions } from '@mq/kafka'
import { testOptions } from './harness.ts'

/** A name of its own for each test. */
export function fresh(what = 'q'): string {
  return `${what}-${randomUUID().slice(0, 8)}`
}

/** Asks until the answer is true; fails after the deadline. */
export async function until(check: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`the condition did not come true: ${String(check)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Resolves when that much of the clock has passed: the pace of what a test does to its broker. */
export async function reached(at: number): Promise<void> {
  await until(() => performance.now() >= at)
}

/** Connected queues, which `closeAll` ends whatever they do. */
export function connections(url: () => string): {
  connect: () => Promise<MessageQueue>
  closeAll: () => Promise<unknown>
} {
  const open: MessageQueue[] = []
  return {
    async connect() {
      const queue = new MessageQueue(kafkaAdapter(testOptions(url())))
      queue.on('error', () => undefined)
      open.push(queue)
      await queue.connect()
      return queue
    },
    closeAll: () => Promise.all(open.splice(0).map((queue) => queue.disconnect({ timeoutMs: 1 }))),
  }
}

/** Connected adapters, which `closeAll` ends whatever they do. */
export function adapters(url: () => string): {
  connect: (options?: KafkaOptions) => Promise<BrokerAdapter>
  closeAll: () => Promise<unknown>
} {
  const open: BrokerAdapter[] = []
  return {
    async connect(options = {}) {
      const adapter = kafkaAdapter(testOptions(url(), options))
      open.push(adapter)
      await adapter.connect({ lost: () => undefined, blocked: () => undefined }, AbortSignal.timeout(10_000))
      return adapter
    },
    closeAll: () =>
      Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(1_000)))),
  }
}

export const live = new AbortController().signal
setMaxListeners(0, live)

export const declaration: Declaration = {
  settings: {
    durable: true,
    autoDelete: false,
    exclusive: false,
    maxLength: null,
    maxLengthBytes: null,
    overflow: 'reject',
    messageTtl: null,
    expires: null,
    maxPriority: null,
    ordered: false,
    partitions: 1,
    replicationFactor: 1,
    deadLetterQueue: null,
    maxRedeliveries: 20,
    deduplicationWindowMs: null,
    arguments: {},
  },
  pattern: undefined,
  ifExists: 'take',
}

export function message(destination: Destination, over: Partial<OutboundMessage> = {}): OutboundMessage {
  return {
    destination,
    id: randomUUID(),
    body: Buffer.from('x'),
    headers: {},
    timestamp: Date.now(),
    contentType: 'text/plain',
    contentEncoding: undefined,
    correlationId: undefined,
    replyTo: undefined,
    routingKey: undefined,
    key: undefined,
    deduplicationId: undefined,
    priority: 0,
    delayMs: 0,
    expiresAt: undefined,
    deliveryCount: 0,
    redriven: false,
    sendToken: randomUUID(),
    ...over,
  }
}

export function consuming(adapter: BrokerAdapter, target: Target): Promise<Receiver> {
  return adapter.open(
    { target, mode: 'consume', prefetch: 100, leaseMs: 30_000, ordered: false, after: undefined },
    () => undefined,
  )
}

/** Exactly `n`, however many calls it takes. */
export async function take(receiver: Receiver, n: number): Promise<Delivery[]> {
  const got: Delivery[] = []
  await until(async () => {
    got.push(...(await receiver.receive(n - got.length, live)))
    return got.length === n
  })
  return got
}
