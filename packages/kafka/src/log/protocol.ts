import { Buffer } from 'node:buffer'
import { Reader, Writer } from './bytes.ts'
import { type CustomRequest, protocolError } from '../client.ts'

/**
 * Requests that are coded here, because kafkajs gives up on the first error of a partition, decodes what need not be decoded, or does not know topics by
 * their ids: a name says nothing of whether the topic was made anew. Of the newer ones (Kafka 3.1) heads and bodies end with tags, of which none are sent.
 */
const NO_TAGS = 0
const ID_BYTES = 16
const NO_ID = Buffer.alloc(ID_BYTES)
/** Tag of where a log is no more what was read of it. */
const DIVERGING = 0

export interface BrokerInfo {
  readonly id: number
  readonly host: string
  readonly port: number
}

export interface TopicInfo {
  readonly name: string
  /** Error code; 0: none, 3: there is no such topic. */
  readonly error: number
  /** In hex; one that is made anew gets another. */
  readonly id: string
  /** Leader of each partition by its number; -1: none now. */
  readonly leaders: readonly number[]
  readonly replicas: number
}

export interface Metadata {
  readonly brokers: readonly BrokerInfo[]
  readonly controller: number
  readonly topics: readonly TopicInfo[]
}

export function metadataRequest(topics: readonly string[]): CustomRequest<Metadata> {
  const body = new Writer().int8(NO_TAGS).uvarint(topics.length + 1)
  for (const topic of topics) body.raw(NO_ID).compactString(topic).int8(NO_TAGS)
  // Topics are made by declaring them, never by looking at them.
  body.int8(0).int8(0).int8(NO_TAGS)
  return {
    apiKey: 3,
    apiVersion: 12,
    apiName: 'Metadata',
    body: [body.done()],
    answered: true,
    decode(payload) {
      const r = new Reader(payload)
      r.tags()
      r.int32()
      const brokers = r.compactArray(() => {
        const broker = { id: r.int32(), host: r.compactString() ?? '', port: r.int32() }
        r.compactString()
        r.tags()
        return broker
      })
      r.compactString()
      const controller = r.int32()
      const found = r.compactArray((): TopicInfo => {
        const error = r.int16()
        const name = r.compactString() ?? ''
        const id = r.raw(ID_BYTES).toString('hex')
        r.int8()
        const leaders: number[] = []
        let replicas = 0
        r.compactArray(() => {
          r.int16()
          const partition = r.int32()
          leaders[partition] = r.int32()
          r.int32()
          replicas = r.compactArray(() => r.int32()).length
          r.compactArray(() => r.int32())
          r.compactArray(() => r.int32())
          r.tags()
        })
        r.int32()
        r.tags()
        return { name, error, id, leaders, replicas }
      })
      return { brokers, controller, topics: found }
    },
  }
}

export interface ProducePart {
  readonly partition: number
  /** One encoded batch. */
  readonly batch: Buffer
}

export interface ProduceAnswer {
  readonly partition: number
  readonly error: number
  readonly baseOffset: number
}

export function produceRequest(
  topic: string,
  parts: readonly ProducePart[],
  acks: number,
  timeoutMs: number,
): CustomRequest<readonly ProduceAnswer[]> {
  const head = new Writer(64).string(null).int16(acks).int32(timeoutMs)
  const body = [head.int32(1).string(topic).int32(parts.length).done()]
  for (const { partition, batch } of parts)
    body.push(new Writer(8).int32(partition).int32(batch.length).done(), batch)
  return {
    apiKey: 0,
    apiVersion: 7,
    apiName: 'Produce',
    body,
    answered: acks !== 0,
    decode(payload) {
      if (payload.length === 0) return []
      const r = new Reader(payload)
      const topics = r.array(() => {
        r.string()
        return r.array((): ProduceAnswer => {
          const answer = { partition: r.int32(), error: r.int16(), baseOffset: r.int64() }
          r.int64()
          r.int64()
          return answer
        })
      })
      return topics.flat()
    },
  }
}

export interface FetchPart {
  readonly topic: string
  /** The topic that is meant, and no other of its name. */
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  /** Of the batch that was read before `offset`: a log that is another one there by now says so. */
  readonly lastEpoch?: number
}

export interface FetchAnswer {
  readonly topic: string
  readonly partition: number
  readonly error: number
  readonly highWatermark: number
  readonly logStart: number
  /** Up to where the log is what was read of it; `null`: all of it. */
  readonly divergesAt: number | null
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[]
  readonly records: Buffer
}

export interface FetchLimits {
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly partitionBytes: number
  readonly bytes: number
}

export function fetchRequest(
  parts: readonly FetchPart[],
  limits: FetchLimits,
): CustomRequest<readonly FetchAnswer[]> {
  const names = new Map<string, string>()
  const body = new Writer()
    .int8(NO_TAGS)
    .int32(-1)
    .int32(limits.maxWaitMs)
    .int32(limits.minBytes)
    .int32(limits.bytes)
    // Only what is committed: records of a transaction that was given up never existed.
    .int8(1)
    .int32(0)
    .int32(-1)
    .uvarint(parts.length + 1)
  for (const { topic, topicId, partition, offset, lastEpoch = -1 } of parts) {
    names.set(topicId, topic)
    body
      .raw(Buffer.from(topicId, 'hex'))
      .uvarint(2)
      .int32(partition)
      .int32(-1)
      .int64(offset)
      .int32(lastEpoch)
      .int64(-1)
      .int32(limits.partitionBytes)
      .int8(NO_TAGS)
      .int8(NO_TAGS)
  }
  body.uvarint(1).compactString('').int8(NO_TAGS)
  return {
    apiKey: 1,
    apiVersion: 13,
    apiName: 'Fetch',
    body: [body.done()],
    answered: true,
    decode(payload) {
      const r = new Reader(payload)
      r.tags()
      r.int32()
      // Then nothing is said of the partitions.
      const failure = protocolError(r.int16())
      if (failure !== null) throw failure
      r.int32()
      return r
        .compactArray(() => {
          const topic = names.get(r.raw(ID_BYTES).toString('hex')) ?? ''
          const answers = r.compactArray((): FetchAnswer => {
            const partition = r.int32()
            const error = r.int16()
            const highWatermark = r.int64()
            r.int64()
            const logStart = r.int64()
            const aborted = r.compactArray(() => {
              const one = { producerId: r.int64(), firstOffset: r.int64() }
              r.tags()
              return one
            })
            r.int32()
            const records = r.raw(Math.max(0, r.uvarint() - 1))
            const diverging = r.tags().get(DIVERGING)
            // Behind the epoch that both know.
            const divergesAt = diverging === undefined ? null : Number(diverging.readBigInt64BE(4))
            return {
              topic,
              partition,
              error,
              highWatermark,
              logStart,
              divergesAt,
              aborted,
              records,
            }
          })
          r.tags()
          return answers
        })
        .flat()
    },
  }
}
