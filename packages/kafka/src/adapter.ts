import {
  AdapterError,
  atMost,
  type BrokerAdapter,
  type Capabilities,
  deadlineSignal,
  type Delivery,
  type Source,
  type Target,
  untilAborted,
} from '@mq/core/adapter'
import { LONGEST_TIMER_MS, pause } from './abort.ts'
import { createBrowser } from './browser.ts'
import { connect, type Connection } from './connection.ts'
import { beginAtEnd } from './group/beginning.ts'
import { createConsumer } from './group/consumer.ts'
import type { Consumer } from './group/consumer-contract.ts'
import { createSolitude, rivalOf } from './group/rivals.ts'
import { classify } from './errors.ts'
import { namesOf } from './names.ts'
import { type KafkaOptions, parseOptions } from './options.ts'
import { createLetterKeeper } from './letters.ts'
import { createPublisher } from './publisher.ts'
import { createReceiver } from './receiver.ts'
import { openReplies } from './replies.ts'
import { createRegistry } from './registry.ts'
import { createContents } from './contents.ts'
import { createTopology } from './topology.ts'

/** How long a consumer waits to be told of another group of its queue: it is looked for again before anything is deleted. */
const RIVALS_MS = 2_000

/** Ten years: what waits is kept without end. */
const MOST_DELAY_MS = 10 * 365 * 86_400_000

/** A hundred sends at a time make calls of fifty. */
const PACE = { halve: 50 } as const

interface Shared {
  readonly later: string
  readonly consumer: Consumer
  /** Receivers that consume; the others only pull. */
  consuming: number
}

/**
 * A broker adapter over Apache Kafka 3.6 or newer. Does no I/O; `new MessageQueue(kafkaAdapter({ brokers }))` connects.
 * Throws ConfigurationError for options that are wrong, naming each.
 */
