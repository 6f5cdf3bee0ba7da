import { performance } from 'node:perf_hooks'
import {
  AdapterError,
  atMost,
  type ConnectionEvents,
  deadlineSignal,
  sharedController,
  untilAborted,
} from '@mq/core/adapter'
import { type Acks, createAcks } from './acks.ts'
import { pause } from './abort.ts'
import { nameOf, readTopology, type Topology } from './cluster-map.ts'
import { unconfirmed } from './confirm.ts'
import { type Connection, FULL_MS } from './connection.ts'
import { classify, replyCode } from './errors.ts'
import { createIdleLinks, type IdleLinks } from './idle-links.ts'
import { rotated } from './rotated.ts'
import { hashTag } from './keys.ts'
import {
  type Address,
  type Argument,
  ask,
  type Link,
  offline,
  oneOf,
  openLink,
  type Reply,
  SHORT_MS,
  unblock,
} from './link.ts'
import type { ResolvedOptions } from './options.ts'
import { keepBusy, readFacts } from './server.ts'
import { slotOf, SLOTS } from './slots.ts'

/** How long a master that is away, or a slot on its way, is looked for in one go, in ms. */
const PATIENCE_MS = 60_000
const PAUSE_MS = 100

interface Node {
  readonly address: Address
  readonly command: Link
  /** Where a replica confirms what is published. */
  readonly acks: Acks
  readonly idle: IdleLinks
}

/**
 * Connects to the masters of a cluster, and follows it: a slot that moved is asked for where it is now, a master that died is replaced by
 * its successor. While one cannot be reached, what belongs to the others goes on. Only when none was for `PATIENCE_MS` the connection is lost.
 *
 * A slot on its way from one master to another (ASK, TRYAGAIN) is waited for: a queue's keys arrive one by one, and a script that ran among half
 * of them would take a queue for missing.
 */
