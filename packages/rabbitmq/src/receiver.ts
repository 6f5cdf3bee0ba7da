import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import {
  AdapterError,
  atMost,
  type Delivery,
  type Receiver,
  type Source,
  type Target,
  untilAborted,
} from '@mq/core/adapter'
import { closeCause, closeChannel, closeQuietly, type Connection } from './connection.ts'
import { isMissing, replyCode } from './errors.ts'
import { flush } from './flush.ts'
import { createInbox } from './inbox.ts'
import { partitionQueue, queueOf } from './names.ts'
import type { Publisher } from './publisher.ts'
import { createSettler } from './settler.ts'
import { type Known, refuseStream, type Topology } from './topology.ts'
import { decode } from './wire.ts'

/** How long a consumer that nothing arrives for trusts the server, in ms: it may not be told that its queue is gone. */
export const TRUST_MS = 5_000

/** The same, once messages stay at the server. */
const AGAIN_MS = 900

/** RabbitMQ 4.0, and a cluster, may cancel the consumers of a queue that is being deleted a moment before it is gone, in ms. */
const GOING_MS = 200

export type Lost = (deliveries: readonly Delivery[], cause: unknown) => void

/** What every kind of receiver stands on. */
export interface ReceiverSetup {
  readonly connection: Connection
  readonly publisher: Publisher
  readonly topology: Topology
  readonly source: Source
  readonly lost: Lost
  readonly closed: (receiver: Receiver) => void
}

export function notFound(target: Target): AdapterError {
  const name =
    'queue' in target ? `queue "${target.queue}"` : `subscription "${target.topic}/${target.subscription}"`
  return new AdapterError('MQ_QUEUE_NOT_FOUND', `${name} does not exist`)
}

/** The error of opening a target, in this adapter's words where it is missing. */
export function openError(target: Target, error: unknown): unknown {
  return replyCode(error) === 404 ? notFound(target) : error
}

/** What there is to know of a queue that is to be read. */
export async function inspect(topology: Topology, target: Target): Promise<Known> {
  const queue = queueOf(target)
  const known = await topology.inspect(queue).catch((error: unknown) => {
    throw openError(target, error)
  })
  refuseStream(queue, known)
  return known
}

/** After the server cancelled a consumer: the queue is gone, and this rejects; or its leader moved, and whoever asks again is served again. */
export async function stillThere(topology: Topology, queue: string): Promise<void> {
  await topology.recheck(queue)
  await pause(GOING_MS)
  await topology.recheck(queue)
}

/**
 * Before a consumer is cancelled: rejects when its queue is gone, which a cluster may not have told. 3.10 ends the whole connection of who cancels there.
 */
export async function refuseGone(topology: Topology, queue: string): Promise<void> {
  await topology.recheck(queue).catch((error: unknown) => {
    if (isMissing(error)) throw error
  })
}

