import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type {
  BrokerAdapter,
  DeadLetterInfo,
  Destination,
  OutboundMessage,
  QueueSettings,
  Source,
} from '@mq/core/adapter'

export const live = new AbortController().signal
setMaxListeners(0, live)

export const settings: QueueSettings = {
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
}

export function message(destination: Destination, over: Partial<OutboundMessage> = {}): OutboundMessage {
  return {
    destination,
    id: randomUUID(),
    body: Buffer.from('{"a":1}'),
    headers: {},
    timestamp: Date.now(),
    contentType: 'application/json',
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

export function source(queue: string, over: Partial<Source> = {}): Source {
  return {
    target: { queue },
    mode: 'consume',
    prefetch: 100,
    leaseMs: 30_000,
    ordered: false,
    after: undefined,
    ...over,
  }
}

export const failure: DeadLetterInfo = {
  reason: 'rejected',
  queue: 'q',
  subscription: null,
  attempts: 1,
  firstFailedAt: new Date(1_700_000_000_000),
  lastFailedAt: new Date(1_700_000_001_000),
  error: { name: 'TypeError', message: 'no', stack: 'at x' },
  host: 'here',
}

/** A name of its own for each test. */
export function fresh(what = 'q'): string {
  return `${what}-${randomUUID().slice(0, 8)}`
}

/** Connects, and remembers what the adapter reports. */
export async function connected(
  adapter: BrokerAdapter,
): Promise<{ lost: unknown[]; blocked: (string | null)[]; gone: Promise<unknown> }> {
  const lost: unknown[] = []
  const blocked: (string | null)[] = []
  let resolve: (cause: unknown) => void
  const gone = new Promise<unknown>((r) => (resolve = r))
  await adapter.connect(
    {
      lost: (cause) => {
        lost.push(cause)
        resolve(cause)
      },
      blocked: (reason) => blocked.push(reason),
    },
    AbortSignal.timeout(10_000),
  )
  return { lost, blocked, gone }
}

export async function declare(
  adapter: BrokerAdapter,
  queue: string,
  over: Partial<QueueSettings> = {},
): Promise<{ queue: string }> {
  await adapter.declare(
    { queue },
    { settings: { ...settings, ...over }, pattern: undefined, ifExists: 'take' },
  )
  return { queue }
}

/** Asks until the answer is true; fails after the deadline. */
export async function until(check: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  for (;;) {
    if (await check()) return
    if (performance.now() > end) throw new Error('the condition did not come true')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
