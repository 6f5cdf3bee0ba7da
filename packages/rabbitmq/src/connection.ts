import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib'
import { types } from 'node:util'
import { AdapterError, atMost, type ConnectionEvents, untilAborted } from '@mq/core/adapter'
import { atATime } from './at-a-time.ts'
import { classify, outOfChannels } from './errors.ts'
import { destroy, endOf, openSocket } from './socket.ts'
import type { ResolvedOptions } from './options.ts'
import { versionOf, type Version } from './version.ts'

/**
 * What a socket is for. A broker in alarm stops reading from connections that publish, acknowledgements on them included; and a backlog
 * of deliveries must not hold up administration.
 */
export type Role = 'publish' | 'consume' | 'admin'

/** The sockets of one successful `connect`. All of them live, or none. */
export interface Connection {
  readonly version: Version
  readonly alive: boolean
  /** A new channel. An error of it is in its `close` cause; nothing of it reaches the process. */
  channel(role: Role): Promise<Channel>
  confirmChannel(): Promise<ConfirmChannel>
  /** Runs calls on a channel that nobody else uses meanwhile, since the server answers a refusal by closing it. Very many wait for one another. */
  admin<T>(call: (channel: Channel) => Promise<T>, role?: Role, urgent?: boolean): Promise<T>
  /** A call's answer, within the time for one. */
  rpc<T>(call: Promise<T>, what: string): Promise<T>
  /** Says goodbye; destroys on abort. */
  close(signal: AbortSignal): Promise<void>
  /** Ends it at once, as lost. */
  fail(cause: unknown): void
}

/** Why each channel ended, for what is told to those that use it. */
const causes = new WeakMap<Channel, unknown>()

/** Channels that are closed. */
const ended = new WeakSet<Channel>()

export function closeCause(channel: Channel): unknown {
  return (
    causes.get(channel) ?? new AdapterError('MQ_CONNECTION', 'the channel was closed', { retryable: true })
  )
}

/** Idle channels kept for administration, per socket. */
const MOST_IDLE = 4

/** Most channels of a socket that administration has at once: of very many calls each would take one, and the server no longer answer in time. */
const MOST_ADMIN = 16

/** Most that a host is waited for before the next is tried beside it. */
const HEAD_START_MS = 2_000

interface Host {
  readonly host: string
  readonly port: number
}

/**
 * Connects to the first host that answers: each begins when the one before it failed, or is silent for a while. Rejects when all have failed, or as soon as
 * one refuses the credentials, which are the same for all; leaves nothing open.
 */
export function connectAny(
  options: ResolvedOptions,
  first: number,
  events: ConnectionEvents,
  signal: AbortSignal,
): Promise<Connection> {
  const hosts = options.hosts.map((_, i, all) => all[(first + i) % all.length] as Host)
  // All get their turn within the time there is.
  const headStartMs = Math.min(HEAD_START_MS, options.connectTimeoutMs / (hosts.length + 1))
  const over = new AbortController()
  const failures: (readonly [Host, unknown])[] = []
  let begun = 0
  let timer: NodeJS.Timeout | undefined
  return new Promise<Connection>((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      over.abort(new AdapterError('MQ_ABORTED', 'another host was faster'))
    }
    const attempt = async (host: Host): Promise<void> => {
      try {
        const models = await connectTo(options, host, AbortSignal.any([signal, over.signal]))
        if (over.signal.aborted) return models.forEach(destroy)
        resolve(createConnection(options, models, events))
        end()
      } catch (error) {
        failed(host, error)
      }
    }
    const failed = (host: Host, error: unknown): void => {
      if (over.signal.aborted) return
      failures.push([host, error])
      const refused = classify(error).code === 'MQ_AUTHENTICATION'
      if (refused || failures.length === hosts.length || (signal.aborted && failures.length === begun)) {
        end()
        reject(refused ? error : allFailed(failures, signal))
      } else if (!signal.aborted) next()
    }
    const next = (): void => {
      clearTimeout(timer)
      const host = hosts[begun]
      if (host === undefined) return
      begun++
      timer = setTimeout(next, headStartMs)
      void attempt(host)
    }
    next()
  })
}

/** What each of several hosts said. Counts as the last answer that is more than the end of the time for one. */
function allFailed(failures: readonly (readonly [Host, unknown])[], signal: AbortSignal): unknown {
  const errors = failures.map(([, error]) => error)
  const last = errors.findLast((error) => error !== signal.reason) ?? errors.at(-1)
  if (failures.length === 1) return last
  const { code, retryable } = classify(last)
  const said = failures.map(
    ([{ host, port }, error]) =>
      `${host}:${port} (${types.isNativeError(error) ? error.message : String(error)})`,
  )
  return new AdapterError(code, `no host could be connected to: ${said.join(', ')}`, {
    retryable,
    cause: new AggregateError(errors),
  })
}

/** Every socket to one host, or none. */
async function connectTo(
  options: ResolvedOptions,
  address: Host,
  signal: AbortSignal,
): Promise<ChannelModel[]> {
  const roles: Role[] =
    options.maxConnections >= 3
      ? ['publish', 'consume', 'admin']
      : options.maxConnections === 2
        ? ['publish', 'consume']
        : ['publish']
  // One that fails, or ends while others are still connecting, is the end of all.
  const failure = new AbortController()
  const either = AbortSignal.any([signal, failure.signal])
  const open = async (role: Role): Promise<ChannelModel> => {
    try {
      return await openSocket(options, address, role, either, (cause) => failure.abort(cause))
    } catch (error) {
      failure.abort(error)
      throw error
    }
  }
  const opened = await Promise.allSettled(roles.map(open))
  const models = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  if (!failure.signal.aborted) return models
  models.forEach(destroy)
  throw failure.signal.reason
}

