import {
  AdapterError,
  type OutboundMessage,
  type PublishOutcome,
  type Target,
  untilAborted,
} from '@mq/core/adapter'
import { NEVER } from './abort.ts'
import { encodeBatch, type RecordParts } from './log/batch-writer.ts'
import { type Link, protocolError } from './client.ts'
import { CODEC, type Compression, prepareCodec } from './log/codecs.ts'
import type { Connection } from './connection.ts'
import { classify, errorType, isConnectionError, isRefusal, leaderMoves, neverSent } from './errors.ts'
import { partitionOf } from './log/murmur2.ts'
import { isTarget, nameOf, namesOf, REPLY_TOPIC } from './names.ts'
import type { ResolvedOptions } from './options.ts'
import { produceRequest, type TopicInfo } from './log/protocol.ts'
import { type PartitionList, type Placed, rounds } from './rounds.ts'
import { explain } from './refusals.ts'
import { encodeMessage } from './wire.ts'

const STORED: PublishOutcome = { ok: true }
/** It was written, and no answer came yet. */
const IN_DOUBT: PublishOutcome = { ok: false, error: undefined, certainty: 'unknown' }
/** Refusals of what a batch holds. They hit all of it, whichever record is the reason. */
const OF_CONTENT = new Set(['MESSAGE_TOO_LARGE', 'INVALID_TIMESTAMP', 'INVALID_RECORD'])
const ACKS = { all: -1, leader: 1, none: 0 } as const

interface Sending {
  readonly acks: ResolvedOptions['acks']
  /** What the topic does not take as it is may be compressed for it: it took it so before. */
  readonly packs: boolean
  /** Once it aborts nothing is written any more. */
  readonly signal: AbortSignal
}

function publishing({ options: { acks } }: Connection, signal: AbortSignal): Sending {
  return { acks, packs: false, signal }
}

/** Of what a consumer writes anew somebody must have the copy before the original goes. */
function copying({ options: { acks } }: Connection): Sending {
  return { acks: acks === 'none' ? 'all' : acks, packs: true, signal: NEVER }
}

interface Refused extends PartitionList {
  readonly type: string
}

export interface Publisher {
  publish(batch: readonly OutboundMessage[], signal: AbortSignal): Promise<readonly PublishOutcome[]>
  /** Records of a consumer once more for a topic, by key where they have one. */
  produce(
    topic: string,
    records: readonly RecordParts[],
    keys: readonly (string | undefined)[],
    what: string,
  ): Promise<readonly PublishOutcome[]>
  /** Records for one partition. `stored` hears of each that it took, which must not be sent again; rejects unless that is all. */
  produceTo(
    topic: string,
    partition: number,
    records: readonly RecordParts[],
    stored?: (index: number) => void,
  ): Promise<void>
}

export interface PublisherSetup {
  connection(): Connection
  /** A delayed message, and one for a subscription alone, needs the topic that keeps it; made when it is missing, unless there is no such target. */
  ensureLater(topic: string, main: string, of: Target): Promise<void>
}