export function kafkaAdapter(options: KafkaOptions = {}): BrokerAdapter {
  const resolved = parseOptions(options)
  const consumers = new Map<string, Shared>()
  const replies = new Set<{ fail(error: unknown): void }>()
  /** Members that the brokers still wait for, by group: a new one takes their place at once. */
  const ghosts = new Map<string, string>()
  let current: Connection | null = null
  /** The last connection was not ended here. */
  let lost: { readonly cause: unknown } | null = null
  /** A consumer must not end with its sockets, nor a disconnect before it resolved, while the brokers are away. */
  let alive: NodeJS.Timeout | undefined

  const capabilities: Capabilities = Object.freeze({
    durable: true,
    priorityLevels: 1,
    maxDelayMs: MOST_DELAY_MS,
    maxBodyBytes: resolved.maxBodyBytes,
    ownership: 'connection',
    redeliveries: 'count',
    retryKeepsOrder: false,
    settle: 'deferred',
    size: 'ready+leased',
    purgeDelayed: true,
    purgeLiveSubscription: false,
    dedupe: 'consumer',
    limits: 'none',
    exclusive: false,
    autoDelete: false,
    browseHides: false,
  })

  const connection = (): Connection => {
    if (current !== null && !current.closed) return current
    if (lost === null) throw new AdapterError('MQ_NOT_CONNECTED', 'not connected to Kafka')
    throw connectionLost(lost.cause)
  }
  const keyOf = (target: Target): string => namesOf(target, undefined).group
  const shared = (target: Target): Shared | undefined => consumers.get(keyOf(target))

  const consumerOf = (target: Target): Consumer | undefined => shared(target)?.consumer
  const topology = createTopology({
    connection,
    registry: () => registry,
    consumerOf,
    made: (topic) => {
      for (const each of consumers.values()) if (each.later === topic) each.consumer.topicsChanged()
    },
  })
  const publisher = createPublisher({
    connection,
    async ensureLater(later, main, of) {
      // A subscription's topic would be made for one that does not exist.
      if ('subscription' in of) await topology.find(of)
      await topology.ensureLater(later, main)
    },
  })
  const registry = createRegistry({
    connection,
    ensureTopic: topology.ensureTopic,
    produceTo: publisher.produceTo,
  })
  // Whoever may not look does not know of any.
  const hasRemovals = (main: string): Promise<boolean> => registry.hasRemovals(main).catch(() => false)
  const lettersOf = createLetterKeeper()
  const contents = createContents({
    connection,
    find: topology.find,
    consumerOf,
    hasRemovals,
    consumes: (target) => (shared(target)?.consuming ?? 0) > 0,
  })

  const failAll = (cause: unknown): void => {
    for (const { consumer } of [...consumers.values()]) consumer.fail(cause)
    consumers.clear()
    for (const each of replies) each.fail(cause)
    replies.clear()
  }

  const openConsumer = async (
    source: Source,
    lost: (deliveries: readonly Delivery[], cause: unknown) => void,
  ) => {
    const over = connection()
    const { target } = source
    const names = namesOf(target, resolved.groupId)
    const pattern = await topology.find(target)
    const removals = await hasRemovals(names.main)
    const ensureLater = (): Promise<void> => topology.ensureLater(names.later, names.main)
    if (shared(target) === undefined) {
      const looked = rivalOf(over, names).catch(() => null)
      const rival = await Promise.race([looked, pause(RIVALS_MS).then(() => null)])
      if (rival !== null) throw rival
      // Who joins finds where to begin by itself, if a little later.
      if (resolved.startFrom === 'latest')
        await Promise.race([beginAtEnd(over, names, pattern).catch(() => undefined), pause(RIVALS_MS)])
    }
    // Of one that was lost meanwhile nobody would end a consumer, which others would find here.
    if (connection() !== over) throw connectionLost(undefined)
    let entry = shared(target)
    if (entry === undefined || entry.consumer.error !== null) {
      const key = keyOf(target)
      const consumer = createConsumer({
        connection: over,
        names,
        ordered: source.ordered,
        pattern,
        hasRemovals: removals,
        startFrom: resolved.startFrom,
        trims: (topic) =>
          Promise.resolve(
            resolved.trim && ('queue' in target || topic === names.later) && topology.keepsForEver(topic),
          ),
        isAlone: createSolitude(over, names, (rival) => consumer.fail(rival)),
        produceTo: publisher.produceTo,
        ensureLater,
        ghosts,
        ended: (gone) => {
          if (consumers.get(key)?.consumer === gone) consumers.delete(key)
        },
      })
      entry = { consumer, consuming: 0, later: names.later }
      consumers.set(key, entry)
    }
    const mine = entry
    if (source.mode === 'consume') mine.consuming++
    const receiver = createReceiver({
      consumer: mine.consumer,
      names,
      source,
      pattern,
      maxPollRecords: resolved.maxPollRecords,
      publisher,
      retentionMs: (dead) => topology.retentionMs(dead),
      ensureLater,
      lost,
    })
    let open = true
    return {
      ...receiver,
      close(signal: AbortSignal) {
        if (open && source.mode === 'consume') mine.consuming--
        open = false
        return receiver.close(signal)
      },
    }
  }

  return {
    broker: 'kafka',
    capabilities,
    pace: PACE,

    async connect(on, signal) {
      const until = deadlineSignal(signal, resolved.connectTimeoutMs)
      let mine: Connection | null = null
      mine = await connect(
        resolved,
        {
          lost: (cause) => {
            if (mine === null || current !== mine) return
            current = null
            lost = { cause }
            failAll(cause)
            on.lost(cause)
          },
          blocked: on.blocked,
        },
        until,
      )
      if (until.aborted) mine.close(until.reason)
      until.throwIfAborted()
      current = mine
      lost = null
      alive ??= setInterval(() => undefined, LONGEST_TIMER_MS)
    },

    async disconnect(signal) {
      const over = current
      lost = null
      if (over !== null) {
        const open = [...consumers.values()].map(({ consumer }) => consumer)
        await atMost(Promise.all(open.map((consumer) => consumer.close(signal))), signal)
        if (current === over) current = null
        over.close(undefined)
        failAll(new AdapterError('MQ_NOT_CONNECTED', 'disconnected from Kafka'))
      }
      clearInterval(alive)
      alive = undefined
    },

    async ping(signal) {
      await untilAborted(connection().topics([], true), signal)
    },

    publish: (batch, signal) => publisher.publish(batch, signal),

    async open(source, lost) {
      if (source.mode !== 'browse') return openConsumer(source, lost)
      await topology.find(source.target)
      const names = namesOf(source.target, resolved.groupId)
      return createBrowser({
        connection: connection(),
        names,
        willHaveRemovals: () => registry.willHaveRemovals(names.main),
        source,
        publisher,
        lettersOf,
        consumerOf,
      })
    },

    async openReplies() {
      const place = await openReplies(connection(), topology)
      const entry = { fail: place.fail }
      replies.add(entry)
      return {
        address: place.address,
        receiver: {
          ...place.receiver,
          close(signal) {
            replies.delete(entry)
            return place.receiver.close(signal)
          },
        },
      }
    },

    declare: (target, declaration) => topology.declare(target, declaration),
    remove: (target) => topology.remove(target),
    purge: (target) => contents.purge(target),
    size: (target) => contents.size(target),
    classify,
  }
}

function connectionLost(cause: unknown): AdapterError {
  return new AdapterError('MQ_CONNECTION', 'the connection to Kafka was lost', { retryable: true, cause })
}
