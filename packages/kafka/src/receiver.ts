import { performance } from 'node:perf_hooks'
import {
  atMost,
  type DeadLetterInfo,
  type Delivery,
  matchesPattern,
  type PublishOutcome,
  type Receiver,
  type SettleOutcome,
  type Source,
  type Target,
} from '@mq/core/adapter'
import { pause } from './abort.ts'
import type { LogRecord } from './log/batch-reader.ts'
import type { RecordParts } from './log/batch-writer.ts'
import { classify } from './errors.ts'
import type { Consumer } from './group/consumer-contract.ts'
import { nameOf, type Names, namesOf } from './names.ts'
import type { Publisher } from './publisher.ts'
import { type Decoded, decodeRecord, encodeAsIs, encodeDead, encodeRetry, isOver } from './wire.ts'

/** Characters of an error's message where there is little room. */
const SHORT = 100

export interface ReceiverSetup {
  readonly consumer: Consumer
  readonly names: Names
  readonly source: Source
  readonly pattern: string | undefined
  readonly maxPollRecords: number
  readonly publisher: Publisher
  /** How long a dead-letter queue keeps what it takes, in ms; `null`: for ever. */
  retentionMs(target: Target): Promise<number | null>
  /** Makes the topic that keeps what waits. */
  ensureLater(): Promise<void>
  lost(deliveries: readonly Delivery[], cause: unknown): void
}

interface Held extends Decoded {
  record: LogRecord
}

/** What cannot be moved now is tried again so much later, in ms. */
const AGAIN_MS = 200
/** Most records that are moved at a time. */
const MOST_JOINING = 500

