import {
  type AdapterError,
  adapterErrorOf,
  type BrokerAdapter,
  type DeadLetterInfo,
  type Delivery,
  type OutboundMessage,
  plainSettings,
  type PublishOutcome,
  type QueueSettings,
  type Receiver,
  type Source,
  type Target,
} from '../../src/adapter/index.ts'
import { createMemoryBroker, memoryAdapter, type MemoryBroker } from '../../src/memory/index.ts'
import { VirtualClock } from './virtual-clock.ts'

export const NEVER = new AbortController().signal
export const Q: Target = { queue: 'q' }

export interface Bench {
  readonly clock: VirtualClock
  readonly broker: MemoryBroker
  readonly adapter: BrokerAdapter
}

/** One connected adapter on a broker of its own, in virtual time. */
export async function bench(): Promise<Bench> {
  const clock = new VirtualClock()
  const broker = createMemoryBroker({ clock })
  return { clock, broker, adapter: await connected(broker) }
}

export async function connected(broker: MemoryBroker): Promise<BrokerAdapter> {
  return connect(memoryAdapter({ broker }))
}

/** Connects, until `disconnectAll`. */
export async function connect(adapter: BrokerAdapter): Promise<BrokerAdapter> {
  await adapter.connect({ lost: () => undefined, blocked: () => undefined }, NEVER)
  open.add(adapter)
  return adapter
}

const open = new Set<BrokerAdapter>()

/** For `afterEach`. */
export async function disconnectAll(): Promise<void> {
  for (const adapter of open) await adapter.disconnect(NEVER)
  open.clear()
}

export function settings(changed: Partial<QueueSettings> = {}): QueueSettings {
  return { ...plainSettings, maxRedeliveries: 20, ...changed }
}

export async function declare(
  adapter: BrokerAdapter,
  changed: Partial<QueueSettings> = {},
  target: Target = Q,
): Promise<void> {
  const pattern = 'queue' in target ? undefined : '#'
  await adapter.declare(target, { settings: settings(changed), pattern, ifExists: 'compare' })
}

export function message(id: string, changed: Partial<OutboundMessage> = {}): OutboundMessage {
  return {
    destination: Q,
    id,
    body: new TextEncoder().encode(id),
    headers: {},
    timestamp: 1,
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
    sendToken: `token-${id}`,
    ...changed,
  }
}

/** Publishes one call; fails the test unless all of it was taken. */
export async function publish(adapter: BrokerAdapter, ...messages: OutboundMessage[]): Promise<void> {
  for (const outcome of await adapter.publish(messages, NEVER)) if (!outcome.ok) throw outcome.error
}

export function codeOf(outcome: PublishOutcome | undefined): string | undefined {
  return outcome?.ok === false ? adapterErrorOf(outcome.error)?.code : undefined
}

export async function rejection(promise: Promise<unknown>): Promise<AdapterError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => adapterErrorOf(reason),
  )
  if (error === null) throw new Error('it did not reject with an AdapterError')
  return error
}

export function consume(
  adapter: BrokerAdapter,
  changed: Partial<Source> = {},
  lost: (deliveries: readonly Delivery[], cause: unknown) => void = () => undefined,
): Promise<Receiver> {
  const source: Source = {
    target: Q,
    mode: 'consume',
    prefetch: 100,
    leaseMs: 30_000,
    ordered: false,
    after: undefined,
    ...changed,
  }
  return adapter.open(source, lost)
}

/** What is there now, without waiting. */
export function take(receiver: Receiver, max = 100): Promise<readonly Delivery[]> {
  return receiver.receive(max, NEVER, 0)
}

/** Takes and acknowledges everything, and answers the ids. */
export async function drain(adapter: BrokerAdapter, target: Target = Q): Promise<string[]> {
  const receiver = await consume(adapter, { target })
  const all: string[] = []
  for (let some = await take(receiver); some.length > 0; some = await take(receiver)) {
    all.push(...ids(some))
    await receiver.ack(some)
  }
  await receiver.close(NEVER)
  return all
}

export function ids(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ id }) => id)
}

export function only(deliveries: readonly Delivery[]): Delivery {
  const [delivery] = deliveries
  if (delivery === undefined || deliveries.length > 1)
    throw new Error(`one delivery was expected, not ${deliveries.length}`)
  return delivery
}

export function failure(changed: Partial<DeadLetterInfo> = {}): DeadLetterInfo {
  return {
    reason: 'rejected',
    queue: 'q',
    subscription: null,
    attempts: 1,
    firstFailedAt: new Date(1),
    lastFailedAt: new Date(2),
    error: { name: 'Error', message: 'no', stack: '' },
    host: 'here',
    ...changed,
  }
}
