import { performance } from 'node:perf_hooks'
import type { AdapterLogger } from '@mq/core/adapter'
import type { Connection } from '../connection.ts'
import { type LogEnds, offsetsOf } from '../log/offsets.ts'
import type { Partition } from './partition-contract.ts'

/** Sees what happens to the logs underneath: records are deleted, a topic is made anew. */
export interface LogWatch {
  /** A fetch was answered. The log begins here: what is below is deleted. */
  seen(partition: Partition, logStart: number): void
  /** The position lies outside of the log. */
  outOfRange(partition: Partition): Promise<void>
  /** It lost its end with its leader, and got another one before anything was fetched: up to there it is what was read. */
  diverged(partition: Partition, at: number): Promise<void>
  /** The topic has another id by now. `from`: where to begin, if that is there. */
  replaced(partition: Partition, topicId: string, from?: number): Promise<void>
  /**
   * What is done is told, and deleted, by a topic's name alone. Starts anew whatever is read of a topic that was replaced; asks about those of which
   * nothing was fetched for `ms`. Rejects where that cannot be known.
   */
  verify(ms: number): Promise<void>
}

export interface LogWatchSetup {
  readonly connection: Connection
  readonly owned: ReadonlyMap<string, Partition>
  /** Reads another log from there on. */
  restart(old: Partition, topicId: string, offset: number): void
}

const LOG_REPLACED =
  'the log is another one: the topic was made anew, or lost its end with its leader; reading again what is there'

export function createLogWatch({ connection, owned, restart }: LogWatchSetup): LogWatch {
  const { logger } = connection.options
  /** When something of a topic was fetched last, by its id. */
  const seenAt = new Map<string, number>()

  const skip = (partition: Partition, to: number): void => {
    const { topic, number, tracker } = partition
    // Once, however long something is held that was below, and never of what was purged here.
    if (to > partition.droppedTo) warnOfGap(logger, topic, number, tracker.base, to)
    partition.dropBelow(to)
  }
  const endsOf = async ({ topic, number }: Partition) =>
    (await offsetsOf(connection, { [topic]: [number] })).get(`${topic}/${number}`)

  const watch: LogWatch = {
    seen(partition, logStart) {
      seenAt.set(partition.topicId, performance.now())
      if (logStart > partition.tracker.base) skip(partition, logStart)
    },
    async outOfRange(partition) {
      const { position } = partition
      const end = await endsOf(partition)
      // A purge may have moved it meanwhile.
      if (end === undefined || partition.gone || partition.position !== position) return
      if (partition.position < end.low) skip(partition, end.low)
      // Who was asked does not know of the leader before: it is none any more, or what was read named no true one.
      else if (partition.position <= end.high && partition.epoch >= 0) partition.epoch = -1
      else await watch.replaced(partition, partition.topicId)
    },
    diverged: (partition, at) =>
      watch.replaced(partition, partition.topicId, Math.min(partition.tracker.base, at)),
    async replaced(partition, topicId, from = 0) {
      const end = await endsOf(partition)
      if (end === undefined || partition.gone) return
      // Better twice than never.
      warnOfAnother(logger, partition.topic, partition.number, partition.position, end)
      seenAt.delete(partition.topicId)
      restart(partition, topicId, Math.max(end.low, from))
    },
    async verify(ms) {
      const since = performance.now() - ms
      const parts = [...owned.values()].filter(({ topicId }) => !((seenAt.get(topicId) ?? -1) > since))
      if (parts.length === 0) return
      const known = await connection.topics([...new Set(parts.map(({ topic }) => topic))], true)
      for (const partition of parts) {
        const info = known.get(partition.topic)
        // One that is gone is found out by who fetches, or refused.
        if (info === undefined || partition.number >= info.leaders.length) continue
        if (info.id === partition.topicId) seenAt.set(info.id, performance.now())
        else await watch.replaced(partition, info.id)
      }
    },
  }
  return watch
}

/** Says that what was read up to `position` is not what the log holds. */
export function warnOfAnother(
  logger: AdapterLogger,
  topic: string,
  partition: number,
  position: number,
  { low, high }: LogEnds,
): void {
  logger.warn({ topic, partition, position, low, high }, LOG_REPLACED)
}

/** Says that records are gone which nobody handled: `from` up to `to`, the first that is left. */
export function warnOfGap(
  logger: AdapterLogger,
  topic: string,
  partition: number,
  from: number,
  to: number,
): void {
  logger.warn(
    { topic, partition, from, to },
    'records were deleted before they were handled, by retention or by hand; going on behind them',
  )
}
