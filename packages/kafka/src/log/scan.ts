import { matchesPattern } from '@mq/core/adapter'
import { pause } from '../abort.ts'
import { decodeBatches, type LogRecord } from './batch-reader.ts'
import { protocolError } from '../client.ts'
import type { Connection } from '../connection.ts'
import { errorType } from '../errors.ts'
import type { Commit } from '../group/membership-contract.ts'
import { mayBeLed, pauseForLeader } from './moving-leader.ts'
import { offsetsOf } from './offsets.ts'
import { fetchRequest } from './protocol.ts'
import { parseNotes } from '../group/notes.ts'
import { createTracker, type Tracker } from '../group/tracker.ts'
import { decodeRecord, deliverAtOf, isOver, removalOf } from '../wire.ts'

const LANE = 'scan'
const CHUNK_BYTES = 1024 * 1024
/** Between the requests of one who has used up a quota, in ms. */
const QUOTA_MS = 25

export interface Chunk {
  /** Of the topic that was read, in hex: one that is made anew has another. */
  readonly topicId: string
  readonly records: readonly LogRecord[]
  /** Where to read on. */
  readonly next: number
  readonly highWatermark: number
}

/** What a partition holds from `offset` on, one request's worth; without waiting. What was deleted there is passed over. */
export async function readChunk(
  connection: Connection,
  topic: string,
  partition: number,
  offset: number,
  bytes = CHUNK_BYTES,
): Promise<Chunk> {
  let from = offset
  for (let tries = 0; ; tries++) {
    try {
      return await readOnce(connection, topic, partition, from, bytes, tries > 0)
    } catch (error) {
      if (errorType(error) === 'OFFSET_OUT_OF_RANGE') {
        const ends = await offsetsOf(connection, { [topic]: [partition] })
        const { low = 0 } = ends.get(`${topic}/${partition}`) ?? {}
        if (low > from) {
          from = low
          continue
        }
      }
      if (!mayBeLed(connection, error, tries)) throw error
      // Not passing, but gone.
      if ((await connection.topic(topic, true)) === null) throw error
      await pauseForLeader(tries)
    }
  }
}

async function readOnce(
  connection: Connection,
  topic: string,
  partition: number,
  offset: number,
  bytes: number,
  fresh: boolean,
): Promise<Chunk> {
  const info = await connection.topic(topic, fresh)
  const link = await connection.link(info?.leaders[partition] ?? -1, LANE)
  const limits = { maxWaitMs: 0, minBytes: 1, partitionBytes: bytes, bytes }
  const [answer] = await link.custom(
    fetchRequest([{ topic, topicId: info?.id ?? '', partition, offset }], limits),
  )
  if (answer === undefined) {
    // So a broker answers who has used up a quota; it takes the next request of the socket when it may answer that.
    await pause(QUOTA_MS)
    return readOnce(connection, topic, partition, offset, bytes, false)
  }
  const { error, records, highWatermark } = answer
  const failure = protocolError(error)
  if (failure !== null) throw failure
  const decoded = records.length === 0 ? { records: [], next: offset } : await decodeBatches(answer, offset)
  return { ...decoded, highWatermark, topicId: info?.id ?? '' }
}

/** What the group left of a partition: the start of what waits, and what is done behind it. */
export function leftBy(commit: Commit | undefined, low: number): Tracker {
  if (commit === undefined || commit.offset < low) return createTracker(low)
  return createTracker(commit.offset, parseNotes(commit.offset, commit.metadata).done)
}

/** Reads a partition from one offset to another, a chunk in memory at a time. Shows messages; what removals take away is marked as done. Answers where it ended. */
export async function scan(
  connection: Connection,
  topic: string,
  partition: number,
  { from, to }: { readonly from: number; readonly to: number },
  done: Tracker,
  see: (record: LogRecord) => void,
): Promise<number> {
  let at = from
  while (at < to) {
    const chunk = await readChunk(connection, topic, partition, at)
    for (const record of chunk.records) {
      const removed = removalOf(record)
      if (removed !== null) for (const offset of removed) done.complete(offset)
      else if (!done.isDone(record.offset)) see(record)
    }
    if (chunk.next === at) break
    at = chunk.next
  }
  return at
}

/** How many messages of a partition wait for a consumer, without dead letters that are over; `due`: nor those that have to wait longer. */
export async function waitingCount(
  connection: Connection,
  topic: string,
  partition: number,
  commit: Commit | undefined,
  end: { low: number; high: number },
  of: { readonly pattern: string | undefined; readonly due: boolean },
): Promise<number> {
  const left = leftBy(commit, end.low)
  const now = Date.now()
  const counted: number[] = []
  await scan(connection, topic, partition, { from: left.base, to: end.high }, left, (record) => {
    if (of.due && deliverAtOf(record) > now) return
    const message = decodeRecord(record)
    if (isOver(message)) return
    if (of.pattern === undefined || matchesPattern(of.pattern, message.routingKey ?? ''))
      counted.push(record.offset)
  })
  // What takes one away lies behind it.
  return counted.filter((offset) => !left.isDone(offset)).length
}
