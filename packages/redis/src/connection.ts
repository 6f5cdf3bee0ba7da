import { performance } from 'node:perf_hooks'
import { AdapterError, type ConnectionEvents, sharedController, untilAborted } from '@mq/core/adapter'
import { createAcks } from './acks.ts'
import { type Caller, createCaller } from './caller.ts'
import { type Confirm, unconfirmed } from './confirm.ts'
import { replyCode } from './errors.ts'
import { createIdleLinks } from './idle-links.ts'
import { type Address, type Argument, type Link, offline, openLink, type Reply, unblock } from './link.ts'
import type { ResolvedOptions } from './options.ts'
import type { Script } from './scripts/index.ts'
import { masterOf } from './sentinel.ts'
import { keepBusy, type ServerFacts, readFacts } from './server.ts'

/** The sockets of one connected adapter. Keys say which server, so that callers need not know whether there is a cluster. */
export interface Connection {
  readonly facts: ServerFacts
  /** Whether one script can reach both keys. */
  together(a: string, b: string): boolean
  /** Whether there is a connection to the key's server: in a cluster some may be away. */
  reaches(key: string): boolean
  /** The publisher that this connection is; its calls run in order. `null` where order is not given: then each call has a name of its own. */
  readonly publisher: Caller | null
  run(script: Script, key: string, args: readonly Argument[]): Promise<Reply>
  runKeys(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply>
  /** `again`: as for a link; never called where `publisher` is null. */
  publish(script: Script, key: string, args: readonly Argument[], again?: () => void): Promise<Reply>
  send(key: string, args: readonly Argument[]): Promise<Reply>
  /** A socket for waiting reads of this key; `null` when all are taken, or the server has no room for one more. Rejects when the signal aborts. */
  borrow(key: string, signal: AbortSignal): Promise<Link | null>
  giveBack(link: Link): void
  /** Ends a waiting read before its time. */
  unblock(key: string, link: Link): void
  /** After a failed read: whether reading may simply go on, because the connection mended itself. */
  survived(error: unknown): Promise<boolean>
  close(signal: AbortSignal): Promise<void>
  destroy(cause: unknown): void
}

/** How long a server that has no room for another client is not asked again, in ms. */
export const FULL_MS = 1_000

/** Connects to a single server, or to the master that the sentinels name. */
export async function connectSingle(
  options: ResolvedOptions,
  on: ConnectionEvents,
  signal: AbortSignal,
): Promise<Connection> {
  const address: Address = options.sentinel ? await masterOf(options, signal) : options
  // What is still being opened ends with the connection.
  const stop = sharedController()
  let over = false
  let connecting = true
  const all = new Set<Link>()
  const idle = createIdleLinks((link) => all.delete(link))
  let borrowed = 0
  let fullUntil = 0
  let rest = (): void => undefined

  const end = (cause: unknown): void => {
    if (over) return
    over = true
    rest()
    stop.abort(offline(cause))
    idle.destroy(cause)
    for (const link of all) link.destroy(cause)
    all.clear()
  }
  const lost = (cause: unknown): void => {
    if (over) return
    end(cause)
    on.lost(cause)
  }
  const open = async (withScripts: boolean, until: AbortSignal): Promise<Link> => {
    const within = AbortSignal.any([stop.signal, until])
    // After a fail-over the name, or the sentinels, may lead to another server by now.
    const link = await openLink({ address, options, scripts: withScripts, lost, demoted: lost }, within)
    if (over) {
      link.destroy(offline(undefined))
      throw offline(undefined)
    }
    all.add(link)
    return link
  }

  try {
    const command = await open(true, signal)
    const facts = await untilAborted(readFacts(command, options), signal)
    if (options.sentinel && facts.role !== 'master') {
      throw new AdapterError(
        'MQ_UNAVAILABLE',
        `Redis at ${address.host}:${address.port} is not a master any more`,
        { retryable: true },
      )
    }
    const acks = await untilAborted(
      createAcks({
        options,
        server: command,
        // A first look is part of the connect, later ones are not.
        open: () => open(false, connecting ? signal : stop.signal),
      }),
      signal,
    )
    connecting = false
    const restless = keepBusy(facts, () => all)
    rest = () => {
      acks.stop()
      restless()
    }
    // Lost meanwhile, when there was nothing yet to stop.
    if (stop.signal.aborted) rest()
    const confirmed = async (call: Promise<Reply>, confirm: Confirm, key: string): Promise<Reply> => {
      const reply = await call
      await confirm(key).catch((error: unknown) => {
        throw unconfirmed(error)
      })
      return reply
    }
    return {
      facts,
      together: () => true,
      reaches: () => true,
      publisher: createCaller(`${facts.runId}.${command.id}.${Math.random().toString(36).slice(2, 12)}`),
      run: (script, key, args) => command.run(script, key, args),
      runKeys: (script, keys, args) => command.runKeys(script, keys, args),
      publish: (script, key, args, again) => {
        const { confirm } = acks
        const call = command.run(script, key, args, again)
        return confirm === null ? call : confirmed(call, confirm, key)
      },
      send: (_, args) => command.send(args),
      borrow: async (_, until) => {
        const free = idle.take()
        if (free !== undefined) {
          borrowed++
          return free
        }
        if (borrowed + 1 >= options.maxConnections || performance.now() < fullUntil) return null
        borrowed++
        try {
          return await open(false, until)
        } catch (error) {
          borrowed--
          if (replyCode(error) !== 'MAXCLIENTS') throw error
          fullUntil = performance.now() + FULL_MS
          return null
        }
      },
      giveBack: (link) => {
        borrowed--
        if (!over && !link.dead) idle.put(link)
      },
      unblock: (_, link) => {
        if (!over) unblock(command, link)
      },
      survived: () => Promise.resolve(false),
      close: async (until) => {
        if (over) return
        over = true
        rest()
        stop.abort(offline(undefined))
        idle.destroy(undefined)
        for (const link of all) if (link !== command) link.destroy(undefined)
        await command.close(until)
        all.clear()
      },
      destroy: end,
    }
  } catch (error) {
    end(error)
    throw error
  }
}
