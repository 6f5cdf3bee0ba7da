import { randomUUID } from 'node:crypto'
import {
  AdapterError,
  type BrokerAdapter,
  type Capabilities,
  type ConnectionEvents,
  deadlineSignal,
  type Source,
  untilAborted,
} from '@mq/core/adapter'
import { withShared } from './abort.ts'
import { createBrowser } from './browser.ts'
import { connectCluster } from './cluster.ts'
import { type Connection, connectSingle } from './connection.ts'
import { blockedReason, classify, notFound } from './errors.ts'
import { createFerries } from './ferries.ts'
import { createKeys } from './keys.ts'
import { parseOptions, type RedisOptions } from './options.ts'
import { createPublisher } from './publisher.ts'
import { createReceiver, type RedisReceiver } from './receiver.ts'
import { scripts } from './scripts/index.ts'
import { detailsOf } from './server.ts'
import { createTopology, HEARTBEAT_LIFE_MS } from './topology.ts'

/** How often it is asked whether a server that refused writes takes them again. */
const PROBE_MS = 250

/** How often a queue that ends without its user hears from it at least. */
const BEAT_MS = HEARTBEAT_LIFE_MS / 4

/** So many keys are tried before no master of a cluster has any of them. */
const MOST_LOOKS = 1_000

/** Measured with `pnpm bench redis`: of 12 to 500, what keeps client and server busy at once, and scripts few. */
const PACE = { publish: 50, start: 50 } as const

/**
 * A broker adapter over Redis 7 or newer: streams and Lua scripts. Does no I/O; `new MessageQueue(redisAdapter({ url }))` connects.
 * Throws ConfigurationError for options that are wrong, naming each.
 */
