import {
  AdapterError,
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
import type { Letter, Letters } from './letters.ts'
import type { Names } from './names.ts'
import { offsetsOf } from './log/offsets.ts'
import type { Publisher } from './publisher.ts'
import { readChunk } from './log/scan.ts'
import { decodeRecord, encodeRemoval, isOver } from './wire.ts'

/** Offsets in one record of removals. */
const MOST_REMOVED = 5_000
/** Bytes of bodies after which a page ends. */
const PAGE_BYTES = 8 * 1024 * 1024

export interface BrowserSetup {
  readonly connection: Connection
  readonly names: Names
  readonly source: Source
  readonly publisher: Publisher
  lettersOf(connection: Connection, topic: string, topicId: string): Letters
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
  /** Of each partition what was read last: what waits lies there mostly in the order in which it is shown. */
  const chunks = new Map<
    number,
    { readonly from: number; readonly next: number; readonly records: ReadonlyMap<number, LogRecord> }
  >()
  let waiting: readonly Letter[] | null = null
  /** Of the topic that is shown, in hex. */
  let topicId: string | null = null
  let at = 0
  let closed = false

  /** What waits by now in these partitions, all by default. */
  const look = async (partitions?: readonly number[]) => {
    const info = await connection.topic(names.main, true)
    // In one that was made anew others lie in the same places.
    if (info === null || info.id !== (topicId ??= info.id)) return []
    const parts = { [names.main]: partitions ?? info.leaders.map((_, partition) => partition) }
    await setup.consumerOf(source.target)?.flush()
    const [commits, ends] = await Promise.all([
      committedOf(connection, names.group, parts),
      offsetsOf(connection, parts),
    ])
    const letters = setup.lettersOf(connection, names.main, info.id)
    const looks = (parts[names.main] ?? []).map((partition) => {
      const key = `${names.main}/${partition}`
      return letters.read(partition, commits.get(key), ends.get(key) ?? { low: 0, high: 0 })
    })
    return Promise.all(looks)
  }
  const load = async (): Promise<readonly Letter[]> => {
    const all = (await look()).flatMap((each) => each.waiting)
    all.sort((a, b) => a.time - b.time || a.partition - b.partition || a.offset - b.offset)
    return after === null ? all : all.filter((letter) => isAfter(letter, after))
  }

  /** `undefined`: it is not there any more. */
  const recordOf = async ({ partition, offset }: Letter): Promise<LogRecord | undefined> => {
    let chunk = chunks.get(partition)
    if (chunk === undefined || offset < chunk.from || offset >= chunk.next) {
      const { records, next, topicId: of } = await readChunk(connection, names.main, partition, offset)
      if (of !== topicId) return undefined
      chunk = { from: offset, next, records: new Map(records.map((record) => [record.offset, record])) }
      chunks.set(partition, chunk)
    }
    return chunk.records.get(offset)
  }

  return {
    async receive(max, signal) {
      if (signal.aborted || closed) return []
      waiting ??= await load()
      const out: Delivery[] = []
      for (let bytes = 0; out.length < max && bytes < PAGE_BYTES; at++) {
        const letter = waiting[at]
        if (letter === undefined) break
        const record = await recordOf(letter)
        if (record === undefined) continue
        const delivery = decodeRecord(record)
        if (isOver(delivery)) continue
        delivery.position = `${letter.time}:${letter.partition}:${letter.offset}`
        bytes += delivery.body.length
        out.push(Object.assign(delivery, { record }))
      }
      return out
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
        const [now] = await look([partition])
        const left = list.filter(({ offset, index }) => {
          // Gone by now: consumed, or removed by another browse.
          if (now?.gone(offset) === false) return true
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
      chunks.clear()
      return Promise.resolve()
    },
  }
}

function parsePosition(text: string | undefined): Letter | null {
  if (text === undefined) return null
  const parts = /^(-?\d+):(\d+):(\d+)$/.exec(text)
  if (parts === null) {
    throw new AdapterError('MQ_VALIDATION', `${JSON.stringify(text)} is no cursor that list answered`)
  }
  return { time: Number(parts[1]), partition: Number(parts[2]), offset: Number(parts[3]) }
}

function isAfter({ time, partition, offset }: Letter, after: Letter): boolean {
  return (time - after.time || partition - after.partition || offset - after.offset) > 0
}
