import { performance } from 'node:perf_hooks'
import { AdapterError, type ConnectionEvents, sharedController, untilAborted } from '@mq/core/adapter'
import { pause } from './abort.ts'
import { firstOf, patience } from './attempts.ts'
import { type Address, type ClientSettings, type Link, openLink, protocolError } from './client.ts'
import { classify, isConnectionError, markUnsent } from './errors.ts'
import { createKnownTopics } from './known-topics.ts'
import type { ResolvedOptions } from './options.ts'
import { namingRight } from './rights.ts'
import { type Metadata, metadataRequest, type TopicInfo } from './log/protocol.ts'

/** How often it is looked whether any broker answers again. */
const PROBE_MS = 250

/**
 * The sockets to a cluster. Requests that may wait long at the broker (fetches, joins) have a lane of their own, since a broker answers
 * the requests of one socket in order.
 */
export interface Connection {
  readonly options: ResolvedOptions
  readonly closed: boolean
  /** Most brokers that were seen at once: fewer now means that some will be back. */
  readonly mostBrokers: number
  /** Those that are there now. */
  readonly nodes: readonly number[]
  link(node: number, lane: string): Promise<Link>
  controller(): Promise<Link>
  coordinator(group: string, lane: string): Promise<Link>
  forgetCoordinator(group: string): void
  /** What is known of a topic; `null`: there is none. `fresh` asks some broker that answers. */
  topic(name: string, fresh?: boolean): Promise<TopicInfo | null>
  /** The same of several, or, fresh and of none, of the brokers alone. */
  topics(names: readonly string[], fresh?: boolean): Promise<Map<string, TopicInfo>>
  forgetTopic(name: string): void
  /** Ends the sockets of a lane. */
  endLane(lane: string): void
  close(cause: unknown): void
}

