import { performance } from 'node:perf_hooks'
import { type Buffer } from 'node:buffer'
import {
  atMost,
  deadlineSignal,
  type DeadLetterInfo,
  type Delivery,
  onAbort,
  type Receiver,
  type SettleOutcome,
  type Source,
  untilAborted,
} from '@mq/core/adapter'
import { pause } from './abort.ts'
import type { Connection } from './connection.ts'
import { isPassing, notFound } from './errors.ts'
import type { Keys } from './keys.ts'
import type { Argument, Reply } from './link.ts'
import { deadLetterFull, moveAcross, tooManyFields } from './move.ts'
import { scripts } from './scripts/index.ts'
import { decode, failureFields, type Held } from './wire.ts'

/** Longest wait at the server in one piece, in ms: a delayed message of another process becomes due unannounced. */
const LONGEST_BLOCK = 250
/** How long a receiver that has no connection to wait on rests between two looks: at first, and the longest after many that were in vain, in ms. */
const REST = { first: 25, longest: 250 } as const
/** Pause before a server that refuses for now is asked again, and how long one look, for which others may wait, goes on asking, in ms. */
const REFUSED = { pause: 100, look: 1_000 } as const
/** Entries in one settling or renewing script. */
const MOST_SETTLED = 250

export interface ReceiverSetup {
  readonly connection: Connection
  readonly keys: Keys
  readonly base: string
  readonly source: Source
  /** Name of the group's consumer; its end is the lease, which the scripts read. */
  readonly consumer: string
  /** A plain queue is read and acknowledged without looking at each message in a script. As it is now. */
  readonly plain: boolean
  readonly leastLeaseMs: number
  closed(receiver: RedisReceiver): void
  delayed(base: string, delayMs: number): void
}

export interface RedisReceiver extends Receiver {
  readonly base: string
  /** Something of this queue becomes due in so many ms. */
  due(inMs: number): void
}