export async function connectCluster(
  options: ResolvedOptions,
  on: ConnectionEvents,
  signal: AbortSignal,
): Promise<Connection> {
  // A dead host must not hold up the look at the others.
  const short = { ...options, connectTimeoutMs: Math.min(options.connectTimeoutMs, SHORT_MS) }
  let over = false
  let borrowed = 0
  let fullUntil = 0
  const stop = sharedController()
  const nodes = new Map<string, Node>()
  const opening = new Map<string, Promise<Node>>()
  let topology: Topology = { slots: [], masters: new Map() }
  let refreshing: Promise<void> | null = null
  let rest = (): void => undefined

  const end = (cause: unknown): void => {
    if (over) return
    over = true
    rest()
    stop.abort(offline(cause))
    for (const node of nodes.values()) dispose(node, cause)
    nodes.clear()
  }
  const giveUp = (cause: unknown): void => {
    if (over) return
    end(cause)
    on.lost(cause)
  }

  const openNode = (address: Address, signal: AbortSignal, within: ResolvedOptions): Promise<Node> => {
    const name = nameOf(address)
    const until = AbortSignal.any([stop.signal, signal])
    let pending = opening.get(name)
    if (pending === undefined) {
      pending = (async () => {
        const fail = (): void => {
          const node = nodes.get(name)
          if (node === undefined) return
          nodes.delete(name)
          dispose(node, undefined)
          refresh().catch((error: unknown) => {
            if (nodes.size === 0 || classify(error).code === 'MQ_AUTHENTICATION') giveUp(error)
          })
        }
        const command = await openLink({ address, options: within, scripts: true, lost: fail }, until)
        const acks = await untilAborted(
          createAcks({
            options,
            server: command,
            open: () =>
              openLink(
                { address, options: within, scripts: false, lost: fail },
                nodes.has(name) ? stop.signal : until,
              ),
          }),
          until,
        ).catch((error: unknown) => {
          command.destroy(error)
          throw error
        })
        const node: Node = { address, command, acks, idle: createIdleLinks() }
        // One may have died while the other was opened, when there was no node yet that could be given up.
        if (over || command.dead || acks.link?.dead === true) {
          dispose(node, undefined)
          throw offline(undefined)
        }
        nodes.set(name, node)
        return node
      })().finally(() => opening.delete(name))
      opening.set(name, pending)
    }
    return pending
  }

  /** Asks any node that answers. */
  const look = async (until: AbortSignal): Promise<void> => {
    let last: unknown = new AdapterError('MQ_UNAVAILABLE', 'no node of the cluster answers', {
      retryable: true,
    })
    for (const node of rotated(nodes, [...nodes.values()])) {
      try {
        topology = readTopology(
          await untilAborted(node.command.send(['CLUSTER', 'SLOTS']), until),
          node.address,
        )
        return
      } catch (error) {
        last = error
      }
    }
    const given = options.cluster ?? []
    const seeds = rotated(given, [...topology.masters.values()].map((m) => m.address).concat(given))
    const within = topology.masters.size === 0 ? oneOf(options, seeds.length) : short
    for (const address of seeds) {
      until.throwIfAborted()
      try {
        topology = readTopology(await ask({ address, options: within }, ['CLUSTER', 'SLOTS'], until), address)
        return
      } catch (error) {
        last = error
        if (classify(error).code === 'MQ_AUTHENTICATION') throw error
      }
    }
    throw last
  }

  /** What the cluster says of itself now; answers the masters that there is no connection to. */
  const lookForMissing = async (until: AbortSignal): Promise<Address[]> => {
    await look(until)
    if (topology.slots.length < SLOTS || topology.slots.includes(undefined)) {
      throw new AdapterError('MQ_UNAVAILABLE', 'some slots of the cluster have no master', {
        retryable: true,
      })
    }
    const missing = [...topology.masters.entries()].filter(([name]) => !nodes.has(name))
    return missing.map(([, { address }]) => address)
  }

  const connectMasters = async (until: AbortSignal): Promise<void> => {
    const missing = await lookForMissing(until)
    await Promise.all(missing.map((address) => openNode(address, until, short)))
    for (const [name, node] of nodes) {
      if (topology.masters.has(name)) continue
      nodes.delete(name)
      dispose(node, undefined)
    }
  }

  /**
   * The first time a master has all the time that there is, until another one is there: one that is away must not keep the queues of the others from being
   * used. It is waited for a little longer, then goes on connecting by itself, and who needs it waits.
   */
  const connectFirst = async (until: AbortSignal): Promise<void> => {
    const missing = await lookForMissing(until)
    const errors: unknown[] = []
    const all = missing.map((address) => openNode(address, until, options))
    for (const each of all) each.catch((error: unknown) => void errors.push(error))
    await untilAborted(
      Promise.any(all).catch(() => undefined),
      until,
    )
    await atMost(Promise.allSettled(all), deadlineSignal(until, SHORT_MS))
    const refused = errors.find((error) => classify(error).code === 'MQ_AUTHENTICATION')
    if (refused !== undefined || nodes.size === 0) throw refused ?? errors[0]
  }

  /** Until every slot has a master that answers. Shared by all who wait. */
  const refresh = (): Promise<void> => {
    refreshing ??= (async () => {
      const patience = deadlineSignal(stop.signal, PATIENCE_MS)
      for (;;) {
        try {
          return await connectMasters(patience)
        } catch (error) {
          if (patience.aborted || classify(error).code === 'MQ_AUTHENTICATION') throw error
        }
        await pause(PAUSE_MS, patience)
      }
    })().finally(() => {
      refreshing = null
    })
    return refreshing
  }

  const nodeFor = async (key: string): Promise<Node> => {
    for (;;) {
      if (over) throw offline(undefined)
      const name = topology.slots[slotOf(key)]
      const node = name === undefined ? undefined : nodes.get(name)
      if (node !== undefined) return node
      await untilAborted(refresh(), AbortSignal.timeout(options.commandTimeoutMs)).catch((error: unknown) => {
        throw new AdapterError('MQ_UNAVAILABLE', 'the master of this queue is away', {
          retryable: true,
          cause: error,
        })
      })
    }
  }

  /** Takes the new place of a slot from the answer: nodes that are asked for it may not have heard of it yet. `false`: it is not connected to. */
  const follow = (error: unknown): boolean => {
    const [, slot, to] = /MOVED (\d+) (\S+)/.exec((error as Error).message) ?? []
    if (slot === undefined || to === undefined || !nodes.has(to)) return false
    topology.slots[Number(slot)] = to
    return true
  }

  /** Runs something on the key's master, wherever that is by now. Only errors that mean "not here, not now" are repeated: nothing has run then. */
  const routed = async (key: string, call: (node: Node) => Promise<Reply>): Promise<Reply> => {
    const until = performance.now() + options.commandTimeoutMs
    for (let tries = 0; ; tries++) {
      const node = await nodeFor(key)
      try {
        return await call(node)
      } catch (error) {
        const word = replyCode(error)
        const elsewhere =
          word === 'MOVED' ||
          word === 'ASK' ||
          word === 'TRYAGAIN' ||
          word === 'CLUSTERDOWN' ||
          word === 'READONLY'
        if (!elsewhere || performance.now() > until || over) throw error
        if (tries > 0 || word !== 'MOVED') await pause(PAUSE_MS, stop.signal)
        if (word !== 'MOVED' || !follow(error)) {
          const left = deadlineSignal(stop.signal, Math.max(1, until - performance.now()))
          await untilAborted(refresh(), left).catch(() => {
            throw error
          })
        }
      }
    }
  }

  /** Whether one more socket may be opened; an idle one of another master makes room. */
  const hasRoom = (): boolean => {
    const idle = [...nodes.values()].map((node) => node.idle)
    const open = borrowed + nodes.size + idle.reduce((sum, { size }) => sum + size, 0)
    if (open < options.maxConnections) return true
    const spare = idle.find(({ size }) => size > 0)?.take()
    spare?.destroy(undefined)
    return spare !== undefined
  }

  try {
    await connectFirst(signal)
    const first = nodes.values().next().value as Node
    const facts = await untilAborted(readFacts(first.command, options), signal)
    rest = keepBusy(facts, () => [...nodes.values()].flatMap(linksOf))
    return {
      facts,
      together: (a, b) => hashTag(a) === hashTag(b),
      reaches: (key) => nodes.has(topology.slots[slotOf(key)] ?? ''),
      // A call may be sent again elsewhere while later ones run: their order says nothing.
      publisher: null,
      run: (script, key, args) => routed(key, (node) => node.command.run(script, key, args)),
      runKeys: (script, keys, args) =>
        routed(keys[0] as string, (node) => node.command.runKeys(script, keys, args)),
      publish: async (script, key, args) => {
        let ran = false
        try {
          return await routed(key, async (node) => {
            const reply = await node.command.run(script, key, ran ? repeated(args) : args)
            ran = true
            await node.acks.confirm?.(key)
            return reply
          })
        } catch (error) {
          throw ran ? unconfirmed(error) : error
        }
      },
      send: (key, args: readonly Argument[]) => routed(key, (node) => node.command.send(args)),
      borrow: async (key, until) => {
        const node = await untilAborted(nodeFor(key), until)
        const free = node.idle.take()
        if (free !== undefined) {
          borrowed++
          return free
        }
        if (performance.now() < fullUntil || !hasRoom()) return null
        borrowed++
        try {
          return await openLink(
            { address: node.address, options: short, scripts: false, lost: () => undefined },
            AbortSignal.any([stop.signal, until]),
          )
        } catch (error) {
          borrowed--
          if (replyCode(error) !== 'MAXCLIENTS') throw error
          fullUntil = performance.now() + FULL_MS
          return null
        }
      },
      giveBack: (link) => {
        borrowed--
        const node = nodes.get(nameOf(link.address))
        if (node !== undefined && !over && !link.dead) node.idle.put(link)
        else link.destroy(undefined)
      },
      unblock: (_, link) => {
        const node = nodes.get(nameOf(link.address))
        if (node === undefined) link.destroy(undefined)
        else unblock(node.command, link)
      },
      async survived(error) {
        if (over) return false
        const word = replyCode(error)
        // The stream is gone from where it was: deleted, or carried to another master. Reading again tells.
        if (word === 'UNBLOCKED') return true
        if (word === 'MOVED' && follow(error)) return true
        const { code } = classify(error)
        if (code !== 'MQ_CONNECTION' && code !== 'MQ_UNAVAILABLE') return false
        await pause(PAUSE_MS, stop.signal)
        await refresh()
        return true
      },
      close: async (until) => {
        if (over) return
        over = true
        rest()
        stop.abort(offline(undefined))
        const all = [...nodes.values()]
        nodes.clear()
        await Promise.all(all.map((node) => node.command.close(until)))
        for (const node of all) dispose(node, undefined)
      },
      destroy: end,
    }
  } catch (error) {
    end(error)
    throw error
  }
}

/** Arguments of the publish script for a call that has run already: where its mark has arrived, its messages have. */
function repeated(args: readonly Argument[]): Argument[] {
  const [mode = '', publisher = '', sequence = '', life = '', checks = '', ...messages] = args
  const own = `${String(publisher)},${String(sequence)}`
  const earlier = checks === '' ? [] : String(checks).split(';')
  const all = earlier.includes(own) ? earlier : [...earlier, own]
  return [mode, publisher, sequence, life, all.join(';'), ...messages]
}

function linksOf({ command, acks, idle }: Node): Link[] {
  return acks.link === null ? [command, ...idle.all()] : [command, acks.link, ...idle.all()]
}

function dispose({ command, acks, idle }: Node, cause: unknown): void {
  acks.stop()
  command.destroy(cause)
  acks.link?.destroy(cause)
  idle.destroy(cause)
}