export function redisAdapter(options: RedisOptions = {}): BrokerAdapter {
  const resolved = parseOptions(options)
  const keys = createKeys(resolved.prefix)
  const name = randomUUID()
  const topology = createTopology(keys, name)
  const ferries = createFerries(keys, topology.parking, resolved.logger)
  const receivers = new Map<string, Set<RedisReceiver>>()
  /** Receivers whose queue has to hear from its user now and then. */
  const beating = new Map<RedisReceiver, NodeJS.Timeout>()
  /** Bases of the reply places of this connection. */
  const replies = new Set<string>()
  let current: Connection | null = null
  let events: ConnectionEvents | null = null
  let heart: NodeJS.Timeout | undefined
  let probe: NodeJS.Timeout | undefined

  let capabilities: Capabilities = Object.freeze({
    durable: true,
    priorityLevels: 256,
    maxDelayMs: 10 * 365 * 86_400_000,
    maxBodyBytes: resolved.maxBodyBytes,
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

  let details: Readonly<Record<string, string>> = Object.freeze({})

  const connection = (): Connection => {
    if (current === null) throw new AdapterError('MQ_NOT_CONNECTED', 'not connected to Redis')
    return current
  }
  const delayed = (base: string, inMs: number): void => {
    const local = receivers.get(base)
    if (local !== undefined) for (const receiver of local) receiver.due(inMs)
  }
  const settleDown = (): void => {
    current = null
    clearInterval(heart)
    ferries.stop()
    clearInterval(probe)
    probe = undefined
    receivers.clear()
    for (const timer of beating.values()) clearInterval(timer)
    beating.clear()
    // Nobody hears what is answered there any more: without a heartbeat they end by themselves.
    for (const base of replies) topology.owned.delete(base)
    replies.clear()
  }
  const ping = async (over: Connection): Promise<void> => {
    // In a cluster to a master that is there, if any is. A PING succeeds on a server that refuses writes.
    let n = 0
    while (n < MOST_LOOKS && !over.reaches(keys.health(n))) n++
    const key = keys.health(n)
    await over.send(key, ['SET', key, '1', 'PX', '1000'])
  }
  const blocked = (reason: string): void => {
    // In a cluster one server of several: what it refused is sent again by itself, and what goes to the others need not wait.
    if (resolved.cluster !== undefined) return
    if (probe !== undefined || events === null || current === null) return
    const on = events
    on.blocked(reason)
    let asking = false
    probe = setInterval(() => {
      if (asking || current === null) return
      asking = true
      ping(current).then(
        () => {
          clearInterval(probe)
          probe = undefined
          on.blocked(null)
        },
        () => {
          asking = false
        },
      )
    }, PROBE_MS)
    probe.unref()
  }
  const beat = (base: string, consumer: string, counts: string): void => {
    current?.run(scripts.open, base, ['beat', consumer, '0', name, counts]).catch(() => undefined)
  }

  const publisher = createPublisher({ keys, connection, delayed, blocked })

  const openConsumer = async (base: string, source: Source): Promise<RedisReceiver> => {
    const over = connection()
    const lease = Math.max(1, Math.ceil(source.leaseMs))
    const consumer = `${randomUUID()}.${lease}`
    const counts = source.mode === 'consume' ? '1' : '0'
    const reply = await over.run(scripts.open, base, ['open', consumer, String(lease), name, counts])
    if (reply === null) throw notFound(source.target)
    if (reply === 0)
      throw new AdapterError('MQ_QUEUE_CONFLICT', 'the queue is exclusive to another connection')
    ferries.use(base)
    const [plain, least, expires = 0] = reply as readonly number[]
    const receiver = createReceiver({
      connection: over,
      keys,
      base,
      source: { ...source, leaseMs: lease },
      consumer,
      plain: plain === 1,
      leastLeaseMs: least ?? lease,
      delayed,
      closed: (gone) => {
        receivers.get(base)?.delete(gone)
        if (receivers.get(base)?.size === 0) receivers.delete(base)
        clearInterval(beating.get(gone))
        beating.delete(gone)
      },
    })
    let local = receivers.get(base)
    if (local === undefined) receivers.set(base, (local = new Set()))
    local.add(receiver)
    if (expires > 0) {
      const timer = setInterval(() => beat(base, consumer, counts), Math.min(BEAT_MS, expires / 3))
      timer.unref()
      beating.set(receiver, timer)
    }
    return receiver
  }

  return {
    broker: 'redis',
    pace: PACE,
    get capabilities() {
      return capabilities
    },

    get details() {
      return details
    },

    async connect(on, signal) {
      let over: Connection | null = null
      let gone: { cause: unknown } | null = null
      const watched: ConnectionEvents = {
        lost: (cause) => {
          gone = { cause }
          if (over === null || current !== over) return
          settleDown()
          on.lost(cause)
        },
        blocked: (reason) => on.blocked(reason),
      }
      const link = resolved.cluster === undefined ? connectSingle : connectCluster
      const limit = deadlineSignal(signal, resolved.connectTimeoutMs)
      over = await link(resolved, watched, limit)
      try {
        // The round trip that counts: the user may write here.
        const answer = ping(over).catch((error: unknown) => {
          if (blockedReason(error) === null || /LOADING|READONLY/.test(String(error))) throw error
        })
        await untilAborted(answer, limit)
        limit.throwIfAborted()
        if (gone !== null) throw (gone as { cause: unknown }).cause
      } catch (error) {
        over.destroy(error)
        throw error
      }
      const { appendOnly, save } = over.facts
      details = detailsOf(over.facts)
      capabilities = Object.freeze({ ...capabilities, durable: !(appendOnly === 'no' && save === '') })
      events = on
      current = over
      heart = setInterval(() => {
        for (const base of topology.owned.keys()) beat(base, '', '0')
      }, BEAT_MS)
      heart.unref()
      if (resolved.cluster !== undefined) ferries.start(over)
    },

    async disconnect(signal) {
      const over = current
      if (over === null) return
      const open = [...receivers.values()].flatMap((set) => [...set])
      await withShared(signal, (shared) => Promise.all(open.map((receiver) => receiver.close(shared))))
      for (const [base, kind] of topology.owned) {
        if (signal.aborted) break
        await untilAborted(over.run(scripts.remove, base, [kind, '', name]), signal).catch(() => undefined)
      }
      topology.owned.clear()
      if (current === over) settleDown()
      await over.close(signal)
    },

    async ping(signal) {
      signal.throwIfAborted()
      await ping(connection())
    },

    publish(batch, signal) {
      const to = batch[0]?.destination
      // Not on the way of every message where nothing is ever parked.
      if (resolved.cluster !== undefined && to !== undefined) {
        if ('queue' in to || 'subscription' in to) ferries.use(keys.target(to))
        else if ('topic' in to) ferries.useTopic(to.topic)
      }
      return publisher.publish(batch, signal)
    },

    async open(source) {
      const base = keys.target(source.target)
      if (source.mode === 'browse') {
        const browser = createBrowser(connection(), base, source)
        if ((await connection().run(scripts.browse, base, ['', '', '0'])) === null)
          throw notFound(source.target)
        return browser
      }
      return openConsumer(base, source)
    },

    async openReplies() {
      // The colon tells it from every queue name.
      const address = `reply:${randomUUID()}`
      const base = keys.reply(address)
      const over = connection()
      await over.run(scripts.declare, base, [
        '',
        '',
        name,
        'p',
        '1',
        'nm',
        address,
        'ex',
        String(HEARTBEAT_LIFE_MS),
      ])
      topology.owned.set(base, 'q')
      replies.add(base)
      const source: Source = {
        target: { queue: address },
        mode: 'consume',
        prefetch: 1_000,
        leaseMs: 600_000,
        ordered: false,
        after: undefined,
      }
      const receiver = await openConsumer(base, source)
      return {
        address,
        receiver: {
          ...receiver,
          async close(signal) {
            await receiver.close(signal)
            topology.owned.delete(base)
            replies.delete(base)
            if (!signal.aborted) await over.run(scripts.remove, base, ['q']).catch(() => undefined)
          },
        },
      }
    },

    declare: (target, declaration) => topology.declare(connection(), target, declaration),
    remove: (target) => topology.remove(connection(), target),
    purge: (target) => topology.purge(connection(), target),
    size: (target) => topology.size(connection(), target),
    classify,
  }
}
