import { performance } from 'node:perf_hooks'
import type { Channel, GetMessage } from 'amqplib'
import type { DeadLetterInfo, Delivery, PublishOutcome, SettleOutcome, Target } from '@mq/core/adapter'
import { closeCause, type Connection } from './connection.ts'
import { classify } from './errors.ts'
import { queueOf } from './names.ts'
import type { Copy, Publisher } from './publisher.ts'
import { createReplacements } from './replacements.ts'
import { Unsettled } from './unsettled.ts'
import { deadCopy, decode, type Held, retryCopy, returnCopy } from './wire.ts'

/** What came over one channel and is not settled yet. */
export interface Settler {
  /** Takes charge of what arrived. */
  add(held: Held): void
  readonly closed: boolean
  readonly open: number
  /** Whether any of them came from this physical queue. */
  holds(queue: string): boolean
  /** Settlements written lately: how many may not have arrived yet. */
  readonly written: number
  ack(deliveries: readonly Delivery[]): Promise<readonly SettleOutcome[]>
  /** `anyPlace`: where the server may have counted too often, at the tail. Default: in their places. */
  release(deliveries: readonly Delivery[], anyPlace?: boolean): Promise<readonly SettleOutcome[]>
  retry(deliveries: readonly Delivery[], delayMs: number): Promise<readonly SettleOutcome[]>
  deadLetter(
    deliveries: readonly Delivery[],
    failures: readonly DeadLetterInfo[],
    target: Target,
  ): Promise<readonly SettleOutcome[]>
  renew(deliveries: readonly Delivery[]): Promise<readonly SettleOutcome[]>
  /** Gives back by the end of the channel: each in its place. */
  leave(deliveries: readonly Delivery[]): readonly SettleOutcome[]
  /** Gives back at once what was to wait for that. */
  giveBackLeft(): void
  /** What one is after a failed run, in its place: the server is told nothing. `null`: it is not open here. */
  again(delivery: Delivery): Held | null
  /** Gives back everything, in the order in which it came, except what is being replaced by a copy. */
  releaseAll(): void
  /** Every replacement that was begun is over: a copy that is stored must not have its original given back. Never rejects. */
  replaced(): Promise<unknown>
}

/** A pause after which earlier settlements have surely arrived. */
const LATELY_MS = 1000

/**
 * A server before 4.3 counts what is given back like what a crash takes back: so who has come back so often is given back as a copy, which begins anew at the
 * tail. Half of the default `maxRedeliveries`.
 */
const MOST_RETURNS = 10

