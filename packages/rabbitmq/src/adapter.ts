import { setMaxListeners } from 'node:events'
import {
  AdapterError,
  type BrokerAdapter,
  type Capabilities,
  type ConnectionEvents,
  deadlineSignal,
  type Receiver,
  untilAborted,
} from '@mq/core/adapter'
import { atATime } from './at-a-time.ts'
import { openBrowser } from './browser.ts'
import { connectAny, type Connection } from './connection.ts'
import { MAX_DELAY_MS } from './delay-tiers.ts'
import { createDelays } from './delays.ts'
import { classify, refusedVirtualHost } from './errors.ts'
import { parseOptions, type RabbitmqOptions } from './options.ts'
import { createPublisher, type Publisher, storeText } from './publisher.ts'
import { openPull } from './pull.ts'
import { openReceiver, type ReceiverSetup } from './receiver.ts'
import { openReplies } from './replies.ts'
import { createTopology, type Topology } from './topology.ts'

/** One connection with all that is known over it. */
interface Session {
  readonly connection: Connection
  readonly topology: Topology
  readonly publisher: Publisher
  readonly receivers: Set<Receiver>
  /** Runs what makes or deletes. */
  readonly inTurn: ReturnType<typeof atATime>
}

/** Most queues that are made or deleted at once: each takes many calls, and of very many none would be done in time. */
const MOST_MAKING = 16

/** Measured with `pnpm bench rabbitmq`: of 25 to 500, what keeps client and server busy at once. */
const PACE = { publish: 32 } as const

/**
 * A broker adapter over RabbitMQ 3.10 or newer. Does no I/O; `new MessageQueue(rabbitmqAdapter({ url }))` connects.
 * Throws ConfigurationError for options that are wrong, naming each.
 */
export function rabbitmqAdapter(options: RabbitmqOptions = {}): BrokerAdapter {
  const resolved = parseOptions(options)
  let current: Session | null = null
  let attempts = 0
  /** Connected once: what refuses us now may be passing. */
  let before = false

  const capabilities: Capabilities = Object.freeze({
    durable: true,
    priorityLevels: 256,
    maxDelayMs: MAX_DELAY_MS,
    maxBodyBytes: resolved.maxBodyBytes,
    ownership: 'connection',
    redeliveries: resolved.queueType === 'quorum' ? 'count' : 'flag',
    retryKeepsOrder: false,
    settle: 'written',
    size: 'ready',
    purgeDelayed: false,
    purgeLiveSubscription: true,
    dedupe: 'consumer',
    limits: resolved.queueType === 'quorum' ? 'soft' : 'exact',
    exclusive: true,
    autoDelete: true,
    browseHides: true,
  })

  const session = (): Session => {
    if (current === null) throw new AdapterError('MQ_NOT_CONNECTED', 'not connected to RabbitMQ')
    return current
  }

  const begin = (connection: Connection): Session => {
    const delays = createDelays(connection)
    const publisher = createPublisher(connection, resolved, () => topology, delays)
    const record = (queue: string, text: string): Promise<void> =>
      storeText(publisher, queue, text, AbortSignal.timeout(resolved.rpcTimeoutMs))
    const topology = createTopology(connection, resolved, record, delays)
    return { connection, topology, publisher, receivers: new Set(), inTurn: atATime(MOST_MAKING) }
  }

  /** One round trip that takes part in administration. */
  const ping = (connection: Connection): Promise<unknown> =>
    connection.admin((channel) => channel.checkExchange('amq.direct'), 'admin', true)

  return {
    broker: 'rabbitmq',
    pace: PACE,
    get capabilities() {
      return capabilities
    },

    async connect(on, signal) {
      let opened: Connection | null = null
      let gone: { cause: unknown } | null = null
      const watched: ConnectionEvents = {
        lost: (cause) => {
          gone = { cause }
          if (opened === null || current?.connection !== opened) return
          current = null
          on.lost(cause)
        },
        blocked: on.blocked,
      }
      const limit = deadlineSignal(signal, resolved.connectTimeoutMs)
      try {
        opened = await connectAny(resolved, attempts++, watched, limit)
      } catch (error) {
        throw refusedVirtualHost(error, resolved.vhost, before)
      }
      const started = begin(opened)
      try {
        await untilAborted(Promise.all([ping(opened), started.publisher.open()]), limit)
        limit.throwIfAborted()
        if (gone !== null) throw (gone as { cause: unknown }).cause
      } catch (error) {
        await opened.close(AbortSignal.abort())
        throw error
      }
      before = true
      current = started
    },

    async disconnect(signal) {
      const ending = current
      if (ending === null) return
      current = null
      // Every receiver listens to it: many are no leak, of which Node would warn.
      setMaxListeners(Infinity, signal)
      await Promise.all([...ending.receivers].map((receiver) => receiver.close(signal)))
      await ending.connection.close(signal)
    },

    async ping(signal) {
      signal.throwIfAborted()
      await untilAborted(ping(session().connection), signal)
    },

    async publish(batch, signal) {
      return session().publisher.publish(batch, signal)
    },

    async open(source, lost) {
      const { connection, topology, publisher, receivers } = session()
      const setup: ReceiverSetup = {
        connection,
        topology,
        publisher,
        source,
        lost,
        closed: (receiver) => void receivers.delete(receiver),
      }
      const kinds = { consume: openReceiver, pull: openPull, browse: openBrowser }
      const receiver = await kinds[source.mode](setup)
      receivers.add(receiver)
      return receiver
    },

    async openReplies() {
      return openReplies(session().connection)
    },

    async declare(target, declaration) {
      const { topology, inTurn } = session()
      return inTurn(() => topology.declare(target, declaration))
    },
    async remove(target) {
      const { topology, inTurn } = session()
      return inTurn(() => topology.remove(target))
    },
    async purge(target) {
      return session().topology.purge(target)
    },
    async size(target) {
      return session().topology.size(target)
    },
    classify,
  }
}
