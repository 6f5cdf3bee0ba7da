import { performance } from 'node:perf_hooks'
import type { Channel } from 'amqplib'
import { atMost, type Delivery, type Receiver, type SettleOutcome } from '@mq/core/adapter'
import { closeCause, closeChannel, closeQuietly } from './connection.ts'
import { flush, flushGot } from './flush.ts'
import { getOne } from './get-one.ts'
import { createInbox } from './inbox.ts'
import { partitionQueue, queueOf } from './names.ts'
import { inspect, openError, type ReceiverSetup, refuseGone, stillThere, TRUST_MS } from './receiver.ts'
import { createSettler, type Settler } from './settler.ts'
import { createWaits } from './waits.ts'
import { decode, type Held } from './wire.ts'

/** How often a queue is asked again where no consumer may wait for a message. */
const POLL_MS = 50

/** How long the end of a channel may take, in ms. */
const END_MS = 5_000

/** How long the only consumer of a queue that said it is not empty waits for its message. */
const SHORT_WAIT_MS = 500

/** A channel, and what came over it. */
interface Session {
  readonly channel: Channel
  readonly settler: Settler
  /** By physical queue: the consumer that got the message which is unsettled. */
  readonly consumers: Map<string, string>
  /** On purpose. */
  ended: boolean
}

/**
 * Takes exactly as many messages as are asked for: `basic.get`, and while nothing is there a consumer that gets one message and is
 * cancelled. With a single active consumer `get` is refused, so there it is always such a consumer, which stays as long as its message is unsettled: it takes no
 * other, and nobody else becomes active.
 */
