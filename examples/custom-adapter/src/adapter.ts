import { randomUUID } from 'node:crypto'
import {
  AdapterError,
  adapterErrorOf,
  ErrorCode,
  matchesPattern,
  type BrokerAdapter,
  type Capabilities,
  type Declaration,
  type DeclareTarget,
  type Delivery,
  type OutboundMessage,
  type Receiver,
  type SettleOutcome,
  type Source,
  type Target,
} from '@mq/core/adapter'

/** One stored message: what a delivery shows, and who holds it. */
interface Stored {
  readonly seq: number
  readonly message: OutboundMessage
  deliveryCount: number
  redeliveries: number
  firstFailedAt: number | undefined
  deadLetter: Delivery['deadLetter']
  /** ms since the epoch; not handed out before. */
  readyAt: number
  holder: symbol | null
}

interface Queue {
  readonly declaration: Declaration
  readonly messages: Map<number, Stored>
}

/** The "server": arrays in memory, shared by every connection to one `Server`. */
export class Server {
  readonly queues = new Map<string, Queue>()
  readonly topics = new Map<string, Set<string>>()
  readonly wakeUps = new Set<() => void>()
  seq = 0

  wake(): void {
    for (const wakeUp of [...this.wakeUps]) wakeUp()
  }
}

const capabilities: Capabilities = Object.freeze({
  durable: false,
  priorityLevels: 1,
  maxDelayMs: 2 ** 31 - 1,
  maxBodyBytes: 64 * 1024 * 1024,
  // Deliveries live as long as their connection: core runs the clock of received messages, and `renew` has nothing to do.
  ownership: 'connection',
  redeliveries: 'count',
  // What waits for a retry on an ordered queue keeps its place, and its key waits behind it.
  retryKeepsOrder: true,
  settle: 'confirmed',
  size: 'ready',
  purgeDelayed: true,
  purgeLiveSubscription: true,
  dedupe: 'consumer',
  limits: 'none',
  exclusive: false,
  autoDelete: false,
  browseHides: false,
})

const nameOf = (target: Target) =>
  'queue' in target ? target.queue : `${target.topic}/${target.subscription}`

