import { Buffer } from 'node:buffer'
import { setTimeout as pause } from 'node:timers/promises'
import { AdapterError, type Destination, type OutboundMessage, type PublishOutcome } from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import type { Delays } from './delays.ts'
import { waitOf } from './delay-tiers.ts'
import { classify, isMissing } from './errors.ts'
import { createLane, type Item } from './lane.ts'
import { baseOf, partitionOf, partitionQueue, queueOf } from './names.ts'
import type { ResolvedOptions } from './options.ts'
import { full, isFull, isUnexplained, noLeader } from './outcomes.ts'
import { answerable } from './replies.ts'
import type { Known, Topology } from './topology.ts'
import { encode, type Properties } from './wire.ts'

/** A copy of a message that stays in RabbitMQ: for another attempt, or a dead letter. */
export interface Copy {
  readonly queue: string
  /** 0: ready at once. */
  readonly delayMs: number
  readonly body: Uint8Array
  readonly properties: Properties
}

export interface Publisher {
  /** Makes ready what nearly every connection needs. */
  open(): Promise<void>
  publish(batch: readonly OutboundMessage[], signal: AbortSignal): Promise<readonly PublishOutcome[]>
  /** Always confirmed; one outcome each, in order, on abort with what is known by then. Never rejects. */
  copies(copies: readonly Copy[], signal: AbortSignal): Promise<readonly PublishOutcome[]>
}

/** Where the messages of one call go, found out before the first is written. */
interface Route {
  readonly kind: 'queue' | 'topic' | 'reply'
  readonly name: string
  readonly known: Known | undefined
  /** Whether it may be full; `undefined`: not known. */
  readonly limited: boolean | undefined
}

