import { performance } from 'node:perf_hooks'
import { Buffer } from 'node:buffer'
import { AdapterError, atMost, deadlineSignal, untilAborted } from '@mq/core/adapter'
import { RedisClient, RESP_TYPES } from 'redis'
import type { ResolvedOptions } from './options.ts'
import { isPassing, replyCode } from './errors.ts'
import { type Script, scripts } from './scripts/index.ts'

export type Argument = string | Buffer

/** What the server answers: status words are strings, values are bytes. */
export type Reply = string | number | Buffer | null | readonly Reply[]

/** One socket to one server, with the scripts loaded. Answers come in the order of the commands. */
export interface Link {
  readonly address: Address
  /** Server's number of this connection, for CLIENT UNBLOCK. */
  readonly id: number
  readonly dead: boolean
  /** `blockMs`: how long the server may wait by itself before it answers. */
  send(args: readonly Argument[], blockMs?: number): Promise<Reply>
  /** `again` is called before it is sent once more, when the server had lost the script. Calls may have run meanwhile that were asked for later. */
  run(script: Script, key: string, args: readonly Argument[], again?: () => void): Promise<Reply>
  /** The server is known to live, and to answer nobody now: its silence on this connection says nothing. */
  excuse(): void
  /** Says something when nothing is owed, so that the server does not take the connection for idle. */
  touch(): void
  /** As `run`, with more than one key. */
  runKeys(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply>
  /** Waits for what is pending, at most until the signal aborts, then closes. */
  close(signal: AbortSignal): Promise<void>
  destroy(cause: unknown): void
}

export interface Address {
  readonly host: string
  readonly port: number
}

export interface LinkOptions {
  readonly address: Address
  readonly options: ResolvedOptions
  /** Whether scripts will run on it. */
  readonly scripts: boolean
  readonly credentials?: { readonly username?: string | undefined; readonly password?: string | undefined }
  /** Once, when the connection is gone without `close` or `destroy` having been called. */
  lost(cause: unknown): void
  /** A script was refused because the server has become a replica. */
  demoted?(cause: unknown): void
}

/** How long one server of several may take to be ready, in ms. */
export const SHORT_MS = 2_000

const BYTES = { [RESP_TYPES.BLOB_STRING]: Buffer } as const

const PROTOCOL = { RESP: 2 } as const

/** One class for all. The package's own `createClient` makes one, with every command, whenever an option differs from those of the call before, as the addresses of a cluster do: tens of ms each. */
const createClient = RedisClient.factory(PROTOCOL)

/**
 * Connects, authenticates and loads the scripts, all of it within `connectTimeoutMs`: a server that stands still accepts connections, and then says
 * nothing. One attempt; rejects when the signal aborts, leaving nothing open.
 */
export async function openLink(setup: LinkOptions, signal: AbortSignal): Promise<Link> {
  signal.throwIfAborted()
  const { options, address } = setup
  const within = deadlineSignal(signal, options.connectTimeoutMs)
  const who = setup.credentials ?? options
  // The client's own end of an attempt leaves a socket alone that has not connected yet, and uses it once it has.
  const attempt = new AbortController()
  const client = createClient({
    ...PROTOCOL,
    // The default (5000) makes an AbortSignal and a listener per command, at a third of the throughput; the watchdog below does its work.
    commandOptions: { timeout: 0, typeMapping: BYTES },
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    name: options.clientName,
    database: setup.credentials === undefined ? options.db : 0,
    ...(who.username === undefined ? {} : { username: who.username }),
    ...(who.password === undefined ? {} : { password: who.password }),
    socket: {
      host: address.host,
      port: address.port,
      connectTimeout: options.connectTimeoutMs,
      noDelay: true,
      keepAliveInitialDelay: 5_000,
      reconnectStrategy: false,
      ...{ signal: attempt.signal },
      ...tlsOptions(options, address),
    },
  })

  let state: 'opening' | 'open' | 'closed' = 'opening'
  let cause: unknown = undefined
  const gone = (): boolean => state === 'closed'
  client.on('error', (error: unknown) => fail(error))

  const fail = (error: unknown): void => {
    if (state === 'closed') return
    const was = state
    state = 'closed'
    cause = error
    clearInterval(watchdog)
    // Not at once: an 'error' event arrives while the client is still tearing its socket down.
    queueMicrotask(() => client.destroy())
    if (was === 'open') setup.lost(error)
  }

  // Replies are in order, so "no answer for so long while one is owed" is all that a dead peer looks like, whatever is still being written.
  let owed = 0
  let progressAt = 0
  let allowance = 0
  // A process that computes reads no sockets: of a look that comes late, no more counts than the time between two, and the answer may be there by now.
  let quietMs = 0
  let lookedAt = performance.now()
  const period = Math.max(10, Math.min(1_000, options.commandTimeoutMs / 4))
  const watchdog = setInterval(() => {
    const now = performance.now()
    const passed = Math.min(period, now - Math.max(lookedAt, progressAt))
    quietMs = owed === 0 ? 0 : progressAt > lookedAt ? passed : quietMs + passed
    lookedAt = now
    if (quietMs <= options.commandTimeoutMs + allowance) return
    const seen = progressAt
    setImmediate(() => {
      if (owed === 0 || progressAt !== seen) return
      fail(
        new AdapterError(
          'MQ_CONNECTION',
          `Redis at ${address.host}:${address.port} gave no answer for ${options.commandTimeoutMs} ms`,
          { retryable: true },
        ),
      )
    })
  }, period)
  watchdog.unref()

  const settled = (): void => {
    owed--
    progressAt = performance.now()
  }
  const send = (args: readonly Argument[], blockMs = 0): Promise<Reply> => {
    if (state === 'closed') return Promise.reject(offline(cause))
    if (owed++ === 0) progressAt = performance.now()
    allowance = blockMs
    const reply = client.sendCommand(args) as unknown as Promise<Reply>
    reply.then(settled, settled)
    return reply
  }

  // Another connection has usually loaded them: asking costs less than compiling them again.
  const loadMissing = async (): Promise<void> => {
    const all = Object.values(scripts)
    const known = (await send(['SCRIPT', 'EXISTS', ...all.map((s) => s.sha)])) as readonly number[]
    const missing = all.filter((_, i) => known[i] !== 1)
    await Promise.all(missing.map((s) => send(['SCRIPT', 'LOAD', s.source])))
  }

  // After SCRIPT FLUSH: those refused are run again in their order, before anything that was asked for meanwhile.
  let reloading: Promise<void> | null = null
  let refused: (() => void)[] = []
  const reload = (): Promise<void> => {
    reloading ??= Promise.all(Object.values(scripts).map((s) => send(['SCRIPT', 'LOAD', s.source]))).then(
      () => {
        reloading = null
        const again = refused
        refused = []
        for (const run of again) run()
      },
      (error: unknown) => {
        reloading = null
        const again = refused
        refused = []
        fail(error)
        for (const run of again) run()
      },
    )
    return reloading
  }
  const runKeys = (
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    again?: () => void,
  ): Promise<Reply> => {
    const later = (resolve: (reply: Promise<Reply>) => void): void => {
      refused.push(() => {
        again?.()
        resolve(runKeys(script, keys, args, again))
      })
    }
    if (reloading !== null) return new Promise(later)
    const command: Argument[] = ['EVALSHA', script.sha, String(keys.length), ...keys]
    for (let i = 0; i < args.length; i++) command.push(args[i] as Argument)
    return send(command).catch((error: unknown) => {
      const word = replyCode(error)
      if (word === 'READONLY') setup.demoted?.(error)
      if (word !== 'NOSCRIPT') throw error
      return new Promise<Reply>((resolve) => {
        later(resolve)
        void reload()
      })
    })
  }

  const abort = (): void => fail(signal.aborted ? signal.reason : silent(setup))
  within.addEventListener('abort', abort, { once: true })
  try {
    await untilAborted(client.connect(), within)
    const [id] = await Promise.all([
      send(['CLIENT', 'ID']).catch(() => 0),
      ...(setup.scripts ? [loadMissing()] : []),
    ])
    signal.throwIfAborted()
    // Lost before its number was known: nobody would ever hear of it.
    if (gone()) throw offline(cause)
    if (options.background === true) client.unref()
    state = 'open'
    return {
      address,
      id: Number(id),
      get dead() {
        return gone()
      },
      send,
      touch: () => {
        if (owed === 0) send(['PING']).catch(() => undefined)
      },
      excuse: () => {
        progressAt = performance.now()
      },
      runKeys,
      run: (script, key, args, again) => runKeys(script, [key], args, again),
      close: async (until) => {
        if (state === 'closed') return
        state = 'closed'
        clearInterval(watchdog)
        await atMost(client.close(), until)
        client.destroy()
      },
      destroy: (why) => {
        if (state === 'closed') return
        state = 'closed'
        cause = why
        clearInterval(watchdog)
        client.destroy()
      },
    }
  } catch (error) {
    const reason: unknown = signal.aborted ? signal.reason : (cause ?? error)
    state = 'closed'
    clearInterval(watchdog)
    client.destroy()
    attempt.abort(reason)
    throw reason
  } finally {
    within.removeEventListener('abort', abort)
  }
}

/** Asks one question over a connection of its own, all of it within `connectTimeoutMs`. */
export async function ask(
  setup: Pick<LinkOptions, 'address' | 'options' | 'credentials'>,
  question: readonly Argument[],
  signal: AbortSignal,
): Promise<Reply> {
  const within = deadlineSignal(signal, setup.options.connectTimeoutMs)
  const link = await openLink({ ...setup, scripts: false, lost: () => undefined }, within)
  try {
    return await untilAborted(link.send(question), within)
  } catch (error) {
    throw within.aborted && !signal.aborted ? silent(setup) : error
  } finally {
    link.destroy(undefined)
  }
}

/** The options for one of several servers that are asked in turn: each has a share of the time, so that one that stands still leaves some for the others. */
export function oneOf(options: ResolvedOptions, count: number): ResolvedOptions {
  if (count <= 1) return options
  const share = Math.max(1, Math.floor(options.connectTimeoutMs / count))
  return { ...options, connectTimeoutMs: Math.min(share, SHORT_MS) }
}

function silent({ address, options }: Pick<LinkOptions, 'address' | 'options'>): AdapterError {
  return new AdapterError(
    'MQ_CONNECTION',
    `Redis at ${address.host}:${address.port} was not ready within ${options.connectTimeoutMs} ms`,
    { retryable: true },
  )
}

/** Ends a read that waits at the server before its time. */
export function unblock(command: Link, waiting: Link): void {
  if (waiting.id === 0) return
  command.send(['CLIENT', 'UNBLOCK', String(waiting.id)]).catch((error: unknown) => {
    if (isPassing(error)) waiting.excuse()
  })
}

export function offline(cause: unknown): AdapterError {
  return new AdapterError('MQ_CONNECTION', 'the connection to Redis is closed', { retryable: true, cause })
}

function tlsOptions(options: ResolvedOptions, address: Address): object {
  const tls = options.tls
  if (tls === undefined || tls === false) return {}
  if (tls === true) return { tls: true, ...serverName(address.host) }
  return {
    tls: true,
    rejectUnauthorized: tls.verify,
    ...(tls.servername === undefined ? serverName(address.host) : { servername: tls.servername }),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  }
}

/** SNI takes no IP addresses. */
function serverName(host: string): object {
  return /^[\d.]+$|:/.test(host) ? {} : { servername: host }
}