/** A connection to a `Server`. */
export function arrayAdapter(server: Server): BrokerAdapter {
  const open = new Set<Receiver>()
  let connected = false

  const check = (): void => {
    if (!connected) throw new AdapterError(ErrorCode.CONNECTION, 'not connected')
  }

  const queueOf = (name: string): Queue => {
    check()
    const queue = server.queues.get(name)
    if (queue === undefined) throw new AdapterError(ErrorCode.QUEUE_NOT_FOUND, `there is no queue ${name}`)
    return queue
  }

  const store = (queue: Queue, message: OutboundMessage, more: Partial<Stored> = {}): void => {
    const seq = ++server.seq
    const readyAt = Date.now() + message.delayMs
    queue.messages.set(seq, {
      seq,
      message,
      deliveryCount: message.deliveryCount,
      redeliveries: 0,
      firstFailedAt: undefined,
      deadLetter: undefined,
      readyAt,
      holder: null,
      ...more,
    })
    wakeAt(more.readyAt ?? readyAt)
  }

  const wakeAt = (time: number): void => {
    if (time > Date.now()) setTimeout(() => server.wake(), time - Date.now()).unref()
    else server.wake()
  }

  const destinations = ({ destination, routingKey = '' }: OutboundMessage): string[] => {
    if ('reply' in destination) return server.queues.has(destination.reply) ? [destination.reply] : []
    if ('queue' in destination || 'subscription' in destination) return [nameOf(destination)]
    const subscriptions = server.topics.get(destination.topic) ?? []
    return [...subscriptions].filter((name) =>
      matchesPattern(queueOf(name).declaration.pattern ?? '#', routingKey),
    )
  }

  const declare = async (
    target: DeclareTarget,
    declaration: Declaration,
  ): Promise<Declaration['settings']> => {
    check()
    if ('topic' in target && !server.topics.has(target.topic)) server.topics.set(target.topic, new Set())
    if ('topic' in target && !('subscription' in target)) return declaration.settings
    const name = nameOf(target)
    const existing = server.queues.get(name)?.declaration
    const { arguments: others, expires } = declaration.settings
    const [unknown] = [...Object.keys(others), ...(expires === null ? [] : ['x-expires'])]
    if (unknown !== undefined)
      throw new AdapterError(ErrorCode.UNSUPPORTED, `this broker knows no queue argument ${unknown}`)
    if (existing === undefined) server.queues.set(name, { declaration, messages: new Map() })
    else if (declaration.ifExists === 'compare') refuseDifferences(name, existing, declaration)
    if ('topic' in target) server.topics.get(target.topic)?.add(name)
    return (existing ?? declaration).settings
  }

  const receiver = (source: Source, queue: Queue): Receiver => {
    const holder = Symbol('receiver')
    const held = new Map<Delivery, Stored>()
    let position = Number(source.after ?? 0)
    if (source.after === '' || Number.isNaN(position))
      throw new AdapterError(ErrorCode.VALIDATION, `${source.after} is no cursor that list answered`)
    let closed = false

    /** The oldest that may go out. On an ordered queue a key with a message under way waits. */
    const take = (max: number): Delivery[] => {
      const taken: Delivery[] = []
      const busy = new Set<string | undefined>()
      for (const stored of queue.messages.values()) {
        const { key } = stored.message
        const waits = stored.holder !== null || stored.readyAt > Date.now()
        if (source.ordered && key !== undefined && (busy.has(key) || waits)) {
          busy.add(key)
          continue
        }
        if (waits || taken.length >= max) continue
        // Core gives up on what expires, but for dead letters, which have nowhere to go.
        if (stored.deadLetter !== undefined && (stored.message.expiresAt ?? Infinity) <= Date.now()) {
          queue.messages.delete(stored.seq)
          continue
        }
        if (source.mode === 'browse') {
          if (stored.seq <= position) continue
          position = stored.seq
        } else {
          stored.holder = holder
          if (source.ordered) busy.add(key)
        }
        const delivery = toDelivery(stored)
        held.set(delivery, stored)
        taken.push(delivery)
      }
      return taken
    }

    /** Applies a settlement to what is still ours; anything else answers `lost`. */
    const settle = (
      deliveries: readonly Delivery[],
      apply: (stored: Stored, index: number) => void,
    ): Promise<SettleOutcome[]> => {
      const outcomes = deliveries.map((delivery, index): SettleOutcome => {
        const stored = held.get(delivery)
        held.delete(delivery)
        const mine = source.mode === 'browse' ? stored?.holder === null : stored?.holder === holder
        if (stored === undefined || !mine || !queue.messages.has(stored.seq)) return 'lost'
        apply(stored, index)
        return 'settled'
      })
      server.wake()
      return Promise.resolve(outcomes)
    }

    const giveBack = (stored: Stored): void => {
      stored.holder = null
      stored.redeliveries++
    }

    const self: Receiver = {
      receive(max, signal, waitMs = 1000) {
        return new Promise((resolve, reject) => {
          const look = (last: boolean) => {
            if (closed)
              return done(() => reject(new AdapterError(ErrorCode.CONNECTION, 'the receiver is closed')))
            if (!server.queues.has(nameOf(source.target))) {
              return done(() => reject(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'the queue was deleted')))
            }
            const deliveries = take(max)
            if (deliveries.length > 0 || last) done(() => resolve(deliveries))
          }
          const wakeUp = () => look(false)
          const giveUp = () => done(() => resolve([]))
          const done = (settleCall: () => void) => {
            clearTimeout(timer)
            server.wakeUps.delete(wakeUp)
            signal.removeEventListener('abort', giveUp)
            settleCall()
          }
          const timer = setTimeout(() => look(true), waitMs)
          server.wakeUps.add(wakeUp)
          signal.addEventListener('abort', giveUp)
          if (signal.aborted) giveUp()
          else look(waitMs === 0 || source.mode === 'browse')
        })
      },
      ack: (deliveries) => settle(deliveries, (stored) => queue.messages.delete(stored.seq)),
      release: (deliveries) => settle(deliveries, giveBack),
      retry: (deliveries, delayMs) =>
        settle(deliveries, (stored) => {
          const { seq, message, deliveryCount, firstFailedAt = Date.now() } = stored
          const readyAt = Date.now() + delayMs
          const failed = { deliveryCount: deliveryCount + 1, firstFailedAt, readyAt }
          if (source.ordered) {
            Object.assign(stored, failed, { redeliveries: 0, holder: null })
            wakeAt(readyAt)
          } else {
            queue.messages.delete(seq)
            store(queue, message, failed)
          }
        }),
      async deadLetter(deliveries, failures, target) {
        const dead = queueOf(nameOf(target))
        const { messageTtl } = dead.declaration.settings
        const expiresAt = messageTtl === null ? undefined : Date.now() + messageTtl
        return settle(deliveries, ({ seq, message }, index) => {
          queue.messages.delete(seq)
          const copy = { ...message, delayMs: 0, expiresAt, deliveryCount: 0 }
          store(dead, copy, { deadLetter: failures[index] })
        })
      },
      renew: (deliveries) => Promise.resolve(deliveries.map((each) => (held.has(each) ? 'settled' : 'lost'))),
      close() {
        closed = true
        open.delete(self)
        for (const stored of held.values()) if (stored.holder === holder) giveBack(stored)
        held.clear()
        server.wake()
        return Promise.resolve()
      },
    }
    open.add(self)
    return self
  }

  return {
    broker: 'array',
    capabilities,
    connect: (_on, signal) => {
      signal.throwIfAborted()
      connected = true
      return Promise.resolve()
    },
    disconnect: async (signal) => {
      connected = false
      for (const each of [...open]) await each.close(signal)
    },
    ping: async () => check(),
    publish: (batch, signal) =>
      Promise.resolve(
        batch.map((message) => {
          try {
            signal.throwIfAborted()
            check()
            for (const name of destinations(message)) store(queueOf(name), message)
            return { ok: true as const }
          } catch (error) {
            return { ok: false as const, error, certainty: 'not-stored' as const }
          }
        }),
      ),
    open: async (source) => receiver(source, queueOf(nameOf(source.target))),
    async openReplies() {
      const address = `array:${randomUUID()}`
      const declaration = {
        settings: { arguments: {}, expires: null } as Declaration['settings'],
        pattern: undefined,
        ifExists: 'take' as const,
      }
      await declare({ queue: address }, declaration)
      const target = { queue: address }
      const source = {
        target,
        mode: 'consume',
        prefetch: 1000,
        leaseMs: 60_000,
        ordered: false,
        after: undefined,
      } as const
      return { address, receiver: receiver(source, queueOf(address)) }
    },
    declare,
    remove(target) {
      if ('queue' in target || 'subscription' in target) {
        server.queues.delete(nameOf(target))
        if ('topic' in target) server.topics.get(target.topic)?.delete(nameOf(target))
      } else {
        for (const name of server.topics.get(target.topic) ?? []) server.queues.delete(name)
        server.topics.delete(target.topic)
      }
      server.wake()
      return Promise.resolve()
    },
    async purge(target) {
      const { messages } = queueOf(nameOf(target))
      const free = [...messages.values()].filter(({ holder }) => holder === null)
      for (const { seq } of free) messages.delete(seq)
      return free.length
    },
    async size(target) {
      const now = Date.now()
      const ready = ({ holder, readyAt, message }: Stored) =>
        holder === null && readyAt <= now && (message.expiresAt === undefined || message.expiresAt > now)
      return [...queueOf(nameOf(target)).messages.values()].filter(ready).length
    },
    classify: (error) => adapterErrorOf(error) ?? { code: ErrorCode.UNKNOWN, retryable: true },
  }
}

function refuseDifferences(name: string, existing: Declaration, wanted: Declaration): void {
  const before = { ...existing.settings, pattern: existing.pattern }
  const after = { ...wanted.settings, pattern: wanted.pattern }
  const differences = (Object.keys(after) as (keyof typeof after)[])
    .filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]))
    .map((field) => ({ field, existing: before[field], requested: after[field] }))
  if (differences.length === 0) return
  const list = differences.map(({ field, ...values }) => `${field} ${JSON.stringify(values)}`).join('; ')
  throw new AdapterError(ErrorCode.QUEUE_CONFLICT, `${name} exists: ${list}`, { differences })
}

function toDelivery(stored: Stored): Delivery {
  const { destination: _destination, delayMs: _delayMs, sendToken: _sendToken, ...fields } = stored.message
  const { deliveryCount, redeliveries, firstFailedAt, deadLetter } = stored
  return {
    ...fields,
    headers: { ...fields.headers },
    deliveryCount,
    redeliveries,
    firstFailedAt,
    deadLetter,
    position: String(stored.seq),
    raw: stored,
  }
}
