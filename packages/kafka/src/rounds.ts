import type { RecordParts } from './log/batch-writer.ts'

/** Bytes of one batch: below what brokers take by default (1048588). */
const BATCH_BYTES = 900 * 1024

/** A record on its way to one partition; the number says where in the outcomes it belongs. */
export interface Placed {
  readonly index: number
  readonly record: RecordParts
}

export interface PartitionList {
  readonly partition: number
  readonly placed: readonly Placed[]
}

/** One batch per partition and request: what is too much for one batch goes into the next request. */
export function* rounds(lists: readonly PartitionList[]): Generator<readonly PartitionList[]> {
  let left = lists.map((list) => ({ ...list }))
  while (left.length > 0) {
    const round = left.map(({ partition, placed }) => {
      let bytes = 0
      let count = 0
      for (const { record } of placed) {
        const size = sizeOf(record)
        if (count > 0 && bytes + size > BATCH_BYTES) break
        bytes += size
        count++
      }
      return { partition, placed: placed.slice(0, count) }
    })
    yield round
    left = left
      .map(({ partition, placed }, i) => ({
        partition,
        placed: placed.slice((round[i] as PartitionList).placed.length),
      }))
      .filter(({ placed }) => placed.length > 0)
  }
}

function sizeOf(record: RecordParts): number {
  let size = 32 + (record.value?.length ?? 0) + (record.key?.length ?? 0)
  for (const part of record.headers) size += 2 + (part?.length ?? 0)
  return size
}