export function createPublisher(
  connection: Connection,
  options: ResolvedOptions,
  topology: () => Topology,
  delays: Delays,
): Publisher {
  const confirms = options.acks === 'all'
  // A missing queue is told by returning the message, a missing exchange by closing the channel: what goes to queues has one of its own.
  const toQueues = createLane(connection, options.confirmWindow, confirms)
  const toExchanges = createLane(connection, options.confirmWindow, confirms)
  const forCopies = createLane(connection, options.confirmWindow, true)

  const route = async (to: Destination, batch: readonly OutboundMessage[]): Promise<Route> => {
    if ('reply' in to) return { kind: 'reply', name: to.reply, known: undefined, limited: undefined }
    if ('topic' in to && !('subscription' in to)) {
      await topology().topic(to.topic)
      const limited = topology().limits(to.topic) ? true : undefined
      return { kind: 'topic', name: to.topic, known: undefined, limited }
    }
    const name = queueOf(to)
    const peeked = topology().peek(name)
    if (peeked !== undefined) return { kind: 'queue', name, known: peeked, limited: peeked.limited }
    // A key chooses the partition; a message that waits first would learn too late that its queue is missing.
    const must = batch.some(({ key, delayMs }) => key !== undefined || delayMs > 0)
    const known = must ? await topology().inspect(name) : undefined
    return { kind: 'queue', name, known, limited: known?.limited }
  }

  /** A message for the place where it waits first. */
  const delayed = async (message: OutboundMessage, { kind, name, known, limited }: Route): Promise<Item> => {
    const wait = waitOf(message.delayMs, message.priority)
    const topic = kind === 'topic'
    const routingKey = topic ? (message.routingKey ?? '') : physical(message, name, known)
    return {
      exchange: topic
        ? await delays.forTopic(name, wait)
        : await delays.forQueue(wait, routingKey, limited === true),
      routingKey,
      body: message.body,
      properties: encode(message, false),
      mandatory: true,
      limited: false,
    }
  }

  const direct = (message: OutboundMessage, { kind, name, known, limited }: Route): Item => ({
    exchange: kind === 'topic' ? name : '',
    routingKey:
      kind === 'topic'
        ? (message.routingKey ?? '')
        : kind === 'queue'
          ? physical(message, name, known)
          : name,
    body: message.body,
    properties: encode(message, true),
    // An answer to a requester that vanished is no error, nor is a topic that nobody subscribes to.
    mandatory: kind === 'queue' && options.mandatory,
    limited,
  })

  const physical = ({ key }: OutboundMessage, name: string, known: Known | undefined): string =>
    known === undefined || known.partitions <= 1 || key === undefined
      ? name
      : partitionQueue(name, partitionOf(key, known.partitions))

  /** Outcomes of one kind have another reason after all, where their queue says so; one that cannot be asked says nothing. */
  const reconsidered = async (
    items: readonly Item[],
    outcomes: readonly PublishOutcome[],
    is: (outcome: PublishOutcome | undefined) => boolean,
    says: (queue: string) => Promise<boolean>,
    other: () => PublishOutcome,
  ): Promise<readonly PublishOutcome[]> => {
    const those = items.filter(({ exchange }, i) => exchange === '' && is(outcomes[i]))
    const queues = new Set<string>()
    for (const queue of new Set(those.map(({ routingKey }) => routingKey)))
      if (await says(queue).catch(() => false)) queues.add(queue)
    if (queues.size === 0) return outcomes
    return outcomes.map((outcome, i) =>
      is(outcome) && queues.has((items[i] as Item).routingKey) ? other() : outcome,
    )
  }

  const whyRefused = async (
    items: readonly Item[],
    outcomes: readonly PublishOutcome[],
  ): Promise<readonly PublishOutcome[]> => {
    // One that had no limit when it was declared here may be another by now, that others made with one.
    const hasLimit = (queue: string) => topology().hasLimit(baseOf(queue))
    const known = await reconsidered(items, outcomes, isUnexplained, hasLimit, () => full())
    // A queue without a leader refuses in the words of a full one; but it tells of no message, and a full one has some.
    const isEmpty = (queue: string) =>
      connection.admin(async (channel) => (await channel.checkQueue(queue)).messageCount === 0)
    return reconsidered(items, known, isFull, isEmpty, noLeader)
  }

  /** What no queue took: the queue is missing, or on a node that is down, and then there again before long. */
  const explain = async (
    to: Destination,
    items: readonly Item[],
    outcomes: readonly PublishOutcome[],
  ): Promise<readonly PublishOutcome[]> => {
    const untaken = outcomes.map((outcome) => !outcome.ok && isMissing(outcome.error))
    if (!untaken.includes(true)) return outcomes
    delays.forget()
    if ('reply' in to) return outcomes
    if ('topic' in to && !('subscription' in to)) {
      topology().forget(to.topic)
      return outcomes
    }
    try {
      const queues = new Set(items.filter((_, i) => untaken[i]).map(({ routingKey }) => routingKey))
      for (const queue of queues) await topology().recheck(queue)
    } catch (error) {
      if (!isMissing(error))
        return outcomes.map((outcome, i) => (untaken[i] && !outcome.ok ? { ...outcome, error } : outcome))
    }
    topology().forget(queueOf(to))
    return outcomes
  }

  return {
    open: () => toQueues.open(),
    async publish(batch, signal) {
      const refuse = (error: unknown): readonly PublishOutcome[] =>
        batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
      if (signal.aborted) return refuse(signal.reason)
      const to = (batch[0] as OutboundMessage).destination
      // Like the answer to a requester that vanished.
      if ('reply' in to && !answerable(to.reply)) return batch.map(() => ({ ok: true }))
      let found: Route
      const items: Item[] = []
      let waits = false
      try {
        found = await route(to, batch)
        for (const message of batch) {
          if (message.delayMs > 0 && found.kind !== 'reply') {
            waits = true
            items.push(await delayed(message, found))
          } else items.push(direct(message, found))
        }
      } catch (error) {
        delays.forget()
        return refuse(error)
      }
      // A call's messages keep their order as long as none of them waits.
      const lane = waits || found.kind === 'topic' ? toExchanges : toQueues
      const outcomes = await lane.write(items, signal)
      for (const outcome of outcomes)
        if (!outcome.ok) return explain(to, items, await whyRefused(items, outcomes))
      return outcomes
    },
    async copies(copies, signal) {
      const items: Item[] = []
      try {
        for (const { queue, delayMs, body, properties } of copies) {
          const limited = topology().peek(baseOf(queue))?.limited
          const wait = waitOf(delayMs, properties.priority)
          items.push({
            exchange: delayMs > 0 ? await delays.forQueue(wait, queue, limited === true) : '',
            routingKey: queue,
            body,
            properties,
            mandatory: true,
            limited: delayMs > 0 ? false : limited,
          })
        }
      } catch (error) {
        delays.forget()
        return copies.map(() => ({ ok: false, error, certainty: 'not-stored' }))
      }
      const outcomes = await forCopies.write(items, signal)
      if (outcomes.some((outcome) => !outcome.ok)) delays.forget()
      return outcomes
    },
  }
}

/** Between two attempts to store what a queue refused. */
const REFUSED_MS = 50

/**
 * For callers that store one text in a queue that takes all. A quorum queue refuses while it has no leader, as one that another connection is just
 * making: it is asked again until `signal`. Rejects unless it was stored.
 */
export async function storeText(
  publisher: Publisher,
  queue: string,
  value: string,
  signal: AbortSignal,
): Promise<void> {
  const properties: Properties = { persistent: true, contentType: 'text/plain' }
  const copy: Copy = { queue, delayMs: 0, body: Buffer.from(value), properties }
  for (;;) {
    const [outcome] = await publisher.copies([copy], signal)
    if (outcome?.ok === true) return
    const error = outcome?.error ?? new AdapterError('MQ_UNKNOWN', 'nothing was answered')
    if (classify(error).code !== 'MQ_QUEUE_FULL') throw error
    await pause(REFUSED_MS)
    if (signal.aborted)
      throw new AdapterError('MQ_UNAVAILABLE', `the queue "${queue}" has no leader`, {
        retryable: true,
        cause: error,
      })
  }
}