export function createPublisher(setup: PublisherSetup): Publisher {
  /** Which partition of each topic is next. By all topics in turn each would get to the same few again and again. */
  const turns = new WeakMap<TopicInfo, number>()

  const send = async (
    connection: Connection,
    info: TopicInfo,
    parts: ReadonlyMap<number, Placed[]>,
    outcomes: PublishOutcome[],
    what: string,
    { acks, packs, signal }: Sending,
  ): Promise<void> => {
    const { compression, requestTimeoutMs } = connection.options
    if (compression !== 'none') await prepareCodec(CODEC[compression])
    const byNode = new Map<number, PartitionList[]>()
    for (const [partition, placed] of parts) {
      const leader = info.leaders[partition] ?? -1
      const list = byNode.get(leader)
      if (list === undefined) byNode.set(leader, [{ partition, placed }])
      else list.push({ partition, placed })
    }
    const fail = (placed: readonly Placed[], error: unknown): void => {
      const sure = neverSent(error) || isRefusal(error, acks)
      for (const { index } of placed) {
        const certainty = sure || outcomes[index] !== IN_DOUBT ? 'not-stored' : 'unknown'
        outcomes[index] = { ok: false, error, certainty }
      }
    }
    /** Answers what the topic does not take as one batch. */
    const sendOver = async (
      link: Link,
      round: readonly PartitionList[],
      codec: Compression,
    ): Promise<Refused[]> => {
      const parts = round.map(({ partition, placed }) => {
        const records = placed.map(({ record }) => record)
        return { partition, batch: encodeBatch(records, codec) }
      })
      const request = produceRequest(info.name, parts, ACKS[acks], requestTimeoutMs)
      const answers = await link.custom(request, requestTimeoutMs + 1_000)
      const byPartition = new Map(answers.map((answer) => [answer.partition, answer]))
      const refused: Refused[] = []
      for (const { partition, placed } of round) {
        const answer = byPartition.get(partition)
        if (acks !== 'none' && answer === undefined) {
          // A partition that is left out of the answer was not written to.
          const silence = `${what}: the broker said nothing about partition ${partition}`
          fail(placed, new AdapterError('MQ_UNAVAILABLE', silence, { retryable: true }))
          continue
        }
        const error = protocolError(answer?.error ?? 0)
        if (error === null) for (const { index } of placed) outcomes[index] = STORED
        else {
          if (OF_CONTENT.has(error.type)) refused.push({ partition, placed, type: error.type })
          else connection.forgetTopic(info.name)
          fail(placed, await explain(connection, info.name, error, what, placed))
        }
      }
      return refused
    }
    /** Halves what is too large, or holds a record that is refused, down to single records. */
    const sendRound = async (
      node: number,
      round: readonly PartitionList[],
      codec: Compression,
    ): Promise<void> => {
      let refused: readonly Refused[] = []
      try {
        const link = await connection.link(node, 'main')
        signal.throwIfAborted()
        for (const { placed } of round) for (const { index } of placed) outcomes[index] = IN_DOUBT
        refused = await sendOver(link, round, codec)
      } catch (error) {
        if (isConnectionError(error) || leaderMoves(error)) connection.forgetTopic(info.name)
        for (const { placed } of round) fail(placed, error)
      }
      for (const { partition, placed, type } of refused) {
        if (placed.length > 1) {
          const middle = placed.length >> 1
          const first = [{ partition, placed: placed.slice(0, middle) }]
          const rest = [{ partition, placed: placed.slice(middle) }]
          await sendRound(node, first, codec)
          const left = notOvertaking(rest, first, outcomes)
          if (left.length > 0) await sendRound(node, left, codec)
        } else if (packs && codec !== 'gzip' && type === 'MESSAGE_TOO_LARGE')
          await sendRound(node, [{ partition, placed }], 'gzip')
      }
    }
    const sendTo = async (node: number, lists: readonly PartitionList[]): Promise<void> => {
      let before: readonly PartitionList[] = []
      for (const all of rounds(lists)) {
        const round = before.length === 0 ? all : notOvertaking(all, before, outcomes)
        before = all
        if (round.length > 0) await sendRound(node, round, compression)
      }
    }
    await Promise.all([...byNode].map(([node, lists]) => sendTo(node, lists)))
  }

  const place = (
    info: TopicInfo,
    records: readonly RecordParts[],
    keys: readonly (string | undefined)[],
  ): Map<number, Placed[]> => {
    const parts = new Map<number, Placed[]>()
    const count = info.leaders.length
    // Of many processes that send one message not each begins with the first.
    let turn = turns.get(info) ?? Math.floor(Math.random() * count)
    for (let index = 0; index < records.length; index++) {
      const key = keys[index]
      // Each without a key goes to the next partition: consumers share what was sent together.
      const partition = key === undefined ? turn++ % count : partitionOf(key, count)
      const placed = { index, record: records[index] as RecordParts }
      const list = parts.get(partition)
      if (list === undefined) parts.set(partition, [placed])
      else list.push(placed)
    }
    turns.set(info, turn)
    return parts
  }

  const produce = (
    topic: string,
    records: readonly RecordParts[],
    keys: readonly (string | undefined)[],
    what: string,
    how: (connection: Connection, signal: AbortSignal) => Sending,
    signal: AbortSignal,
    prepare?: () => Promise<void>,
  ): Promise<readonly PublishOutcome[]> =>
    outcomesOf(records.length, signal, async (outcomes) => {
      await prepare?.()
      const connection = setup.connection()
      const info = await connection.topic(topic)
      if (info === null) throw notFound(what)
      await send(connection, info, place(info, records, keys), outcomes, what, how(connection, signal))
    })

  const toRequester = (
    connection: Connection,
    batch: readonly OutboundMessage[],
    reply: string,
    signal: AbortSignal,
  ): Promise<readonly PublishOutcome[]> => {
    const place = /^mq\.replies\/(\d+)\/(.+)$/.exec(reply)
    const topic = place === null ? reply : REPLY_TOPIC
    return outcomesOf(batch.length, signal, async (outcomes) => {
      const info = await connection.topic(topic).catch((error: unknown) => {
        // A name that no topic can have is nobody's. All else says nothing of the requester.
        if (errorType(error) === 'INVALID_TOPIC_EXCEPTION') return null
        throw error
      })
      // A requester that is gone is no error.
      if (info === null) return void outcomes.fill(STORED)
      const records = batch.map((message, index) => ({
        index,
        record: encodeMessage(message, undefined, place?.[2]),
      }))
      const partition = place === null ? 0 : Number(place[1])
      const parts = new Map([[partition % info.leaders.length, records]])
      await send(connection, info, parts, outcomes, 'the requester', publishing(connection, signal))
    })
  }

  const publish = async (
    connection: Connection,
    batch: readonly OutboundMessage[],
    signal: AbortSignal,
  ): Promise<readonly PublishOutcome[]> => {
    const to = (batch[0] as OutboundMessage).destination
    if ('reply' in to) return toRequester(connection, batch, to.reply, signal)
    const what = nameOf(to)
    const { groupId } = connection.options
    const names = isTarget(to) ? namesOf(to, groupId) : null
    const main = names?.main ?? (to as { topic: string }).topic
    const now = Date.now()
    const outcomes: PublishOutcome[] = new Array<PublishOutcome>(batch.length)
    const lists = new Map<string, number[]>()
    for (let i = 0; i < batch.length; i++) {
      const { delayMs } = batch[i] as OutboundMessage
      // A subscription alone cannot be reached by its topic.
      const topic = names !== null && ('subscription' in to || delayMs > 0) ? names.later : main
      const list = lists.get(topic)
      if (list === undefined) lists.set(topic, [i])
      else list.push(i)
    }
    await Promise.all(
      [...lists].map(async ([topic, indices]) => {
        const messages = indices.map((i) => batch[i] as OutboundMessage)
        const records = messages.map((m) =>
          encodeMessage(m, m.delayMs > 0 ? now + m.delayMs : undefined, undefined),
        )
        const done = await produce(
          topic,
          records,
          messages.map((m) => m.key),
          what,
          publishing,
          signal,
          topic === main ? undefined : () => setup.ensureLater(topic, main, to as Target),
        )
        indices.forEach((i, at) => (outcomes[i] = done[at] as PublishOutcome))
      }),
    )
    return outcomes
  }

  return {
    async publish(batch, signal) {
      if (signal.aborted) return notStored(batch, signal.reason)
      let connection: Connection
      try {
        connection = setup.connection()
      } catch (error) {
        return notStored(batch, error)
      }
      return publish(connection, batch, signal)
    },
    produce: (topic, records, keys, what) => produce(topic, records, keys, what, copying, NEVER),
    async produceTo(topic, partition, records, stored) {
      const connection = setup.connection()
      const info = await connection.topic(topic)
      if (info === null || partition >= info.leaders.length) throw notFound(`topic "${topic}"`)
      const outcomes: PublishOutcome[] = []
      await send(
        connection,
        info,
        new Map([[partition, records.map((record, index) => ({ index, record }))]]),
        outcomes,
        `topic "${topic}"`,
        copying(connection),
      )
      for (const [index, { ok }] of outcomes.entries()) if (ok) stored?.(index)
      for (const outcome of outcomes) if (!outcome.ok) throw outcome.error
    },
  }
}