/** One receiver; those of the same queue in this process share a consumer. */
export function createReceiver(setup: ReceiverSetup): Receiver {
  const { consumer, names, source, publisher, pattern } = setup
  let closed: Promise<void> | null = null
  /** Records that were not for this subscription, or are over. */
  let passedOver = 0
  /** What was delayed goes to the queue's own log when it is due: there one consumer reads all of its key. */
  const together = source.ordered && !names.mainIsShared
  let joining: Held[] = []
  let joined: Promise<void> = Promise.resolve()

  const taker = {
    pulls: source.mode === 'pull',
    lost(records: readonly LogRecord[], cause: unknown): void {
      const gone: Held[] = []
      for (const record of records) {
        if (record.delivery !== null) gone.push(record.delivery as Held)
        record.delivery = null
      }
      if (gone.length > 0 && closed === null) setup.lost(gone, cause)
    },
  }
  consumer.attach(taker)

  const take = (max: number): Held[] => {
    const out: Held[] = []
    for (let room = max; room > 0 && joining.length < MOST_JOINING; room = max - out.length) {
      const records = consumer.take(taker, Math.min(room, setup.maxPollRecords))
      if (records.length === 0) break
      for (const record of records) {
        const delivery = decodeRecord(record) as Held
        const another =
          pattern !== undefined &&
          record.topic === names.main &&
          !matchesPattern(pattern, delivery.routingKey ?? '')
        if (another || isOver(delivery)) {
          if (consumer.complete(record)) passedOver++
          continue
        }
        delivery.record = record
        if (together && record.topic === names.later && record.damage === undefined) {
          record.delivery = delivery
          joining.push(delivery)
          continue
        }
        const history = consumer.historyOf(record)
        if (history.failures > 0) {
          ;(delivery as { deliveryCount: number }).deliveryCount += history.failures
          ;(delivery as { firstFailedAt: number | undefined }).firstFailedAt ??= history.firstFailedAt
        }
        delivery.redeliveries = history.stalls
        record.delivery = delivery
        out.push(delivery)
      }
    }
    return out
  }

  const has = (delivery: Held): boolean => delivery.record.delivery === delivery
  const owns = (delivery: Held): boolean => has(delivery) && consumer.holds(delivery.record)

  /** Settles each by itself. */
  const each = (deliveries: readonly Delivery[], settle: (record: LogRecord) => boolean): SettleOutcome[] =>
    deliveries.map((delivery) => {
      const { record } = delivery as Held
      // What was handed out again is another delivery, or nobody's yet.
      if (record.delivery !== delivery) return 'lost'
      return settle(record) ? 'settled' : 'lost'
    })

  /** Copies first, then the originals, each by its own copy's outcome. */
  const move = async (
    deliveries: readonly Held[],
    topic: string,
    what: string,
    copy: (delivery: Held, index: number) => RecordParts,
  ): Promise<readonly SettleOutcome[]> => {
    const mine = deliveries.map(owns)
    const moved = deliveries.filter((_, i) => mine[i])
    const copies = deliveries.flatMap((delivery, i) => (mine[i] ? [copy(delivery, i)] : []))
    const keys = moved.map((delivery) => delivery.key)
    const outcomes: readonly PublishOutcome[] =
      copies.length === 0 ? [] : await publisher.produce(topic, copies, keys, what)
    let at = 0
    const done = deliveries.map((delivery, i): SettleOutcome => {
      if (!mine[i]) return 'lost'
      const outcome = outcomes[at++] as PublishOutcome
      if (!outcome.ok) return { error: outcome.error }
      return consumer.complete(delivery.record) ? 'settled' : 'lost'
    })
    // Else a crash would bring back the original beside its copy.
    if (copies.length > 0) await consumer.flush()
    return done
  }

  /** Never rejects. */
  const join = async (): Promise<void> => {
    const due = joining
    joining = []
    const copies = move(due, names.main, nameOf(source.target), ({ record }) => encodeAsIs(record))
    const outcomes = await copies.catch((error: unknown) => due.map(() => ({ error })))
    const left = due.filter((_, i) => typeof outcomes[i] !== 'string')
    if (left.length === 0) return
    await pause(AGAIN_MS)
    for (const delivery of left) if (owns(delivery)) consumer.giveBack(delivery.record)
  }

  return {
    async receive(max, signal, waitMs = 1_000) {
      const until = performance.now() + waitMs
      let looked = false
      for (let seen = false; ;) {
        if (closed !== null || signal.aborted) return []
        if (consumer.error !== null) throw consumer.error
        const before = passedOver
        const got = take(max)
        const joins = joining.length > 0
        if (joins) joined = joined.then(join)
        if (got.length > 0) return got
        if (joins) {
          await atMost(joined, signal)
          // What was moved has to be read anew.
          seen = looked = false
          continue
        }
        if (waitMs === 0) {
          // What is ready and may not be taken waits for something that is handed out already.
          if (looked || (seen && passedOver === before)) return []
          looked = await consumer.look(taker, signal)
          seen = true
          continue
        }
        const left = until - performance.now()
        if (left <= 0) return []
        await consumer.wait(taker, left, signal)
      }
    },

    ack: (deliveries) => Promise.resolve(each(deliveries, (record) => consumer.complete(record))),
    release(deliveries) {
      const outcomes = each(deliveries, (record) => consumer.giveBack(record))
      // Others learn that it is ready.
      void consumer.flush()
      return Promise.resolve(outcomes)
    },

    async retry(deliveries, delayMs) {
      const now = Date.now()
      const dueAt = now + delayMs
      if (source.ordered) return each(deliveries, (record) => consumer.retryInPlace(record, dueAt))
      // A subscription's retry must not reach the others.
      const topic = 'queue' in source.target && delayMs === 0 ? names.main : names.later
      const held = deliveries as readonly Held[]
      try {
        if (topic === names.later) await setup.ensureLater()
      } catch (error) {
        return held.map((delivery) => (owns(delivery) ? { error } : 'lost'))
      }
      const outcomes = await move(held, topic, nameOf(source.target), (delivery) =>
        encodeRetry(delivery.record, delivery.deliveryCount + 1, delivery.firstFailedAt ?? now, dueAt),
      )
      // A copy is a little larger than its original, which may be as large as its topic takes: that one waits in place.
      return outcomes.map((outcome, i) =>
        isTooLarge(outcome)
          ? (each([held[i] as Held], (record) => consumer.retryInPlace(record, dueAt))[0] ?? outcome)
          : outcome,
      )
    },

    async deadLetter(deliveries, failures, target: Target) {
      const keptMs = await setup.retentionMs(target)
      const until = keptMs === null ? undefined : Date.now() + keptMs
      const to = namesOf(target, undefined).main
      const bury = (of: readonly Held[], infos: readonly DeadLetterInfo[]) =>
        move(of, to, nameOf(target), (delivery, i) =>
          encodeDead(delivery.record, infos[i] as DeadLetterInfo, until),
        )
      const held = deliveries as readonly Held[]
      const outcomes = await bury(held, failures)
      const large = outcomes.flatMap((outcome, i) => (isTooLarge(outcome) ? [i] : []))
      if (large.length === 0) return outcomes
      // The message is worth more than all that is to be said of its failure.
      const again = await bury(
        large.map((i) => held[i] as Held),
        large.map((i) => inShort(failures[i] as DeadLetterInfo)),
      )
      return outcomes.map((outcome, i) => again[large.indexOf(i)] ?? outcome)
    },

    renew: (deliveries) =>
      Promise.resolve(
        deliveries.map((delivery) => {
          return owns(delivery as Held) ? 'settled' : 'lost'
        }),
      ),

    close(signal) {
      // A copy that is stored must not have its original given back.
      closed ??= atMost(joined, signal).then(() => consumer.detach(taker, signal))
      return closed
    },
  }
}

function isTooLarge(outcome: SettleOutcome): boolean {
  return typeof outcome === 'object' && classify(outcome.error).code === 'MQ_MESSAGE_TOO_LARGE'
}

function inShort(info: DeadLetterInfo): DeadLetterInfo {
  const { name, message } = info.error
  return { ...info, error: { name, message: message.slice(0, SHORT), stack: '' } }
}
