import { pause } from '../abort.ts'
import type { Connection } from '../connection.ts'
import type { LogRecord } from '../log/batch-reader.ts'
import { readChunk } from '../log/scan.ts'
import type { Waiting } from './delayed.ts'
import { createDueTimer } from './due-timer.ts'
import type { Partition } from './partition-contract.ts'

const MOST = 500
const CHUNK_BYTES = 256 * 1024
const AGAIN_MS = 100

/** These with the records that were forgotten: the first such one's, and what else one request brings. What is in the log no longer is done. */
export async function withRecords(
  connection: Connection,
  partition: Partition,
  waiting: readonly Waiting[],
): Promise<readonly Waiting[]> {
  const first = waiting.find(({ record }) => record === null)
  if (first === undefined) return waiting
  const { topic, number } = partition
  const { records, next } = await readChunk(connection, topic, number, first.offset, CHUNK_BYTES)
  const found = new Map(records.map((record) => [record.offset, record]))
  return waiting.flatMap((each) => {
    const { offset, record } = each
    if (record !== null || offset < first.offset || offset >= next) return [each]
    // Of a batch that can be read no longer each by itself: others of it may be done.
    const isIn = (batch: LogRecord): boolean =>
      batch.damage !== undefined && batch.damage.from <= offset && offset <= batch.offset
    const again = found.get(offset) ?? records.find(isIn)
    if (again !== undefined) return [{ ...each, record: { ...again, offset } }]
    partition.complete(offset)
    return []
  })
}

/** Says when something is due, and reads again what was forgotten of it. */
export interface Recall {
  /** There are others now, or there is room for them. */
  watch(): void
  /** Whether something that is due is not here yet. */
  isAwaited(partition: Partition): boolean
  stop(): void
}

export function createRecall(
  connection: Connection,
  owned: ReadonlyMap<string, Partition>,
  due: () => void,
): Recall {
  const busy = new Set<Partition>()
  let stopped = false

  const read = async (partition: Partition): Promise<void> => {
    busy.add(partition)
    const forgotten = partition.delayed.forgotten(MOST, Date.now())
    let waiting: readonly Waiting[] = forgotten
    try {
      waiting = await withRecords(connection, partition, forgotten)
    } catch (error) {
      const { topic, number } = partition
      connection.options.logger.debug({ topic, partition: number, error }, 'what is due could not be read')
    }
    partition.delayAgain(waiting)
    if (waiting.every(({ record }) => record === null)) await pause(AGAIN_MS)
    busy.delete(partition)
    due()
    recall.watch()
  }
  const look = (): void => {
    const now = Date.now()
    for (const partition of owned.values())
      if (!busy.has(partition) && !partition.isFull && partition.delayed.lacks(now)) void read(partition)
  }
  const timer = createDueTimer(owned, () => {
    due()
    look()
  })

  const recall: Recall = {
    watch() {
      if (stopped) return
      look()
      timer.watch()
    },
    isAwaited: (partition) => busy.has(partition) || partition.delayed.lacks(Date.now()),
    stop() {
      stopped = true
      timer.stop()
    },
  }
  return recall
}
