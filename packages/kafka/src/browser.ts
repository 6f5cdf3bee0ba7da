import {
  AdapterError,
  ErrorCode,
  type Delivery,
  type Receiver,
  type SettleOutcome,
  type Source,
  type Target,
} from '@mq/core/adapter'
import type { LogRecord } from './log/batch-reader.ts'
import type { Connection } from './connection.ts'
import type { Consumer } from './group/consumer-contract.ts'
import { committedOf } from './group/groups.ts'
import type { Names } from './names.ts'
import { offsetsOf } from './log/offsets.ts'
import type { Publisher } from './publisher.ts'
import { leftBy, waitingRecords } from './log/scan.ts'
import { decodeRecord, encodeRemoval, isOver } from './wire.ts'

/** Offsets in one record of removals. */
const MOST_REMOVED = 5_000

export interface BrowserSetup {
  readonly connection: Connection
  readonly names: Names
  readonly source: Source
  readonly publisher: Publisher
  consumerOf(target: Target): Consumer | undefined
  /** Said before anything is taken out. */
  willHaveRemovals(): Promise<void>
}

/**
 * Shows what waits in the log, oldest failure first, and takes nothing. What is taken out is said to be by a record behind it: that reaches
 * every reader, a consumer of the same queue in another process included.
 */
export function createBrowser(setup: BrowserSetup): Receiver {
  const { connection, names, source, publisher } = setup
  const after = parsePosition(source.after)
  let waiting: LogRecord[] | null = null
  let at = 0
  let closed = false

  const load = async (): Promise<LogRecord[]> => {
    const info = await connection.topic(names.main)
    const parts = { [names.main]: (info?.leaders ?? []).map((_, partition) => partition) }
    await setup.consumerOf(source.target)?.flush()
    const [commits, ends] = await Promise.all([
      committedOf(connection, names.group, parts),
      offsetsOf(connection, parts),
    ])
    const lists = await Promise.all(
      (parts[names.main] ?? []).map(async (partition) => {
        const key = `${names.main}/${partition}`
        const end = ends.get(key)
        if (end === undefined) return []
        return waitingRecords(connection, names.main, partition, leftBy(commits.get(key), end.low), end.high)
      }),
    )
    const all = lists.flat().flatMap((record) => {
      const delivery = decodeRecord(record)
      const time = delivery.deadLetter?.lastFailedAt.getTime() ?? record.timestamp
      return isOver(delivery) ? [] : [{ record, time }]
    })
    all.sort(
      (a, b) =>
        a.time - b.time || a.record.partition - b.record.partition || a.record.offset - b.record.offset,
    )
    const seen = all.filter(({ record, time }) => after === null || isAfter(record, time, after))
    return seen.map(({ record }) => record)
  }

  return {
    async receive(max, signal) {
      if (signal.aborted || closed) return []
      waiting ??= await load()
      const part = waiting.slice(at, at + max)
      at += part.length
      return part.map((record): Delivery => {
        const delivery = decodeRecord(record)
        const time = delivery.deadLetter?.lastFailedAt.getTime() ?? record.timestamp
        delivery.position = `${time}:${record.partition}:${record.offset}`
        return Object.assign(delivery, { record })
      })
    },
    async ack(deliveries) {
      const outcomes: SettleOutcome[] = new Array<SettleOutcome>(deliveries.length).fill('settled')
      const byPartition = new Map<number, { offset: number; index: number }[]>()
      deliveries.forEach((delivery, index) => {
        const { record } = delivery as Delivery & { record: LogRecord }
        const list = byPartition.get(record.partition) ?? []
        byPartition.set(record.partition, list)
        list.push({ offset: record.offset, index })
      })
      for (const [partition, list] of byPartition) {
        const gone = await removedBy(partition)
        const left = list.filter(({ offset, index }) => {
          if (!gone(offset)) return true
          outcomes[index] = 'lost'
          return false
        })
        for (let from = 0; from < left.length; from += MOST_REMOVED) {
          const part = left.slice(from, from + MOST_REMOVED)
          try {
            await setup.willHaveRemovals()
            await publisher.produceTo(names.main, partition, [
              encodeRemoval(part.map(({ offset }) => offset)),
            ])
          } catch (error) {
            for (const { index } of part) outcomes[index] = { error }
          }
        }
      }
      return outcomes
    },
    release: (deliveries) => Promise.resolve(deliveries.map(() => 'settled' as const)),
    retry: (deliveries) => Promise.resolve(deliveries.map(() => 'lost' as const)),
    deadLetter: (deliveries) => Promise.resolve(deliveries.map(() => 'lost' as const)),
    renew: (deliveries) => Promise.resolve(deliveries.map(() => 'settled' as const)),
    close() {
      closed = true
      waiting = []
      return Promise.resolve()
    },
  }

  /** Whether an offset is gone by now: consumed, or removed by another browse. */
  async function removedBy(partition: number): Promise<(offset: number) => boolean> {
    const parts = { [names.main]: [partition] }
    await setup.consumerOf(source.target)?.flush()
    const [commits, ends] = await Promise.all([
      committedOf(connection, names.group, parts),
      offsetsOf(connection, parts),
    ])
    const key = `${names.main}/${partition}`
    const end = ends.get(key) ?? { low: 0, high: 0 }
    const left = leftBy(commits.get(key), end.low)
    await waitingRecords(connection, names.main, partition, left, end.high)
    return (offset) => left.isDone(offset)
  }
}

interface Position {
  readonly time: number
  readonly partition: number
  readonly offset: number
}

function parsePosition(text: string | undefined): Position | null {
  if (text === undefined) return null
  const parts = /^(-?\d+):(\d+):(\d+)$/.exec(text)
  if (parts === null) {
    throw new AdapterError(ErrorCode.VALIDATION, `${JSON.stringify(text)} is no cursor that list answered`)
  }
  return { time: Number(parts[1]), partition: Number(parts[2]), offset: Number(parts[3]) }
}

function isAfter(record: LogRecord, time: number, after: Position): boolean {
  return (
    time - after.time > 0 ||
    (time === after.time &&
      (record.partition > after.partition ||
        (record.partition === after.partition && record.offset > after.offset)))
  )
}
