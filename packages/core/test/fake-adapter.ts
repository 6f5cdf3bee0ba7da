import {
  adapterErrorOf,
  ErrorCode,
  type BrokerAdapter,
  type Capabilities,
  type Clock,
  type ConnectionEvents,
  type DeclareTarget,
  type Declaration,
  type Delivery,
  type OutboundMessage,
  type PublishOutcome,
  type Receiver,
  type SettleOutcome,
  type Source,
} from '../src/adapter/index.ts'

const CAPABILITIES: Capabilities = {
  durable: true,
  priorityLevels: 256,
  maxDelayMs: 1_000_000,
  maxBodyBytes: 1_000_000,
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
}

export interface Settled {
  readonly kind: 'ack' | 'release' | 'retry' | 'deadLetter' | 'renew'
  /** One call: its ids, in order. */
  readonly ids: readonly string[]
  readonly delayMs?: number
  readonly reasons?: readonly string[]
}

export interface FakeReceiver {
  readonly source: Source
  readonly settled: Settled[]
  /** The `max` of each call. */
  readonly asked: number[]
  closed: boolean
  give(...deliveries: readonly Delivery[]): void
  /** Makes the call under way, or the next one, reject. */
  fail(error: unknown): void
  lose(...deliveries: readonly Delivery[]): void
}

export interface FakeAdapter extends BrokerAdapter {
  capabilities: Capabilities
  /** By which `receive` waits; without one, until it is woken. */
  clock: Clock | null
  /** One entry per connection made: what core listens with. */
  readonly connections: ConnectionEvents[]
  readonly published: (readonly OutboundMessage[])[]
  readonly declared: { readonly target: DeclareTarget; readonly declaration: Declaration }[]
  readonly receivers: FakeReceiver[]
  disconnects: number
  /** Replace these to misbehave. */
  onConnect: (signal: AbortSignal) => Promise<void>
  onPublish: (batch: readonly OutboundMessage[], signal: AbortSignal) => Promise<readonly PublishOutcome[]>
  onSettle: (kind: Settled['kind'], delivery: Delivery) => SettleOutcome | Promise<SettleOutcome>
  onOpen: (source: Source) => Promise<void>
  onDeclare: (target: DeclareTarget, declaration: Declaration) => Promise<object>
  onPing: () => Promise<void>
  onClose: () => Promise<void>
}

/** An adapter that does as it is told, and remembers what it was asked. */
export function fakeAdapter(capabilities: Partial<Capabilities> = {}): FakeAdapter {
  const fake: FakeAdapter = {
    broker: 'memory',
    capabilities: { ...CAPABILITIES, ...capabilities },
    clock: null,
    connections: [],
    published: [],
    declared: [],
    receivers: [],
    disconnects: 0,
    onConnect: () => Promise.resolve(),
    onPublish: async (batch) => batch.map(() => ({ ok: true })),
    onSettle: () => 'settled',
    onOpen: () => Promise.resolve(),
    onDeclare: async () => ({}),
    onPing: () => Promise.resolve(),
    onClose: () => Promise.resolve(),
    connect: async (on, signal) => {
      fake.connections.push(on)
      await fake.onConnect(signal)
    },
    disconnect: async () => {
      fake.disconnects++
    },
    ping: () => fake.onPing(),
    publish: (batch, signal) => {
      fake.published.push(batch)
      return fake.onPublish(batch, signal)
    },
    open: async (source, lost) => {
      await fake.onOpen(source)
      const { receiver, control } = fakeReceiver(fake, source, lost)
      fake.receivers.push(control)
      return receiver
    },
    openReplies: async () => {
      const source: Source = {
        target: { queue: 'replies' },
        mode: 'consume',
        prefetch: 100,
        leaseMs: 1000,
        ordered: false,
        after: undefined,
      }
      const { receiver, control } = fakeReceiver(fake, source, () => undefined)
      fake.receivers.push(control)
      return { address: 'reply:here', receiver }
    },
    declare: async (target, declaration) => {
      fake.declared.push({ target, declaration })
      return fake.onDeclare(target, declaration)
    },
    remove: () => Promise.resolve(),
    purge: () => Promise.resolve(3),
    size: () => Promise.resolve(7),
    classify: (error) => adapterErrorOf(error) ?? { code: ErrorCode.UNKNOWN, retryable: true },
  }
  return fake
}

function fakeReceiver(
  fake: FakeAdapter,
  source: Source,
  lost: (deliveries: readonly Delivery[], cause: unknown) => void,
): { receiver: Receiver; control: FakeReceiver } {
  const waiting: Delivery[] = []
  let failure: { error: unknown } | null = null
  let wake: () => void = () => undefined
  const control: FakeReceiver = {
    source,
    settled: [],
    asked: [],
    closed: false,
    give: (...deliveries) => {
      waiting.push(...deliveries)
      wake()
    },
    fail: (error) => {
      failure = { error }
      wake()
    },
    lose: (...deliveries) => lost(deliveries, 'taken'),
  }
  const settle = async (deliveries: readonly Delivery[], call: Omit<Settled, 'ids'>) => {
    control.settled.push({ ...call, ids: deliveries.map(({ id }) => id) })
    return Promise.all(deliveries.map(async (delivery) => fake.onSettle(call.kind, delivery)))
  }
  const receiver: Receiver = {
    receive: async (max, signal, waitMs) => {
      control.asked.push(max)
      let late = waitMs === 0
      const timer = fake.clock?.setTimeout(() => {
        late = true
        wake()
      }, waitMs ?? 1000)
      while (waiting.length === 0 && failure === null && !signal.aborted && !late) {
        await new Promise<void>((resolve) => {
          wake = () => {
            signal.removeEventListener('abort', wake)
            resolve()
          }
          signal.addEventListener('abort', wake, { once: true })
        })
      }
      fake.clock?.clearTimeout(timer)
      if (failure !== null) {
        const { error } = failure
        failure = null
        throw error
      }
      return waiting.splice(0, max)
    },
    ack: (deliveries) => settle(deliveries, { kind: 'ack' }),
    release: (deliveries) => settle(deliveries, { kind: 'release' }),
    retry: (deliveries, delayMs) => settle(deliveries, { kind: 'retry', delayMs }),
    deadLetter: (deliveries, failures) =>
      settle(deliveries, { kind: 'deadLetter', reasons: failures.map(({ reason }) => reason) }),
    renew: (deliveries) => settle(deliveries, { kind: 'renew' }),
    close: async () => {
      control.closed = true
      await fake.onClose()
    },
  }
  return { receiver, control }
}

export function delivery(id: string, changed: Partial<Delivery> = {}): Delivery {
  return {
    id,
    body: new TextEncoder().encode(JSON.stringify(id)),
    headers: {},
    timestamp: 1,
    contentType: 'application/json',
    contentEncoding: undefined,
    correlationId: undefined,
    replyTo: undefined,
    routingKey: undefined,
    key: undefined,
    deduplicationId: undefined,
    priority: 0,
    expiresAt: undefined,
    deliveryCount: 0,
    redeliveries: 0,
    firstFailedAt: undefined,
    redriven: false,
    deadLetter: undefined,
    position: undefined,
    raw: undefined,
    ...changed,
  }
}