/** A consumer with a channel of its own: the server sends ahead, up to the prefetch. */
export async function openReceiver(setup: ReceiverSetup): Promise<Receiver> {
  const { connection, publisher, topology, source } = setup
  const queue = queueOf(source.target)
  const known = await inspect(topology, source.target)
  const { partitions, autoDelete } = known
  const role = known.exclusive ? 'consume' : 'admin'
  // One that was not declared here shows its order by its partitions alone.
  const ordered = known.ordered || source.ordered
  const channel = await connection.channel('consume')
  const inbox = createInbox()
  let tags: string[] = []
  /** Subscribing and unsubscribing, one after the other. */
  let flow: Promise<void> = Promise.resolve()
  let subscribed = false
  let calls = 0
  let closing: Promise<void> | null = null
  /** Asked last by who wants no more. */
  let parting = false
  let lookedAt = performance.now()
  let asked = 0
  let stuck = 0
  /** When something came last from each physical queue. Where only one consumer is active, it is this one then. */
  const heard = new Map<string, number>()

  const deadLetters = () => topology.peek(queue)?.deadLetterQueue ?? null
  const settler = createSettler(connection, channel, publisher, deadLetters, (deliveries, cause) => {
    inbox.drain()
    if (closing === null) setup.lost(deliveries, cause)
  })
  channel.on('close', () => {
    inbox.drain()
    inbox.fail(openError(source.target, closeCause(channel)))
    if (closing === null) setup.closed(receiver)
  })

  const cancelled = (): void => {
    if (closing !== null) return
    stillThere(topology, queue).then(
      () =>
        inbox.fail(
          new AdapterError('MQ_UNAVAILABLE', 'RabbitMQ cancelled the consumer', { retryable: true }),
        ),
      (error: unknown) => {
        // Nothing is left to be cancelled.
        if (isMissing(error)) tags = []
        inbox.fail(openError(source.target, error))
      },
    )
  }

  /**
   * A queue that is deleted and made again at once: the server tells its consumers late, by the queue's name, and those of before may never hear of it. In a
   * cluster, or on a busy server, late is longer than `topology` waits. So who hears nothing asks: messages without a consumer, or messages that
   * stay although there is room for them here, mean that this one is forgotten, or that what was sent to it was lost between two nodes and fills its prefetch
   * at the server. Of a queue that is gone it may not have been told either.
   */
  const doubt = async (): Promise<void> => {
    const now = performance.now()
    const since = lookedAt
    if (now - since < (stuck > 0 ? AGAIN_MS : TRUST_MS) || closing !== null || !subscribed) return
    lookedAt = now
    const physical = partitionQueue(queue, asked % partitions)
    const next = (): void => {
      stuck = 0
      asked++
    }
    const last = heard.get(physical)
    if (last !== undefined && last >= since) return next()
    const counts = await connection
      .admin((admin) => admin.checkQueue(physical), role)
      .catch((error: unknown) => {
        if (isMissing(error)) return null
        throw error
      })
    if (counts === null) return cancelled()
    const { messageCount, consumerCount } = counts
    const othersTurn = ordered && consumerCount > 0 && last === undefined
    const came = heard.get(physical) !== last
    // What is unsettled here may be why nothing comes.
    if (messageCount === 0 || came || othersTurn || settler.holds(physical)) return next()
    stuck++
    if ((consumerCount > 0 && stuck < 3) || closing !== null || !subscribed) return
    inbox.fail(
      new AdapterError('MQ_UNAVAILABLE', 'RabbitMQ seems to have forgotten the consumer', {
        retryable: true,
      }),
    )
  }

  const subscribe = async (): Promise<void> => {
    if (subscribed) return
    const each = Math.max(1, Math.floor(source.prefetch / partitions))
    await connection.rpc(channel.prefetch(Math.min(65_535, each)), 'setting the prefetch')
    for (let n = 0; n < partitions; n++) {
      const physical = partitionQueue(queue, n)
      const { consumerTag } = await connection.rpc(
        channel.consume(physical, (raw) => {
          if (raw === null) return cancelled()
          const held = decode(raw, physical, undefined)
          heard.set(physical, performance.now())
          settler.add(held)
          inbox.push(held)
        }),
        'subscribing',
      )
      tags.push(consumerTag)
    }
    subscribed = true
  }

  const unsubscribe = async (): Promise<void> => {
    if (!subscribed) return
    subscribed = false
    const ending = tags
    tags = []
    await Promise.all(ending.map((tag) => connection.rpc(channel.cancel(tag), 'cancelling')))
    await settler.release(inbox.drain(), true)
  }

  const then = (step: () => Promise<void>): Promise<void> => {
    const next = flow.then(step)
    flow = next.catch(() => undefined)
    return next
  }

  /**
   * What is given back must not come straight back here when nobody asks for it any more: others may. So before the last of what was given out
   * is returned, the subscription ends; the next call of `receive` begins it again.
   */
  const beforeGivingBack = async (deliveries: readonly Delivery[]): Promise<void> => {
    if (ordered || autoDelete || calls > 0 || settler.closed) return
    if (settler.open - inbox.size <= deliveries.length) await then(unsubscribe).catch(() => undefined)
  }

  /**
   * Cancelled first, a channel's acknowledgements on the way are not overtaken by its end. But where only one consumer is active, cancelling makes the
   * next one active at once, and it would get later messages before those that are given back: there the channel ends by itself,
   * after its acknowledgements have had time to arrive.
   */
  const leave = async (signal: AbortSignal): Promise<void> => {
    if (!ordered) {
      await then(unsubscribe)
      settler.releaseAll()
    }
    // A retry that was called before has its turn first.
    await flow
    await atMost(settler.replaced(), signal)
    if (ordered)
      for (let n = 0; n < partitions; n++)
        await flush(connection, channel, partitionQueue(queue, n), settler.written, role)
    await closeChannel(channel, signal)
  }

  const receiver: Receiver = {
    async receive(max, signal, waitMs = 1000) {
      calls++
      try {
        parting = signal.aborted
        if (!parting) settler.giveBackLeft()
        // Not waited for: what is given back from now on is told behind it.
        else if (!ordered && !autoDelete && !settler.closed) then(unsubscribe).catch(() => undefined)
        if (!subscribed && !settler.closed && !signal.aborted) await then(subscribe)
        if (waitMs === 0 && inbox.size === 0 && !settler.closed && !signal.aborted) {
          // What the server sent before its answer has arrived by then.
          await untilAborted(connection.rpc(channel.prefetch(1), 'looking'), signal).catch(() => undefined)
        }
        for (let left = waitMs; ; left -= TRUST_MS) {
          const arrived = await inbox.take(max, signal, Math.min(left, TRUST_MS))
          if (arrived.length > 0) {
            if (partitions === 1) {
              stuck = 0
              lookedAt = performance.now()
              // Other partitions may be forgotten meanwhile.
            } else doubt().catch(() => undefined)
            return arrived
          }
          doubt().catch(() => undefined)
          if (signal.aborted || left <= TRUST_MS) return arrived
        }
      } catch (error) {
        throw openError(source.target, settler.closed ? closeCause(channel) : error)
      } finally {
        calls--
      }
    },
    ack: settler.ack,
    async release(deliveries) {
      // With order it would only come here once more, which the server counts, until all that is in hand is settled.
      if (ordered && parting) return settler.leave(deliveries)
      await beforeGivingBack(deliveries)
      return settler.release(deliveries, !ordered)
    },
    async retry(deliveries, delayMs) {
      await beforeGivingBack(deliveries)
      return settler.retry(deliveries, delayMs)
    },
    deadLetter: settler.deadLetter,
    renew: settler.renew,
    close(signal) {
      if (closing !== null) return atMost(closing, signal)
      const work = settler.closed ? Promise.resolve() : leave(signal).catch(() => closeQuietly(channel))
      closing = work
      setup.closed(receiver)
      return atMost(
        work.then(() => undefined),
        signal,
      ).then(() => {
        if (!settler.closed) closeQuietly(channel)
      })
    },
  }
  try {
    await then(subscribe)
  } catch (error) {
    closing = Promise.resolve()
    closeQuietly(channel)
    const cause = settler.closed && replyCode(error) === null ? closeCause(channel) : error
    // Whatever else it failed of says nothing against what is known of the queue.
    if (replyCode(cause) === 404) topology.forget(queue)
    throw openError(source.target, cause)
  }
  return receiver
}
