import { pause } from '../abort.ts'
import { decodeBatches } from '../log/batch-reader.ts'
import { protocolError } from '../client.ts'
import type { Connection } from '../connection.ts'
import { classify, errorType, isConnectionError, leaderMoves } from '../errors.ts'
import { type FetchAnswer, fetchRequest } from '../log/protocol.ts'
import { namingRight } from '../rights.ts'

/** A partition as far as fetching goes. */
export interface Fetched {
  readonly topic: string
  readonly topicId: string
  readonly number: number
  position: number
  /** Of the leader that wrote what was read last; -1: not known. */
  epoch: number
  highWatermark: number
  gone: boolean
  accept(records: Awaited<ReturnType<typeof decodeBatches>>['records'], next: number): void
}

export interface Fetcher {
  /** Something changed: look again which partitions have room. */
  poke(): void
  stop(): void
}

export interface FetcherSetup<P extends Fetched> {
  readonly connection: Connection
  readonly lane: string
  /** Those with room for more. */
  wanted(): readonly P[]
  /** Whether some partition waits for room: then an answer is not waited for long, so that it can join the next fetch. */
  crowded(): boolean
  /** Records came, or the end moved. `logStart`: what is below is deleted. */
  arrived(partition: P, logStart: number): void
  /** The position lies outside of the log. */
  outOfRange(partition: P): Promise<void>
  /** From there on the log is not what was read of it any more. */
  diverged(partition: P, at: number): Promise<void>
  /** The topic was made anew: its id is this one now. */
  replaced(partition: P, topicId: string): Promise<void>
  /** The topic is not there. */
  missing(partition: P): void
  /** The brokers refuse for good. */
  failed(error: unknown): void
}

const RETRY_MS = 100
const CROWDED_WAIT_MS = 20
const MOST_BYTES = 16 * 1024 * 1024
/** The topic is gone, or new and not known everywhere, or another one by now. */
const GONE = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID', 'INCONSISTENT_TOPIC_ID'])

/** Reads partitions from their leaders, one request at a time to each broker. */
export function createFetcher<P extends Fetched>(setup: FetcherSetup<P>): Fetcher {
  const { connection, lane } = setup
  const { fetchMaxWaitMs, fetchMinBytes, fetchPartitionBytes, requestTimeoutMs } = connection.options
  const ended = new AbortController()
  const busy = new Set<number>()
  const unsettled = new Set<P>()
  let leaders = new Map<string, readonly number[]>()
  let poked = false
  let looking = false
  let scheduled = false
  let retrying = false

  const look = async (): Promise<void> => {
    if (looking) {
      poked = true
      return
    }
    looking = true
    try {
      do {
        poked = false
        const byNode = new Map<number, P[]>()
        for (const partition of setup.wanted()) {
          if (unsettled.has(partition)) continue
          let list = leaders.get(partition.topic)
          if (list === undefined) {
            const info = await connection.topic(partition.topic)
            if (ended.signal.aborted) return
            if (info === null) {
              setup.missing(partition)
              continue
            }
            list = info.leaders
            leaders.set(partition.topic, list)
          }
          const leader = list[partition.number] ?? -1
          const group = byNode.get(leader)
          if (group === undefined) byNode.set(leader, [partition])
          else group.push(partition)
        }
        for (const [node, partitions] of byNode) if (!busy.has(node)) void fetchFrom(node, partitions)
      } while (poked && !ended.signal.aborted)
    } catch (error) {
      if (!gaveUp(error)) retry()
    } finally {
      looking = false
    }
  }
  /** Whether the same would be refused again and again. That a topic is gone is found out otherwise. */
  const gaveUp = (error: unknown): boolean => {
    const { code, retryable } = classify(error)
    if (retryable || code === 'MQ_QUEUE_NOT_FOUND') return false
    if (!ended.signal.aborted && !connection.closed) setup.failed(error)
    return true
  }
  const retry = (): void => {
    leaders = new Map()
    if (retrying) return
    retrying = true
    void pause(RETRY_MS, ended.signal).then(() => {
      retrying = false
      if (!ended.signal.aborted && !connection.closed) void look()
    })
  }

  const fetchFrom = async (node: number, partitions: readonly P[]): Promise<void> => {
    busy.add(node)
    let failed = false
    try {
      const link = await connection.link(node, lane)
      const limits = {
        maxWaitMs: setup.crowded() ? Math.min(CROWDED_WAIT_MS, fetchMaxWaitMs) : fetchMaxWaitMs,
        minBytes: fetchMinBytes,
        partitionBytes: fetchPartitionBytes,
        bytes: MOST_BYTES,
      }
      const asked = new Map(
        partitions.map((each) => [
          `${each.topic}/${each.number}`,
          { partition: each, offset: each.position },
        ]),
      )
      const answers = await link.custom(
        fetchRequest(
          [...asked.values()].map(({ partition, offset }) => ({
            topic: partition.topic,
            topicId: partition.topicId,
            partition: partition.number,
            offset,
            lastEpoch: partition.epoch,
          })),
          limits,
        ),
        limits.maxWaitMs + requestTimeoutMs,
      )
      for (const answer of answers) {
        const mine = asked.get(`${answer.topic}/${answer.partition}`)
        // Moved by hand meanwhile (a purge), or somebody else's by now.
        if (mine === undefined || mine.partition.gone || mine.partition.position !== mine.offset) continue
        if (!(await take(mine.partition, answer))) failed = true
      }
    } catch (error) {
      failed = true
      gaveUp(error)
      if (isConnectionError(error) || leaderMoves(error))
        for (const { topic } of partitions) connection.forgetTopic(topic)
    }
    busy.delete(node)
    if (ended.signal.aborted || connection.closed) return
    if (failed) retry()
    else void look()
  }

  const take = async (partition: P, answer: FetchAnswer): Promise<boolean> => {
    const error = protocolError(answer.error)
    if (error === null && answer.divergesAt !== null) {
      settle(partition, setup.diverged(partition, answer.divergesAt))
      return true
    }
    if (error === null) {
      partition.highWatermark = answer.highWatermark
      if (answer.records.length > 0) {
        const { records, next, epoch } = await decodeBatches(answer, partition.position)
        if (partition.gone) return true
        if (next > partition.position) partition.epoch = epoch
        partition.accept(records, next)
      }
      setup.arrived(partition, answer.logStart)
      return true
    }
    namingRight(error, 'Read', 'topic', [partition.topic])
    const type = errorType(error) ?? ''
    if (type === 'OFFSET_OUT_OF_RANGE') {
      settle(partition, setup.outOfRange(partition))
      return true
    }
    if (!GONE.has(type)) {
      if (!gaveUp(error)) connection.forgetTopic(partition.topic)
      return false
    }
    const info = await connection.topic(partition.topic, true).catch(() => undefined)
    if (info === null) setup.missing(partition)
    else if (info !== undefined && info.id !== partition.topicId) {
      settle(partition, setup.replaced(partition, info.id))
      return true
    }
    return false
  }
  /** Not fetched from until it is known where to read on. */
  const settle = (partition: P, settled: Promise<void>): void => {
    unsettled.add(partition)
    const end = (next: () => unknown) => (): void => {
      unsettled.delete(partition)
      next()
    }
    void settled.then(end(look), end(retry))
  }

  return {
    poke() {
      if (scheduled) return
      scheduled = true
      setImmediate(() => {
        scheduled = false
        if (!ended.signal.aborted) void look()
      })
    },
    stop() {
      ended.abort()
      connection.endLane(lane)
    },
  }
}