export async function openPull(setup: ReceiverSetup): Promise<Receiver> {
  const { connection, publisher, topology, source } = setup
  const queue = queueOf(source.target)
  const known = await inspect(topology, source.target)
  const ordered = known.ordered || source.ordered
  const role = known.exclusive ? 'consume' : 'admin'
  const queues = Array.from({ length: known.partitions }, (_, n) => partitionQueue(queue, n))
  const inbox = createInbox()
  const waits = createWaits()
  let closing: Promise<void> | null = null
  let looks = 0

  const deadLetters = () => topology.peek(queue)?.deadLetterQueue ?? null
  const begin = async (): Promise<Session> => {
    const channel = await connection.channel('consume')
    const settler = createSettler(connection, channel, publisher, deadLetters, (deliveries, cause) => {
      if (closing === null && !begun.ended) setup.lost(deliveries, cause)
    })
    const begun: Session = { channel, settler, consumers: new Map(), ended: false }
    channel.on('close', () => {
      if (begun.ended) return
      waits.stop()
      inbox.drain()
      inbox.fail(openError(source.target, closeCause(channel)))
      if (closing === null) setup.closed(receiver)
    })
    return begun
  }
  let session = await begin()
  /** Physical queues from which a message is unsettled: with order, the next of its key must not come meanwhile. */
  const busy = new Map<string, Held>()
  /** Those of them whose wait for another attempt is over. They wait here: a copy would come behind the next of its key. */
  const again: Held[] = []
  /** Ends the wait for others. */
  let stir = (): void => undefined

  /** Up to `max` that are there now. */
  const get = async (max: number, signal: AbortSignal): Promise<Held[]> => {
    const { channel, settler } = session
    const got: Held[] = []
    for (let n = 0; n < queues.length && got.length < max; n++) {
      const physical = queues[(looks + n) % queues.length] as string
      while (got.length < max && !signal.aborted) {
        // Waited for even when the signal aborts: it may hold a message.
        const held = await getOne(connection, channel, settler, physical, undefined).catch(
          async (error: unknown) => {
            await settler.release(got)
            throw error
          },
        )
        if (held === null) break
        got.push(held)
      }
    }
    looks++
    return got
  }

  /** Instead of the one that ended on purpose. */
  const beginAgain = async (): Promise<void> => {
    session = await begin()
    if (closing !== null) closeQuietly(session.channel)
  }

  /**
   * Ends a consumer that got nothing in time. With order not by cancelling it: what is on its way by then would be here without a consumer, and the next of its key with
   * another one. The end of the channel puts it back before anybody else is served.
   */
  const leaveOff = async (
    from: Session,
    physical: string,
    consumerTag: string,
    told: boolean,
  ): Promise<readonly Held[]> => {
    const { channel, settler } = from
    // What was settled lately would end with the channel. A consumer that stayed for want of an answer would take messages for nobody.
    if (ordered && settler.written > 0 && !settler.closed)
      await flush(connection, channel, physical, settler.written, role).catch(() => undefined)
    if (settler.closed || from.ended) return []
    if (ordered && inbox.size === 0 && settler.open === 0) {
      from.ended = true
      await closeChannel(channel, AbortSignal.timeout(END_MS))
    } else if (ordered && inbox.size > 0) from.consumers.set(physical, consumerTag)
    else if (!told) {
      await refuseGone(topology, queue)
      await connection.rpc(channel.cancel(consumerTag), 'cancelling')
    }
    return inbox.drain()
  }

  /** One message from this queue, if any comes in time. */
  const wait = async (physical: string, signal: AbortSignal, waitMs: number): Promise<readonly Held[]> => {
    if (session.ended) await beginAgain()
    const mine = session
    const { channel, settler, consumers } = mine
    await connection.rpc(channel.prefetch(1), 'setting the prefetch')
    let cancelled = false
    // No `AbortSignal.any`: on Node 20 a signal keeps a little of each for as long as it lives, and some last as long as their loop.
    const over = new AbortController()
    const end = (): void => over.abort()
    const { consumerTag } = await connection.rpc(
      channel.consume(physical, (raw) => {
        if (raw === null) {
          cancelled = true
          return end()
        }
        const held = decode(raw, physical, undefined)
        settler.add(held)
        if (!mine.ended) inbox.push(held)
      }),
      'subscribing',
    )
    if (signal.aborted || again.length > 0) end()
    else signal.addEventListener('abort', end, { once: true })
    stir = end
    let got: readonly Held[]
    try {
      got = await inbox.take(1, over.signal, waitMs)
    } finally {
      signal.removeEventListener('abort', end)
    }
    // Back in its queue by the end of the channel.
    if (mine.ended) return []
    if (ordered && got.length > 0) consumers.set(physical, consumerTag)
    else got = [...got, ...(await leaveOff(mine, physical, consumerTag, cancelled))]
    if (cancelled && got.length === 0) await stillThere(topology, queue)
    return got
  }

  /**
   * One message of a queue that has any. Never of several at once: what nobody asked for would be given back, which the server counts until the message seems to be
   * poison; and its consumer is cancelled by then, so that others would get the next of its key first.
   */
  const getOrdered = async (
    free: readonly string[],
    signal: AbortSignal,
    until: number,
    waitMs: number,
  ): Promise<readonly Held[]> => {
    const from = looks++
    const take = async (physical: string, ms: number): Promise<readonly Held[]> =>
      ms <= 0 || signal.aborted || again.length > 0 ? [] : wait(physical, signal, ms)
    /** Where another consumer may be the active one. */
    const others: string[] = []
    for (let n = 0; n < free.length; n++) {
      const physical = free[(from + n) % free.length] as string
      const { messageCount, consumerCount } = await connection.admin(
        (admin) => admin.checkQueue(physical),
        role,
      )
      if (messageCount === 0) continue
      if (consumerCount > 0) others.push(physical)
      else {
        const got = await take(physical, SHORT_WAIT_MS)
        if (got.length > 0) return got
      }
    }
    // No longer for all of them together than for one: what comes to another queue meanwhile waits, too.
    const each = SHORT_WAIT_MS / others.length
    for (const physical of others) {
      const got = await take(physical, waitMs === 0 ? each : Math.min(each, until - performance.now()))
      if (got.length > 0) return got
    }
    return []
  }

  const receiveOrdered = async (
    max: number,
    signal: AbortSignal,
    waitMs: number,
  ): Promise<readonly Held[]> => {
    const until = performance.now() + waitMs
    for (;;) {
      for (const [physical, held] of busy) if (held.state === 'settled') busy.delete(physical)
      if (again.length > 0) return again.splice(0, max)
      const free = queues.filter((physical) => !busy.has(physical))
      // A consumer waits where there is but one queue; of several it is asked where something is.
      const got =
        queues.length === 1 && free.length === 1 && waitMs > 0
          ? await wait(queue, signal, Math.min(until - performance.now(), TRUST_MS))
          : await getOrdered(free, signal, until, waitMs)
      for (const held of got) busy.set(held.queue, held)
      if (got.length > 0) return got
      if (session.settler.closed && !session.ended) return inbox.take(max, signal, 0)
      if (again.length === 0) await pause(Math.min(POLL_MS, until - performance.now()), signal)
      if (signal.aborted || performance.now() >= until) return again.splice(0, max)
    }
  }

  /** The next of their queues may go to anybody: they are about to be settled. */
  const letGo = async (deliveries: readonly Delivery[]): Promise<void> => {
    const { channel, consumers, settler } = session
    const ending: string[] = []
    for (const { queue: physical } of deliveries as readonly Held[]) {
      const tag = consumers.get(physical)
      if (tag !== undefined) ending.push(tag)
      consumers.delete(physical)
    }
    if (settler.closed) return
    // What cannot be told here cannot be settled either.
    await Promise.all(ending.map((tag) => connection.rpc(channel.cancel(tag), 'cancelling'))).catch(
      () => undefined,
    )
  }

  const receiver: Receiver = {
    async receive(max, signal, waitMs = 1000) {
      if (signal.aborted) return []
      if (session.settler.closed && !session.ended) return inbox.take(max, signal, 0)
      if (session.ended) await beginAgain()
      try {
        if (ordered) return await receiveOrdered(max, signal, waitMs)
        const until = performance.now() + waitMs
        for (;;) {
          const got = await get(max, signal)
          const left = until - performance.now()
          if (got.length > 0 || left <= 0 || signal.aborted) return got
          // A queue that goes with its last consumer must not have one for a moment only.
          if (known.autoDelete) await pause(Math.min(left, POLL_MS), signal)
          else {
            const waited = await wait(queue, signal, Math.min(left, TRUST_MS))
            if (waited.length > 0) return waited
          }
        }
      } catch (error) {
        if (session.ended) return []
        throw openError(source.target, session.settler.closed ? closeCause(session.channel) : error)
      }
    },
    async ack(deliveries) {
      if (ordered) await letGo(deliveries)
      return session.settler.ack(deliveries)
    },
    async release(deliveries) {
      const { channel, settler } = session
      if (!ordered || settler.closed) return settler.release(deliveries, !ordered)
      const physicals = new Set(deliveries.map((each) => (each as Held).queue))
      const flushed = async (n: number): Promise<void> => {
        for (const physical of physicals)
          await flush(connection, channel, physical, n, role).catch(() => undefined)
      }
      const outcomes = await settler.renew(deliveries)
      const n = outcomes.filter((outcome) => outcome === 'settled').length
      if (n === 0) return outcomes
      if (settler.open > n) {
        await letGo(deliveries)
        const released = await settler.release(deliveries)
        await flushed(n)
        return released
      }
      // Nothing else is held: the end of the channel puts them back before anybody else is served, as cancelling would not.
      session.ended = true
      stir()
      await atMost(settler.replaced(), AbortSignal.timeout(END_MS))
      await flushed(settler.written)
      await closeChannel(channel, AbortSignal.timeout(END_MS))
      return outcomes
    },
    async retry(deliveries, delayMs) {
      const { settler } = session
      if (!ordered) return settler.retry(deliveries, delayMs)
      return deliveries.map((delivery): SettleOutcome => {
        const held = settler.again(delivery)
        if (held === null) return 'lost'
        busy.set(held.queue, held)
        const due = (): void => {
          again.push(held)
          stir()
        }
        waits.after(delayMs + 1, due)
        return 'settled'
      })
    },
    async deadLetter(deliveries, failures, target) {
      if (ordered) await letGo(deliveries)
      return session.settler.deadLetter(deliveries, failures, target)
    },
    renew: (deliveries) => session.settler.renew(deliveries),
    close(signal) {
      if (closing === null) {
        const { channel, settler } = session
        const leave = async (): Promise<void> => {
          if (!ordered) settler.releaseAll()
          await atMost(settler.replaced(), signal)
          // What the server has not taken yet would end with the channel: each get has a consumer of its own there, so that many settlements wait their turn.
          const n = settler.written
          const flushing = ordered ? flush : flushGot
          if (n > 0) for (const physical of queues) await flushing(connection, channel, physical, n, role)
          await closeChannel(channel, signal)
        }
        closing = settler.closed ? Promise.resolve() : leave().catch(() => closeQuietly(channel))
        setup.closed(receiver)
      }
      return atMost(closing, signal)
    },
  }
  return receiver
}

/** Resolves after `ms`, or on abort. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    signal.addEventListener('abort', finish, { once: true })
  })
}