/**
 * Runs what fills in outcomes until it ends, at most until the signal aborts: what has none by then was not written, and is not from then on; what was
 * written is in doubt.
 */
async function outcomesOf(
  count: number,
  signal: AbortSignal,
  work: (outcomes: PublishOutcome[]) => Promise<void>,
): Promise<readonly PublishOutcome[]> {
  const outcomes = new Array<PublishOutcome>(count)
  try {
    await untilAborted(work(outcomes), signal)
    return outcomes
  } catch (error) {
    // A copy: whoever goes on after an abort still writes into the other.
    return Array.from(outcomes, (outcome: PublishOutcome | undefined): PublishOutcome => {
      if (outcome === undefined) return { ok: false, error, certainty: 'not-stored' }
      return outcome === IN_DOUBT ? { ok: false, error, certainty: 'unknown' } : outcome
    })
  }
}

function notStored(batch: readonly OutboundMessage[], error: unknown): PublishOutcome[] {
  return batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
}

export function notFound(what: string): AdapterError {
  return new AdapterError('MQ_QUEUE_NOT_FOUND', `${what} does not exist`)
}

/**
 * A round without what follows something of its partition that failed and will be sent again: it must not come before that. What was refused for good
 * holds up nothing.
 */
function notOvertaking(
  round: readonly PartitionList[],
  before: readonly PartitionList[],
  outcomes: PublishOutcome[],
): readonly PartitionList[] {
  return round.filter(({ partition, placed }) => {
    for (const { index } of before.find((each) => each.partition === partition)?.placed ?? []) {
      const outcome = outcomes[index] as PublishOutcome
      if (outcome.ok || !classify(outcome.error).retryable) continue
      for (const each of placed)
        outcomes[each.index] = { ok: false, error: outcome.error, certainty: 'not-stored' }
      return false
    }
    return true
  })
}
