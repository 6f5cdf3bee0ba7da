import { randomUUID } from 'node:crypto'
import { AdapterError, type Delivery, type Receiver } from '@mq/core/adapter'
import { pause } from './abort.ts'
import { decodeBatches } from './log/batch-reader.ts'
import { protocolError } from './client.ts'
import type { Connection } from './connection.ts'
import { classify, errorType, leaderMoves } from './errors.ts'
import { REPLY_PARTITIONS, REPLY_TOPIC } from './names.ts'
import { offsetsOf } from './log/offsets.ts'
import { fetchRequest } from './log/protocol.ts'
import { ANY_TIME, usualReplicas } from './topics.ts'
import { decodeRecord } from './wire.ts'

const HOUR_MS = 3_600_000
const MAX_WAIT_MS = 500
const AGAIN_MS = 100

/** What a requester needs of the topics. */
export interface ReplyTopics {
  ensureTopic(
    name: string,
    partitions: number,
    replicas: number,
    config: Readonly<Record<string, string>>,
  ): Promise<void>
}

/**
 * A place for answers: one of few partitions that all requesters share, each reading from the end and keeping what bears its address. No
 * topic is made and left behind by a requester, and none has to be waited for.
 */
export async function openReplies(
  connection: Connection,
  topology: ReplyTopics,
): Promise<{ address: string; receiver: Receiver; fail(error: unknown): void }> {
  await topology.ensureTopic(REPLY_TOPIC, REPLY_PARTITIONS, usualReplicas(connection), {
    'retention.ms': String(HOUR_MS),
    ...ANY_TIME,
  })
  const id = randomUUID()
  const lane = `replies ${id}`
  const info = await connection.topic(REPLY_TOPIC)
  const partition = Number.parseInt(id.slice(0, 8), 16) % (info?.leaders.length ?? 1)
  const ends = await offsetsOf(connection, { [REPLY_TOPIC]: [partition] })
  let position = ends.get(`${REPLY_TOPIC}/${partition}`)?.high ?? 0
  const ready: Delivery[] = []
  const ended = new AbortController()
  let error: unknown = null
  let missed = 0
  let wake: (() => void) | null = null

  const read = async (): Promise<void> => {
    const known = await connection.topic(REPLY_TOPIC)
    // Else a socket is opened that nobody ends.
    if (ended.signal.aborted) return
    if (known === null || known.id !== info?.id) {
      // Twice: what is new is not known everywhere at once.
      const code = missed++ > 0 ? 'MQ_QUEUE_NOT_FOUND' : 'MQ_UNAVAILABLE'
      throw new AdapterError(code, `topic "${REPLY_TOPIC}" is gone, and with it the place for answers`, {
        retryable: missed === 1,
      })
    }
    missed = 0
    const link = await connection.link(known.leaders[partition] ?? -1, lane)
    const limits = { maxWaitMs: MAX_WAIT_MS, minBytes: 1, partitionBytes: 1024 * 1024, bytes: 1024 * 1024 }
    const [answer] = await link.custom(
      fetchRequest([{ topic: REPLY_TOPIC, topicId: known.id, partition, offset: position }], limits),
    )
    // So a broker answers who has used up a quota.
    if (answer === undefined) return pause(AGAIN_MS, ended.signal)
    const failure = protocolError(answer.error)
    if (failure !== null) throw failure
    const { records, next } = await decodeBatches(answer, position)
    position = next
    for (const record of records) {
      const delivery = decodeRecord(record)
      if (delivery.address === id) ready.push(delivery)
    }
    if (ready.length > 0) wake?.()
  }
  const fail = (reason: unknown): void => {
    error = reason
    ended.abort()
    wake?.()
  }
  const run = async (): Promise<void> => {
    while (!ended.signal.aborted && !connection.closed) {
      try {
        await read()
      } catch (reason) {
        connection.forgetTopic(REPLY_TOPIC)
        if (errorType(reason) === 'OFFSET_OUT_OF_RANGE') {
          const now = await offsetsOf(connection, { [REPLY_TOPIC]: [partition] }).catch(() => null)
          position = now?.get(`${REPLY_TOPIC}/${partition}`)?.low ?? position
        } else if (!classify(reason).retryable && !leaderMoves(reason)) fail(reason)
        await pause(AGAIN_MS, ended.signal)
      }
    }
  }
  void run()

  const settled = (deliveries: readonly Delivery[]) =>
    Promise.resolve(deliveries.map(() => 'settled' as const))
  const receiver: Receiver = {
    async receive(max, signal, waitMs = 1_000) {
      if (ready.length === 0 && waitMs > 0 && !signal.aborted && error === null && !ended.signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(end, waitMs)
          function end(): void {
            clearTimeout(timer)
            signal.removeEventListener('abort', end)
            wake = null
            resolve()
          }
          wake = end
          signal.addEventListener('abort', end, { once: true })
        })
      }
      if (ready.length === 0 && error !== null) throw error
      return ready.splice(0, max)
    },
    ack: settled,
    release: settled,
    retry: settled,
    deadLetter: settled,
    renew: settled,
    close() {
      ended.abort()
      wake?.()
      connection.endLane(lane)
      return Promise.resolve()
    },
  }
  return {
    address: `${REPLY_TOPIC}/${partition}/${id}`,
    receiver,
    fail,
  }
}