/** One attempt: a broker of the list that answers is enough. Leaves nothing open when it fails. */
export async function connect(
  options: ResolvedOptions,
  on: ConnectionEvents,
  signal: AbortSignal,
): Promise<Connection> {
  const settings = clientSettings(options)
  const links = new Map<string, Promise<Link>>()
  const opened = new WeakMap<Promise<Link>, Link>()
  const live = new Set<Link>()
  const known = createKnownTopics()
  const coordinators = new Map<string, number>()
  let brokers = new Map<number, Address>()
  let controllerId = -1
  let mostBrokers = 0
  /** Answers of brokers so far, whichever they were. */
  let answers = 0
  let closed = false
  /** Until the first look is over nobody is missed. */
  let probing = true
  /** What is still being opened ends with all else. */
  const ending = sharedController()

  const closedError = (): Error =>
    markUnsent(new AdapterError('MQ_CONNECTION', 'the connection to Kafka is closed', { retryable: true }))

  const open = async (address: Address, until = ending.signal): Promise<Link> => {
    if (closed) throw closedError()
    let mine: Link | null = null
    const link = await openLink(
      address,
      settings,
      (cause) => {
        if (mine !== null) live.delete(mine)
        if (!closed && mine !== null) probe(cause)
      },
      until,
    )
    mine = link
    if (closed) {
      link.destroy(closedError())
      throw closedError()
    }
    live.add(link)
    return link
  }

  const cached = (key: string, make: () => Promise<Link>): Promise<Link> => {
    const anew = (): Promise<Link> => {
      const fresh = make()
      links.set(key, fresh)
      fresh.then(
        (link) => opened.set(fresh, link),
        (error: unknown) => {
          if (links.get(key) === fresh) links.delete(key)
          if (!closed && isConnectionError(error)) probe(error)
        },
      )
      return fresh
    }
    const before = links.get(key)
    if (before === undefined) return anew()
    return before.then((link) => {
      if (!link.dead) return link
      const now = links.get(key)
      if (now !== before && now !== undefined) return now
      // One that is only old finishes what it owes.
      retire(link)
      return anew()
    })
  }
  const retire = (link: Link): void => {
    if (link.pending === 0) {
      live.delete(link)
      link.destroy(closedError())
    } else setTimeout(() => retire(link), 100).unref()
  }

  const link = (node: number, lane: string): Promise<Link> => {
    const address = brokers.get(node)
    if (closed) return Promise.reject(closedError())
    if (address === undefined) {
      return Promise.reject(
        markUnsent(
          Object.assign(
            new AdapterError('MQ_UNAVAILABLE', 'the partition (or group) has no leader now', {
              retryable: true,
            }),
            { type: 'LEADER_NOT_AVAILABLE' },
          ),
        ),
      )
    }
    return cached(keyOf(lane, node, address), () => open(address))
  }

  const learn = (metadata: Metadata, at: number): void => {
    if (metadata.brokers.length > 0) brokers = new Map(metadata.brokers.map((each) => [each.id, each]))
    controllerId = metadata.controller
    mostBrokers = Math.max(mostBrokers, brokers.size)
    for (const info of metadata.topics) known.learn(info, at)
  }

  /** Every way to some broker: those that are connected, then those that are known, then those of the configuration. */
  const ways = (): (() => Promise<Link>)[] => {
    const nodes = [...brokers].sort(([a], [b]) => Number(isOpen(b)) - Number(isOpen(a)))
    const known = new Set(nodes.map(([, { host, port }]) => `${host}:${port}`))
    const seeds = options.brokers.filter(({ host, port }) => !known.has(`${host}:${port}`))
    return [
      ...nodes.map(
        ([node]) =>
          () =>
            link(node, 'main'),
      ),
      ...seeds.map((address) => () => cached(seedKey(address), () => open(address))),
    ]
  }
  const isOpen = (node: number): boolean => {
    const opening = links.get(keyOf('main', node, brokers.get(node) as Address))
    return opening !== undefined && opened.get(opening)?.dead === false
  }
  /** What some broker answers: one that says nothing, though its socket is open, must not take the time of the others. */
  const anyone = async <T>(call: (link: Link) => Promise<T>, patienceMs?: number): Promise<T> => {
    if (closed) throw closedError()
    const attempts = ways().map((way) => async () => call(await way()))
    return firstOf(attempts, patienceMs)
  }

  const ask = async (names: readonly string[], patienceMs?: number): Promise<Metadata> => {
    const asking = async (over: Link): Promise<{ metadata: Metadata; at: number }> => {
      const at = performance.now()
      return { metadata: await over.custom(metadataRequest(names)), at }
    }
    const { metadata, at } = await anyone(asking, patienceMs)
    learn(metadata, at)
    answers++
    return metadata
  }

  const probe = (cause: unknown): void => {
    if (probing || closed) return
    probing = true
    void (async () => {
      const since = performance.now()
      const before = answers
      let reason = cause
      while (!closed) {
        const asked = ask([], patience(options.lostAfterMs, ways().length)).catch((error: unknown) => {
          reason = error
        })
        await Promise.race([asked, pause(Math.min(5_000, options.lostAfterMs))])
        if (answers > before) break
        if (
          performance.now() - since >= options.lostAfterMs ||
          classify(reason).code === 'MQ_AUTHENTICATION'
        ) {
          close(reason)
          on.lost(reason)
          break
        }
        await pause(PROBE_MS)
      }
      probing = false
    })()
  }

  const close = (cause: unknown): void => {
    if (closed) return
    closed = true
    ending.abort(closedError())
    for (const each of live) each.destroy(cause)
    live.clear()
    links.clear()
  }

  /** That a broker was reached says little: from then on it is the addresses which it advertises that are used. */
  const reachAdvertised = async (seed: Address, until: AbortSignal): Promise<void> => {
    const advertised = [...brokers.values()]
    const same = advertised.some(({ host, port }) => host === seed.host && port === seed.port)
    if (same || advertised.length === 0) return
    // All at once: one that swallows packets must not take the time of another that answers.
    const reached = [...brokers.keys()].map((node) => link(node, 'main'))
    const one = Promise.any(reached).catch((all: AggregateError) => {
      throw all.errors[0]
    })
    const failure: unknown = await untilAborted(one, until).then(
      () => null,
      (error: unknown) => error,
    )
    if (failure === null) return
    if (classify(failure).code !== 'MQ_CONNECTION') throw failure
    const names = advertised.map(({ host, port }) => `${host}:${port}`).join(', ')
    throw new AdapterError(
      'MQ_CONNECTION',
      `Kafka answers at ${seed.host}:${seed.port}, but not at the address that it tells clients to use (${names}): ` +
        "set the broker's advertised.listeners to one that is reachable from here",
      { cause: failure, retryable: true },
    )
  }

  const firstLook = async (): Promise<void> => {
    signal.throwIfAborted()
    // Ends what is under way to the other addresses, too, when one was enough.
    const looking = sharedController()
    const stop = (): void => looking.abort(signal.reason)
    const look = async (address: Address): Promise<void> => {
      const first = await open(address, looking.signal)
      const key = seedKey(address)
      links.set(key, Promise.resolve(first))
      try {
        learn(await untilAborted(first.custom(metadataRequest([])), looking.signal), performance.now())
        await reachAdvertised(address, looking.signal)
      } catch (error) {
        links.delete(key)
        live.delete(first)
        first.destroy(error)
        throw error
      }
    }
    signal.addEventListener('abort', stop, { once: true })
    try {
      await firstOf(
        options.brokers.map((address) => () => look(address)),
        patience(options.connectTimeoutMs, options.brokers.length),
        (error) => classify(error).code === 'MQ_AUTHENTICATION',
      )
    } finally {
      signal.removeEventListener('abort', stop)
      looking.abort(closedError())
    }
  }
  try {
    await firstLook()
  } catch (error) {
    close(error)
    throw error
  }
  probing = false

  return {
    options,
    get mostBrokers() {
      return mostBrokers
    },
    get nodes() {
      return [...brokers.keys()]
    },
    get closed() {
      return closed
    },
    link,
    async controller() {
      if (!brokers.has(controllerId)) await ask([])
      return link(controllerId, 'main')
    },
    async coordinator(group, lane) {
      let node = coordinators.get(group)
      if (node === undefined) {
        const { coordinator } = await anyone((over) =>
          over.call<{ coordinator: { nodeId: number } }>('GroupCoordinator', { groupId: group }),
        )
        node = coordinator.nodeId
        if (!brokers.has(node)) await ask([])
        coordinators.set(group, node)
      }
      try {
        return await link(node, lane)
      } catch (error) {
        coordinators.delete(group)
        throw error
      }
    },
    forgetCoordinator: (group) => void coordinators.delete(group),
    async topic(name, fresh = false) {
      const before = known.get(name)
      if (!fresh && before !== undefined) return before
      const metadata = await ask([name])
      const info = metadata.topics.find((each) => each.name === name)
      if (info === undefined || info.error === 3) return null
      const error = info.error === 5 ? null : protocolError(info.error)
      if (error !== null) throw namingRight(error, 'Describe', 'topic', [name])
      return info
    },
    async topics(names, fresh = false) {
      const found = new Map<string, TopicInfo>()
      const stale: string[] = []
      for (const name of names) {
        const before = known.get(name)
        if (fresh || before === undefined) stale.push(name)
        else found.set(name, before)
      }
      if (fresh || stale.length > 0)
        for (const info of (await ask(stale)).topics) if (info.error !== 3) found.set(info.name, info)
      return found
    },
    forgetTopic: (name) => known.forget(name),
    endLane(lane) {
      for (const [key, opening] of links) {
        if (!key.startsWith(`${lane} `)) continue
        links.delete(key)
        opening.then(
          (each) => {
            live.delete(each)
            each.destroy(closedError())
          },
          () => undefined,
        )
      }
    },
    close,
  }
}

/** Whether the way to one broker is what failed, and there may be others. */
export function isAway({ closed }: Connection, error: unknown): boolean {
  return !closed && classify(error).code === 'MQ_CONNECTION'
}

function keyOf(lane: string, node: number, { host, port }: Address): string {
  return `${lane} ${node} ${host}:${port}`
}

function seedKey({ host, port }: Address): string {
  return `seed ${host}:${port}`
}

function clientSettings(options: ResolvedOptions): ClientSettings {
  const { tls, sasl } = options
  let ssl: ClientSettings['ssl']
  if (tls === true) ssl = {}
  else if (tls !== undefined && tls !== false) {
    const { ca, cert, key, verify, servername } = tls
    ssl = {
      rejectUnauthorized: verify,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
    }
  }
  return {
    clientId: options.clientId,
    ssl,
    sasl,
    connectTimeoutMs: options.connectTimeoutMs,
    requestTimeoutMs: options.requestTimeoutMs,
  }
}
