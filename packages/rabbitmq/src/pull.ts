import { performance } from 'node:perf_hooks'
import { atMost, type Receiver } from '@mq/core/adapter'
import { closeCause, closeChannel, closeQuietly } from './connection.ts'
import { flush } from './flush.ts'
import { getOne } from './get-one.ts'
import { createInbox } from './inbox.ts'
import { partitionQueue, queueOf } from './names.ts'
import { inspect, openError, type ReceiverSetup } from './receiver.ts'
import { createSettler } from './settler.ts'
import { decode, type Held } from './wire.ts'

/** How often a queue is asked again where no consumer may wait for a message. */
const POLL_MS = 50

/** How long the only consumer of a queue that said it is not empty waits for its message. */
const SHORT_WAIT_MS = 500

/**
 * Takes exactly as many messages as are asked for: `basic.get`, and while nothing is there a consumer that gets one message and is
 * cancelled. With a single active consumer `get` is refused, so there it is always such a consumer.
 */
export async function openPull(setup: ReceiverSetup): Promise<Receiver> {
  const { connection, publisher, topology, source } = setup
  const queue = queueOf(source.target)
  const known = await inspect(topology, source.target)
  const ordered = known.ordered || source.ordered
  const role = known.exclusive ? 'consume' : 'admin'
  const queues = Array.from({ length: known.partitions }, (_, n) => partitionQueue(queue, n))
  const channel = await connection.channel('consume')
  const inbox = createInbox()
  let closing: Promise<void> | null = null
  let looks = 0

  const deadLetters = () => topology.peek(queue)?.deadLetterQueue ?? null
  const settler = createSettler(connection, channel, publisher, deadLetters, (deliveries, cause) => {
    if (closing === null) setup.lost(deliveries, cause)
  })
  channel.on('close', () => {
    inbox.drain()
    inbox.fail(openError(source.target, closeCause(channel)))
    if (closing === null) setup.closed(receiver)
  })
  /** Physical queues from which a message is unsettled: with order, the next of its key must not come meanwhile. */
  const busy = new Map<string, Held>()

  /** Up to `max` that are there now. */
  const get = async (max: number, signal: AbortSignal): Promise<Held[]> => {
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

  /** One message from each of these, at most, and at least one if any comes in time. */
  const wait = async (
    from: readonly string[],
    max: number,
    signal: AbortSignal,
    waitMs: number,
  ): Promise<readonly Held[]> => {
    await connection.rpc(channel.prefetch(1), 'setting the prefetch')
    const tags: string[] = []
    let cancelled = false
    // No `AbortSignal.any`: on Node 20 a signal keeps a little of each for as long as it lives, and some last as long as their loop.
    const over = new AbortController()
    const end = (): void => over.abort()
    for (const physical of from) {
      const { consumerTag } = await connection.rpc(
        channel.consume(physical, (raw) => {
          if (raw === null) {
            cancelled = true
            return end()
          }
          const held = decode(raw, physical, undefined)
          settler.add(held)
          inbox.push(held)
        }),
        'subscribing',
      )
      tags.push(consumerTag)
    }
    let got: Held[]
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
    try {
      got = [...(await inbox.take(max, over.signal, waitMs))]
    } finally {
      signal.removeEventListener('abort', end)
      if (!settler.closed)
        await Promise.all(tags.map((tag) => connection.rpc(channel.cancel(tag), 'cancelling')))
    }
    // What came between the first and the cancelling.
    const rest = inbox.drain()
    const room = Math.max(0, max - got.length)
    if (rest.length > room) await settler.release(rest.slice(room))
    got.push(...rest.slice(0, room))
    if (cancelled && got.length === 0) {
      // The queue is gone, or its leader moved: then whoever asks again is served again.
      await topology.recheck(queue)
      await pause(POLL_MS, signal)
    }
    return got
  }

  const waiting = async (physical: string): Promise<number> =>
    connection.admin(async (admin) => (await admin.checkQueue(physical)).messageCount, role)

  const receiveOrdered = async (
    max: number,
    signal: AbortSignal,
    waitMs: number,
  ): Promise<readonly Held[]> => {
    for (const [physical, held] of busy) if (held.state === 'settled') busy.delete(physical)
    const free = queues.filter((physical) => !busy.has(physical))
    let from = free
    if (waitMs === 0) {
      const counts = await Promise.all(free.map((physical) => waiting(physical)))
      from = free.filter((_, n) => (counts[n] as number) > 0)
    }
    if (from.length === 0) {
      // Nothing may come before something is settled.
      if (waitMs > 0) await pause(Math.min(waitMs, POLL_MS), signal)
      return []
    }
    const got = await wait(from, max, signal, waitMs === 0 ? SHORT_WAIT_MS : waitMs)
    for (const held of got) busy.set(held.queue, held)
    return got
  }

  const receiver: Receiver = {
    async receive(max, signal, waitMs = 1000) {
      if (signal.aborted) return []
      if (settler.closed) return inbox.take(max, signal, 0)
      try {
        if (ordered) return await receiveOrdered(max, signal, waitMs)
        const until = performance.now() + waitMs
        for (;;) {
          const got = await get(max, signal)
          const left = until - performance.now()
          if (got.length > 0 || left <= 0 || signal.aborted) return got
          // A queue that goes with its last consumer must not have one for a moment only.
          if (!known.autoDelete) return await wait(queues, max, signal, left)
          await pause(Math.min(left, POLL_MS), signal)
        }
      } catch (error) {
        throw openError(source.target, settler.closed ? closeCause(channel) : error)
      }
    },
    ack: settler.ack,
    async release(deliveries) {
      const outcomes = await settler.release(deliveries)
      if (ordered && !settler.closed)
        for (const physical of new Set(deliveries.map((each) => (each as Held).queue)))
          await flush(connection, channel, physical, deliveries.length, role).catch(() => undefined)
      return outcomes
    },
    retry: settler.retry,
    deadLetter: settler.deadLetter,
    renew: settler.renew,
    close(signal) {
      if (closing === null) {
        const leave = async (): Promise<void> => {
          settler.releaseAll()
          await atMost(settler.replaced(), signal)
          // What the server has not taken yet would end with the channel: each get has a consumer of its own there, so that many settlements wait their turn.
          const n = settler.written
          if (n > 0) for (const physical of queues) await flush(connection, channel, physical, n, role)
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
