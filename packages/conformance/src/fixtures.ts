import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import {
  type BrokerAdapter,
  type DeadLetterInfo,
  type Destination,
  type OutboundMessage,
  plainSettings as undeclared,
  type QueueSettings,
  type Source,
  type Target,
} from '@mq/core/adapter'

/**
 * What core hands to an adapter, for tests that call one directly: each has a plain value for every field, of which a test names those that it
 * is about.
 */

/** Settings of a durable queue without limits, order, priorities or a dead-letter queue. */
export const plainSettings: QueueSettings = { ...undeclared, maxRedeliveries: 20 }

/** A message of now: `{"a":1}` as JSON, with an id of its own. */
export function outbound(destination: Destination, over: Partial<OutboundMessage> = {}): OutboundMessage {
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

/** For `open`: consumes, up to 100 at a time, each leased for 30 s. */
export function source(target: Target, over: Partial<Source> = {}): Source {
  return {
    target,
    mode: 'consume',
    prefetch: 100,
    leaseMs: 30_000,
    ordered: false,
    after: undefined,
    ...over,
  }
}

/** For `deadLetter`: a handler of queue `q` rejected the message with a TypeError on its first attempt. */
export function failure(over: Partial<DeadLetterInfo> = {}): DeadLetterInfo {
  return {
    reason: 'rejected',
    queue: 'q',
    subscription: null,
    attempts: 1,
    firstFailedAt: new Date(1_700_000_000_123),
    lastFailedAt: new Date(1_700_000_001_456),
    error: { name: 'TypeError', message: 'nö: 漢\nand 😀', stack: 'at x\n'.repeat(800) },
    host: 'here',
    ...over,
  }
}

/** A signal that never aborts, and does not mind how many listen to it. */
export const live: AbortSignal = new AbortController().signal
setMaxListeners(0, live)

/** What a connected adapter has reported. */
export interface Reported {
  readonly lost: readonly unknown[]
  readonly blocked: readonly (string | null)[]
  /** Resolves with the cause when the connection is lost. */
  readonly gone: Promise<unknown>
}

/** Connects within 10 s, and notes what the adapter reports from then on. */
export async function connected(adapter: BrokerAdapter): Promise<Reported> {
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

/** Declares a queue, plain unless told otherwise; answers how it is addressed. */
export async function declare(
  adapter: BrokerAdapter,
  queue: string,
  over: Partial<QueueSettings> = {},
): Promise<{ queue: string }> {
  const settings = { ...plainSettings, ...over }
  await adapter.declare({ queue }, { settings, pattern: undefined, ifExists: 'take' })
  return { queue }
}

/** A name that no other test has. */
export function fresh(what = 'q'): string {
  return `${what}-${randomUUID().slice(0, 8)}`
}

/** Asks every 10 ms until the answer is true. Rejects when it is not by `ms`. */
export async function until(check: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`did not come true within ${ms} ms: ${String(check)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