function createConnection(
  options: ResolvedOptions,
  models: readonly ChannelModel[],
  events: ConnectionEvents,
): Connection {
  const early = models.map(endOf).find((end) => end !== null)
  if (early !== undefined) {
    models.forEach(destroy)
    throw early.cause
  }
  const [publish, consume = publish, admin = consume] = models as [ChannelModel, ...ChannelModel[]]
  const sockets: Record<Role, ChannelModel> = { publish, consume, admin }
  const idle = new Map<ChannelModel, Channel[]>(models.map((model) => [model, []]))
  const inTurn = new Map(models.map((model) => [model, atATime(MOST_ADMIN)]))
  let state: 'alive' | 'closing' | 'gone' = 'alive'
  let blockedTimer: NodeJS.Timeout | undefined

  const end = (): void => {
    state = 'gone'
    clearTimeout(blockedTimer)
    for (const model of models) destroy(model)
  }
  const fail = (cause: unknown): void => {
    if (state !== 'alive') return
    end()
    events.lost(cause)
  }
  for (const model of models) {
    let reason: unknown
    model.on('error', (error) => {
      reason = error
      // A heartbeat that is missed: the other sockets go too.
      if (state === 'alive') setImmediate(fail, error)
    })
    model.on('close', (error) =>
      fail(
        error ??
          reason ??
          new AdapterError('MQ_CONNECTION', 'the connection was closed', { retryable: true }),
      ),
    )
  }
  publish.on('blocked', (reason) => {
    if (state !== 'alive') return
    events.blocked(`RabbitMQ accepts nothing: ${reason}`)
    clearTimeout(blockedTimer)
    if (options.blockedTimeoutMs === 0) return
    blockedTimer = setTimeout(
      () =>
        fail(
          new AdapterError('MQ_UNAVAILABLE', `blocked for ${options.blockedTimeoutMs} ms: ${reason}`, {
            retryable: true,
          }),
        ),
      options.blockedTimeoutMs,
    )
    blockedTimer.unref()
  })
  publish.on('unblocked', () => {
    clearTimeout(blockedTimer)
    if (state === 'alive') events.blocked(null)
  })

  const rpc = async <T>(call: Promise<T>, what: string): Promise<T> => {
    let timer: NodeJS.Timeout | undefined
    call.catch(() => undefined)
    try {
      return await Promise.race([
        call,
        new Promise<never>((_, reject) => {
          timer = setTimeout(
            () =>
              reject(
                new AdapterError(
                  'MQ_TIMEOUT',
                  `RabbitMQ did not answer within ${options.rpcTimeoutMs} ms (${what})`,
                  { retryable: true },
                ),
              ),
            options.rpcTimeoutMs,
          )
        }),
      ])
    } finally {
      clearTimeout(timer)
    }
  }
  const gone = (): AdapterError =>
    new AdapterError('MQ_CONNECTION', 'the connection is gone', { retryable: true })
  const prepare = <C extends Channel>(channel: C): C => {
    channel.on('error', (error) => void causes.set(channel, error))
    channel.on('close', () => void ended.add(channel))
    return channel
  }
  const opened = async <C extends Channel>(opening: Promise<C>, { connection }: ChannelModel): Promise<C> => {
    try {
      return prepare(await rpc(opening, 'opening a channel'))
    } catch (error) {
      throw outOfChannels(error, (connection as unknown as { channelMax: number }).channelMax)
    }
  }
  const channel = async (role: Role): Promise<Channel> => {
    if (state === 'gone') throw gone()
    return opened(sockets[role].createChannel(), sockets[role])
  }

  return {
    version: versionOf(publish.connection.serverProperties.version),
    get alive() {
      return state === 'alive'
    },
    channel,
    async confirmChannel() {
      if (state === 'gone') throw gone()
      return opened(publish.createConfirmChannel(), publish)
    },
    admin(call, role = 'admin', urgent = false) {
      const pool = idle.get(sockets[role]) as Channel[]
      const turns = inTurn.get(sockets[role]) as ReturnType<typeof atATime>
      return turns(async () => {
        let over = pool.pop()
        while (over !== undefined && ended.has(over)) over = pool.pop()
        over ??= await channel(role)
        try {
          const answer = await rpc(call(over), 'administration')
          if (pool.length < MOST_IDLE && state === 'alive') pool.push(over)
          else closeQuietly(over)
          return answer
        } catch (error) {
          // A refusal closes the channel; one that is silent may answer late, to nobody.
          closeQuietly(over)
          throw error
        }
      }, urgent)
    },
    rpc,
    async close(signal) {
      if (state !== 'alive') return
      state = 'closing'
      if (!signal.aborted) await atMost(Promise.allSettled(models.map((model) => model.close())), signal)
      end()
    },
    fail,
  }
}

/** Closes a channel without waiting. */
export function closeQuietly(channel: Channel): void {
  if (ended.has(channel)) return
  try {
    channel.close().catch(() => undefined)
  } catch {
    // Closed already.
  }
}

/** Closes a channel; resolves at the latest on abort. Never rejects. */
export async function closeChannel(channel: Channel, signal: AbortSignal): Promise<void> {
  try {
    const closing = channel.close()
    await untilAborted(closing, signal)
  } catch {
    // Closed already, or nobody answers.
  }
}