/** One consumer of a queue or subscription. */
export function createReceiver(setup: ReceiverSetup): RedisReceiver {
  const { connection, base, consumer, source } = setup
  let { plain } = setup
  const stream = `${base}s:0`
  const reclaimEvery = Math.min(1_000, Math.max(25, setup.leastLeaseMs / 4))
  let closed: Promise<void> | null = null
  let receiving: Promise<readonly Delivery[]> | null = null
  /** Server time of the last answer, in ms: whatever is read later is leased at least until then plus the lease. */
  let serverTime = 0
  let nextTend = 0
  let nextReclaim = 0
  let waiting: { stop(): void; readonly until: number } | null = null
  let rest: number = REST.first
  /** For how long the server could not be read from, in ms. */
  let refusedMs = 0

  const held = (entries: readonly Reply[], from: number): Held[] =>
    (entries as readonly (readonly [Buffer, Buffer, readonly Reply[], number])[]).map((entry) =>
      decode(String(entry[0]), entry[1], entry[2], entry[3], from + source.leaseMs, entry, false),
    )

  /** Promotes, reclaims, and reads the lanes of a queue that is not plain. Answers also the last id of the wake stream. */
  const take = async (max: number): Promise<{ deliveries: Held[]; wake: string; more: boolean }> => {
    const now = performance.now()
    const look = now >= nextReclaim
    if (look) nextReclaim = now + reclaimEvery
    const counts = source.mode === 'consume' ? '1' : '0'
    const reply = await connection.run(scripts.take, base, [consumer, String(max), look ? '1' : '0', counts])
    if (reply === null) throw notFound(source.target)
    const [time, due, last, entries, more, isPlain] = reply as readonly [
      number,
      Buffer,
      Buffer | string,
      readonly Reply[],
      number,
      number,
    ]
    serverTime = time
    plain = isPlain === 1
    const dueIn = Number(due) === 0 ? Number.POSITIVE_INFINITY : Number(due) - time
    nextTend = performance.now() + Math.max(0, Math.min(LONGEST_BLOCK, reclaimEvery, dueIn))
    const deliveries = held(entries, time)
    // Nothing but what others held came: there may be more of it.
    if (look && (deliveries[max - 1]?.count ?? 1) > 1) nextReclaim = nextTend = 0
    return { deliveries, wake: String(last), more: more === 1 }
  }

  const read = async (
    link: { send(args: readonly Argument[], blockMs?: number): Promise<Reply> },
    max: number,
    blockMs: number,
  ): Promise<Held[]> => {
    const from = serverTime
    const args = ['XREADGROUP', 'GROUP', 'mq', consumer, 'COUNT', String(max)]
    if (blockMs > 0) args.push('BLOCK', String(blockMs))
    args.push('STREAMS', stream, '>')
    const reply = await link.send(args, blockMs)
    if (reply === null) return []
    const entries =
      (reply as readonly (readonly [Buffer, readonly (readonly [Buffer, readonly Reply[]])[]])[])[0]?.[1] ??
      []
    const leaseEnd = from + source.leaseMs
    return entries.map((entry) => decode('0', entry[0], entry[1], 1, leaseEnd, entry, false))
  }

  const command = { send: (args: readonly Argument[]) => connection.send(base, args) }

  /** Waits at the server for up to `ms`; what a plain queue has then is the answer, of others one has to look again. */
  const wait = async (max: number, ms: number, wake: string, signal: AbortSignal): Promise<Held[]> => {
    const link = await connection.borrow(base, signal)
    if (link === null) {
      if (signal.aborted) return []
      const woken = new AbortController()
      const stop = (): void => woken.abort()
      waiting = { stop, until: performance.now() + ms }
      const heard = onAbort(signal, stop)
      await pause(Math.min(rest, ms), woken.signal).catch(() => undefined)
      heard()
      waiting = null
      rest = woken.signal.aborted ? REST.first : Math.min(rest * 2, REST.longest)
      return plain && closed === null ? read(command, max, 0) : []
    }
    // Again until it is heard: the call to unblock may overtake the read that it is meant for.
    let again: NodeJS.Timeout | undefined
    const stop = (): void => {
      connection.unblock(base, link)
      again ??= setInterval(() => connection.unblock(base, link), 20)
    }
    // The server's own timeouts are as coarse as its cron (100 ms): ours comes first.
    const blockMs = Math.ceil(ms) + 200
    const timer = setTimeout(stop, ms)
    waiting = { stop, until: performance.now() + ms }
    const heard = onAbort(signal, stop)
    try {
      if (signal.aborted || closed !== null) return []
      if (plain) return await read(link, max, blockMs)
      await link.send(['XREAD', 'BLOCK', String(blockMs), 'COUNT', '1', 'STREAMS', `${base}w`, wake], blockMs)
      return []
    } finally {
      waiting = null
      clearTimeout(timer)
      clearInterval(again)
      heard()
      connection.giveBack(link)
    }
  }

  /** `until`: in monotonic ms, the end of `waitMs`. */
  const readUntil = async (
    max: number,
    signal: AbortSignal,
    until: number,
    waitMs: number,
  ): Promise<readonly Delivery[]> => {
    for (let first = true; ; first = false) {
      if (signal.aborted || closed !== null) return []
      let wake = '0-0'
      if (!plain || performance.now() >= nextTend || (first && waitMs === 0)) {
        const taken = await take(max)
        if (taken.deliveries.length > 0) return taken.deliveries
        if (taken.more) continue
        wake = taken.wake
      }
      const now = performance.now()
      const left = until - now
      if (plain && (waitMs === 0 || left < 1)) {
        const got = await read(command, max, 0)
        if (got.length > 0 || left < 1) return got
      }
      if (left < 1) return []
      const got = await wait(max, Math.min(left, LONGEST_BLOCK, Math.max(1, nextTend - now)), wake, signal)
      if (got.length > 0) return got
    }
  }

  /**
   * A server that refuses everybody for now (the script of another runs too long, say) takes nothing from those who hold messages, and neither does a master
   * of a cluster that is replaced: what it had leased, its successor knows. So it is asked again. Not for longer than a lease: then it may, and core has to know.
   */
  const receive = async (max: number, signal: AbortSignal, waitMs: number): Promise<readonly Delivery[]> => {
    const until = performance.now() + waitMs
    const patience = waitMs === 0 ? Math.min(REFUSED.look, source.leaseMs) : source.leaseMs
    for (;;) {
      const begun = performance.now()
      try {
        const got = await readUntil(max, signal, until, waitMs)
        refusedMs = 0
        return got
      } catch (error) {
        if (refusedMs >= patience) throw error
        // Who waits for a message waits for that as well.
        const left = waitMs === 0 ? patience - refusedMs : Math.max(1, until - performance.now())
        const within = deadlineSignal(signal, left)
        const mended = untilAborted(connection.survived(error), within)
        if (!(await mended.catch(() => within.aborted && waitMs > 0))) {
          if (!isPassing(error)) throw error
          await pause(REFUSED.pause, signal)
        }
        refusedMs += performance.now() - begun
        if (waitMs > 0 && performance.now() >= until) return []
      }
    }
  }

  const settle = async (
    operation: 'ack' | 'release' | 'retry' | 'dead',
    deliveries: readonly Held[],
    parameter: string,
    failures?: readonly DeadLetterInfo[],
  ): Promise<readonly SettleOutcome[]> => {
    const chunks: Promise<readonly SettleOutcome[]>[] = []
    for (let from = 0; from < deliveries.length; from += MOST_SETTLED) {
      const part = deliveries.slice(from, from + MOST_SETTLED)
      const args: Argument[] = [operation, consumer, parameter]
      part.forEach((d, i) => {
        args.push(d.lane, d.entryId, String(d.count), d.key ?? '')
        const failure = failures?.[from + i]
        const extra = failure === undefined ? [] : failureFields(failure)
        args.push(String(extra.length), ...extra)
      })
      chunks.push(
        connection.run(scripts.settle, base, args).then(
          (reply) => {
            const [time, ...statuses] = reply as number[]
            serverTime = time as number
            return statuses.map((status): SettleOutcome =>
              status === 1
                ? 'settled'
                : status === 0
                  ? 'lost'
                  : { error: status === -1 ? deadLetterFull() : tooManyFields() },
            )
          },
          (error: unknown) => part.map(() => ({ error })),
        ),
      )
    }
    return chunks.length === 1
      ? (chunks[0] as Promise<readonly SettleOutcome[]>)
      : (await Promise.all(chunks)).flat()
  }

  const acknowledge = async (deliveries: readonly Held[]): Promise<readonly SettleOutcome[]> => {
    let end = Number.POSITIVE_INFINITY
    let expiring = '0'
    const args: string[] = ['', '']
    for (const d of deliveries) {
      if (d.leaseEnd < end) end = d.leaseEnd
      if (d.expiresAt !== undefined) expiring = '1'
      args.push(d.entryId)
    }
    args[0] = String(end)
    args[1] = expiring
    let reply: Reply
    try {
      reply = await connection.run(scripts.acknowledge, base, args)
    } catch (error) {
      return deliveries.map(() => ({ error }))
    }
    if (reply === -1) return settle('ack', deliveries, '')
    if (typeof reply === 'number') {
      serverTime = reply
      return deliveries.map(() => 'settled')
    }
    const [time, ...statuses] = reply as number[]
    serverTime = time as number
    return statuses.map((status) => (status === 1 ? 'settled' : 'lost'))
  }

  const renew = async (deliveries: readonly Held[]): Promise<readonly SettleOutcome[]> => {
    const args: string[] = [consumer]
    for (const d of deliveries) args.push(d.lane, d.entryId, String(d.count))
    try {
      const [time, ...statuses] = (await connection.run(scripts.renew, base, args)) as number[]
      serverTime = time as number
      return statuses.map((status, i) => {
        if (status !== 1) return 'lost'
        ;(deliveries[i] as Held).leaseEnd = (time as number) + source.leaseMs
        return 'settled'
      })
    } catch (error) {
      return deliveries.map(() => ({ error }))
    }
  }

  const receiver: RedisReceiver = {
    base,
    due(inMs) {
      const at = performance.now() + inMs
      if (at < nextTend) nextTend = at
      if (waiting !== null && at < waiting.until) waiting.stop()
    },
    receive(max, signal, waitMs = 1_000) {
      if (closed !== null) return Promise.resolve([])
      receiving = receive(max, signal, waitMs).then(
        (got) => {
          if (got.length > 0) rest = REST.first
          return got
        },
        (error: unknown) => {
          if (signal.aborted || closed !== null) return []
          throw error
        },
      )
      return receiving
    },
    ack(deliveries) {
      if (!plain) return settle('ack', deliveries as readonly Held[], '')
      if (deliveries.length <= MOST_SETTLED) return acknowledge(deliveries as readonly Held[])
      const parts: Promise<readonly SettleOutcome[]>[] = []
      for (let i = 0; i < deliveries.length; i += MOST_SETTLED)
        parts.push(acknowledge(deliveries.slice(i, i + MOST_SETTLED) as Held[]))
      return Promise.all(parts).then((all) => all.flat())
    },
    release: (deliveries) => settle('release', deliveries as readonly Held[], ''),
    async retry(deliveries, delayMs) {
      const outcomes = await settle('retry', deliveries as readonly Held[], String(Math.ceil(delayMs)))
      if (delayMs > 0) setup.delayed(base, delayMs)
      return outcomes
    },
    deadLetter(deliveries, failures, target) {
      const to = setup.keys.target(target)
      if (!connection.together(base, to))
        return moveAcross(connection, receiver, base, deliveries as readonly Held[], failures, to, target)
      return settle('dead', deliveries as readonly Held[], to, failures)
    },
    async renew(deliveries) {
      const parts: Promise<readonly SettleOutcome[]>[] = []
      for (let i = 0; i < deliveries.length; i += MOST_SETTLED)
        parts.push(renew(deliveries.slice(i, i + MOST_SETTLED) as Held[]))
      return (await Promise.all(parts)).flat()
    },
    close(signal) {
      closed ??= (async () => {
        // The wait ends first: what it still leases has to be given back too.
        if (waiting !== null) waiting.stop()
        if (receiving !== null) await atMost(receiving, signal)
        while (!signal.aborted) {
          if (
            (await untilAborted(connection.run(scripts.open, base, ['close', consumer, '0', '']), signal)) ===
            0
          )
            break
        }
      })()
        .catch(() => undefined)
        .finally(() => setup.closed(receiver))
      return closed
    },
  }
  return receiver
}