/** `lost` hears what the end of the channel took back, unless it was closed on purpose. */
export function createSettler(
  connection: Pick<Connection, 'rpc'>,
  channel: Channel,
  publisher: Publisher,
  /** The queue to which the server itself moves what is rejected here, if that is known. */
  deadLetterQueue: () => string | null,
  lost: (deliveries: readonly Delivery[], cause: unknown) => void,
): Settler {
  const open = new Unsettled()
  let left: Held[] = []
  let closed = false
  let written = 0
  let writtenAt = 0

  channel.on('close', () => {
    closed = true
    const taken = open.all()
    open.clear()
    for (const held of taken) held.state = 'settled'
    if (taken.length > 0) lost(taken, closeCause(channel))
  })

  const tagOf = (held: Held): number => held.raw.fields.deliveryTag
  const mine = (delivery: Delivery): Held | null => {
    const held = delivery as Held
    return !closed && held.state === 'open' && open.has(held) ? held : null
  }
  const done = (helds: readonly Held[]): void => {
    if (helds.length === 0) return
    const now = performance.now()
    written = now - writtenAt > LATELY_MS ? helds.length : written + helds.length
    writtenAt = now
    for (const held of helds) {
      held.state = 'settled'
      open.delete(held)
    }
  }
  /** Those of the deliveries that are open, as ones that are being settled; the outcome of each. */
  const takeMine = (deliveries: readonly Delivery[]): { helds: Held[]; outcomes: SettleOutcome[] } => {
    const helds: Held[] = []
    const outcomes: SettleOutcome[] = []
    for (const delivery of deliveries) {
      const held = mine(delivery)
      outcomes.push(held === null ? 'lost' : 'settled')
      if (held === null) continue
      held.state = 'settling'
      helds.push(held)
    }
    return { helds, outcomes }
  }

  /** Tells the server; everything below the lowest open tag by one frame. */
  const acknowledge = (helds: readonly Held[]): void => {
    if (helds.length === 0) return
    done(helds)
    const { lowest } = open
    let last: Held | null = null
    let highest = 0
    let below = 0
    for (const held of helds) {
      const tag = tagOf(held)
      if (tag >= lowest) continue
      below++
      if (tag <= highest) continue
      last = held
      highest = tag
    }
    if (last !== null) channel.ack(last.raw, below > 1)
    if (below === helds.length) return
    for (const held of helds) if (tagOf(held) > lowest) channel.ack(held.raw)
  }

  /** A confirmed copy first, then the acknowledgement: a crash in between makes two of it, and never none. */
  const copyThenAcknowledge = async (
    helds: readonly Held[],
    copy: (i: number) => Copy,
    signal: AbortSignal,
  ): Promise<readonly SettleOutcome[]> => {
    let stored: readonly PublishOutcome[]
    try {
      stored = await publisher.copies(
        helds.map((_, i) => copy(i)),
        signal,
      )
    } catch (error) {
      stored = helds.map(() => ({ ok: false, error, certainty: 'not-stored' }))
    }
    const safe: Held[] = []
    const outcomes = stored.map((outcome, i): SettleOutcome => {
      const held = helds[i] as Held
      if (!outcome.ok) {
        if (held.state === 'settling') held.state = 'open'
        return { error: outcome.error }
      }
      if (closed) return 'lost'
      safe.push(held)
      return 'settled'
    })
    acknowledge(safe)
    return outcomes
  }
  const replacements = createReplacements(connection)
  const replace = (
    deliveries: readonly Delivery[],
    copy: (held: Held, index: number) => Copy,
  ): Promise<readonly SettleOutcome[]> => {
    const helds: Held[] = []
    const at: number[] = []
    deliveries.forEach((delivery, index) => {
      const held = mine(delivery)
      if (held === null) return
      held.state = 'settling'
      helds.push(held)
      at.push(index)
    })
    const copyOf = (i: number): Copy => copy(helds[i] as Held, at[i] as number)
    if (helds.length > 0) replacements.begin(helds, (signal) => copyThenAcknowledge(helds, copyOf, signal))
    return Promise.all(deliveries.map((delivery) => replacements.outcome(delivery as Held)))
  }

  const giveBack = (deliveries: readonly Delivery[]): readonly SettleOutcome[] => {
    const { helds, outcomes } = takeMine(deliveries)
    // Quorum queues put back in the order in which they are told.
    helds.sort((a, b) => tagOf(a) - tagOf(b))
    done(helds)
    for (const held of helds) channel.nack(held.raw, false, true)
    return outcomes
  }

  return {
    add: (held) => open.add(held),
    get closed() {
      return closed
    },
    holds: (queue) => open.all().some((held) => held.queue === queue),
    get open() {
      return open.size
    },
    get written() {
      return performance.now() - writtenAt > LATELY_MS ? 0 : written
    },
    ack(deliveries) {
      const { helds, outcomes } = takeMine(deliveries)
      acknowledge(helds)
      return Promise.resolve(outcomes)
    },
    async release(deliveries, anyPlace = false) {
      // Whoever asks for it back waits no longer for the confirm of its copy; one that is stored all the same is a second message.
      const replacing = (deliveries as readonly Held[]).filter((held) => replacements.has(held))
      if (replacing.length > 0) await replacements.giveUp(replacing)
      const often = deliveries.filter(({ redeliveries }) => anyPlace && redeliveries >= MOST_RETURNS)
      if (often.length === 0) return giveBack(deliveries)
      const outcomes = new Map<Delivery, SettleOutcome>()
      const note = (some: readonly Delivery[], told: readonly SettleOutcome[]): void =>
        some.forEach((delivery, i) => outcomes.set(delivery, told[i] as SettleOutcome))
      const rest = deliveries.filter((delivery) => !often.includes(delivery))
      note(rest, giveBack(rest))
      const now = Date.now()
      const copied = await replace(often, (held) => ({
        queue: held.queue,
        delayMs: 0,
        body: held.body,
        properties: returnCopy(held, now, true),
      }))
      note(often, copied)
      // A full queue has room for no copy.
      const still = often.filter((delivery) => mine(delivery) !== null)
      note(still, giveBack(still))
      return deliveries.map((delivery) => outcomes.get(delivery) as SettleOutcome)
    },
    retry: (deliveries, delayMs) => {
      const now = Date.now()
      return replace(deliveries, (held) => ({
        queue: held.queue,
        delayMs,
        body: held.body,
        properties: retryCopy(held, now, delayMs <= 0),
      }))
    },
    async deadLetter(deliveries, failures, target) {
      const queue = queueOf(target)
      const outcomes = await replace(deliveries, (held, index) => ({
        queue,
        delayMs: 0,
        body: held.body,
        properties: deadCopy(held, failures[index] as DeadLetterInfo),
      }))
      if (deadLetterQueue() !== queue) return outcomes
      // What is too large to be published again can still be moved by the server, which says less about why.
      return outcomes.map((outcome, i) => {
        const held = mine(deliveries[i] as Delivery)
        if (typeof outcome === 'string' || held === null) return outcome
        if (classify(outcome.error).code !== 'MQ_MESSAGE_TOO_LARGE') return outcome
        done([held])
        channel.nack(held.raw, false, false)
        return 'settled'
      })
    },
    renew: (deliveries) =>
      Promise.resolve(
        deliveries.map((delivery): SettleOutcome => {
          const held = delivery as Held
          return !closed && open.has(held) ? 'settled' : 'lost'
        }),
      ),
    leave(deliveries) {
      const { helds, outcomes } = takeMine(deliveries)
      left.push(...helds)
      return outcomes
    },
    giveBackLeft() {
      const all = left
      left = []
      for (const held of all) held.state = 'open'
      giveBack(all)
    },
    again(delivery) {
      const held = mine(delivery)
      if (held === null) return null
      const { raw, queue, id, timestamp, deliveryCount, firstFailedAt = Date.now() } = held
      // Decoded anew: core takes out what is its own.
      const failed = { id, timestamp, deliveryCount: deliveryCount + 1, firstFailedAt }
      const next = { ...decode(raw as GetMessage, queue, undefined), ...failed }
      open.replace(next)
      held.state = 'settled'
      return next
    },
    releaseAll() {
      if (closed) return
      const all = open.all().filter((held) => held.state === 'open')
      for (const held of all) channel.nack(held.raw, false, true)
      done(all)
    },
    replaced: () => replacements.ended(),
  }
}
