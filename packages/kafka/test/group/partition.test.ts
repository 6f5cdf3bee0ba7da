import { describe, expect, it } from '@jest/globals'
import { decodeBatches, type LogRecord } from '../../src/log/batch-reader.ts'
import { encodeBatch, type RecordParts } from '../../src/log/batch-writer.ts'
import { createPartition } from '../../src/group/partition.ts'
import type { Partition } from '../../src/group/partition-contract.ts'
import { encodeRemoval } from '../../src/wire.ts'

const start = {
  topic: 't',
  topicId: 'a',
  number: 0,
  offset: 0,
  metadata: null,
  pattern: undefined,
  partitions: undefined,
  delayedBytes: 1_000_000,
  readsAhead: false,
}
const LIMIT = 4_096
const taker = () => ({ pulls: false, lost: () => undefined })
const me = taker()

async function records(parts: readonly Partial<RecordParts>[], from = 0): Promise<LogRecord[]> {
  const full = parts.map((each) => ({
    timestamp: 1,
    key: null,
    value: Buffer.from('v'),
    headers: [],
    ...each,
  }))
  const batch = encodeBatch(full, 'none')
  batch.writeBigInt64BE(BigInt(from), 0)
  const answer = {
    topic: 't',
    partition: 0,
    error: 0,
    highWatermark: 0,
    logStart: 0,
    aborted: [],
    records: batch,
  }
  return (await decodeBatches(answer, from)).records
}
async function filled(count: number, more: Partial<typeof start> = {}): Promise<Partition> {
  const partition = createPartition({ ...start, ...more })
  const offset = more.offset ?? 0
  partition.accept(
    await records(
      Array.from({ length: count }, () => ({})),
      offset,
    ),
    offset + count,
  )
  return partition
}
const offsets = (list: readonly LogRecord[]) => list.map(({ offset }) => offset)
const take = (partition: Partition, max: number, by: ReturnType<typeof taker> = me, ordered = false) =>
  partition.take(max, by, ordered, Date.now())

describe('a partition', () => {
  it('hands out in order, and again in order what was given back', async () => {
    const partition = await filled(5)
    const first = take(partition, 3)
    expect(offsets(first)).toEqual([0, 1, 2])
    partition.giveBack(first[1] as LogRecord)
    partition.giveBack(first[0] as LogRecord)
    expect(offsets(take(partition, 9))).toEqual([0, 1, 3, 4])
  })

  it('stays pinned until what was held then is settled, whatever is handed out later', async () => {
    const partition = await filled(4)
    take(partition, 2)
    partition.pin()
    take(partition, 1)
    partition.complete(0)
    expect(partition.isPinned).toBe(true)
    partition.complete(1)
    expect([partition.isPinned, partition.heldCount]).toEqual([false, 1])
  })

  it('gives what is ready to be moved elsewhere, but not while a poison is looked for', async () => {
    const partition = await filled(3)
    take(partition, 1)
    expect(offsets(partition.takeAside(9))).toEqual([1, 2])
    const suspicious = await filled(3, { metadata: 'mq1 s=2' as never })
    expect(suspicious.takeAside(9)).toEqual([])
  })

  it('does not hand out what an earlier owner has done', async () => {
    const earlier = await filled(6)
    take(earlier, 6)
    for (const offset of [0, 2, 3]) earlier.complete(offset)
    const entry = earlier.commitEntry(true, LIMIT)
    expect(entry?.offset).toBe(1)
    const next = await filled(5, { offset: 1, metadata: entry?.metadata as never })
    expect(offsets(take(next, 9))).toEqual([1, 4, 5])
  })

  it('takes gaps of the log for done', async () => {
    const partition = createPartition(start)
    partition.accept(await records([{}], 3), 10)
    expect(offsets(take(partition, 9))).toEqual([3])
    partition.complete(3)
    expect(partition.tracker.base).toBe(10)
  })

  it('is not done with a batch that it cannot read before the record that stands for it is settled', async () => {
    const damaged = async (from: number, count: number): Promise<LogRecord> => {
      const [last] = (
        await records(
          Array.from({ length: count }, () => ({})),
          from,
        )
      ).slice(-1)
      return { ...(last as LogRecord), damage: { error: new Error('an unknown codec'), from } }
    }
    const partition = await filled(1)
    partition.accept([await damaged(1, 4)], 5)
    const [, stands] = take(partition, 9)
    partition.complete(0)
    // Whoever can read it gets all of it.
    const { offset = -1, metadata = null } = partition.commitEntry(true, LIMIT) ?? {}
    expect([offset, stands?.offset]).toEqual([1, 4])
    const able = await filled(4, { offset, metadata: metadata as never })
    expect(offsets(take(able, 9))).toEqual([1, 2, 3, 4])
    // And the other way round: what was not handled yet of one that could be read is still left.
    for (const each of [1, 2, 4]) able.complete(each)
    const entry = able.commitEntry(true, LIMIT)
    const next = createPartition({ ...start, ...entry })
    next.accept([await damaged(3, 2)], 5)
    expect(offsets(take(next, 9))).toEqual([3])
    partition.complete(4)
    next.complete(3)
    expect([partition.tracker.base, next.tracker.base]).toEqual([5, 5])
  })

  it('is done with all of a batch that it cannot read when that was taken away', async () => {
    const [, , last] = await records([{}, {}, {}])
    const partition = createPartition({ ...start, readsAhead: true })
    partition.highWatermark = 4
    partition.accept([{ ...(last as LogRecord), damage: { error: new Error('damaged'), from: 0 } }], 3)
    partition.accept(await records([encodeRemoval([2])], 3), 4)
    expect(take(partition, 9)).toEqual([])
    expect(partition.tracker.base).toBe(4)
  })

  it('counts unclean ends against the record that stands in the way, and clears them when it moves', async () => {
    let metadata: string | null = null
    for (let end = 0; end < 3; end++) {
      const partition: Partition = await filled(3, { metadata: metadata as never })
      metadata = partition.commitEntry(true, LIMIT)?.metadata ?? null
      expect(partition.historyOf(0).stalls).toBe(end)
      expect(partition.historyOf(1).stalls).toBe(0)
    }
    const last = await filled(3, { metadata: metadata as never })
    last.committed(0, '')
    take(last, 1)
    last.complete(0)
    expect(last.historyOf(1).stalls).toBe(0)
  })

  it('counts no clean end', async () => {
    const before = await filled(1)
    const metadata = before.commitEntry(false, LIMIT)?.metadata
    expect((await filled(1, { metadata: metadata as never })).historyOf(0).stalls).toBe(0)
  })

  it('that was left uncleanly twice hands out one by one, each committed before the next', async () => {
    const partition = await filled(3, { metadata: 'mq1 h s=1' as never })
    expect(take(partition, 9)).toEqual([])
    partition.committed(0, 'x')
    expect(offsets(take(partition, 9))).toEqual([0])
    expect(take(partition, 9)).toEqual([])
    partition.complete(0)
    expect(offsets(take(partition, 9))).toEqual([1, 2])
  })

  it('that was left uncleanly counts it against the record that was handed out alone, never against one that is delayed', async () => {
    const due = Date.now() + 60_000
    let metadata: string | null = null
    const counts: number[] = []
    let partition: Partition
    for (let end = 0; end < 5; end++) {
      partition = createPartition({ ...start, metadata: metadata })
      partition.accept(await records([{ headers: ['mq-deliver-at', String(due)] }, {}, {}]), 3)
      const commit = (): void => {
        const entry = partition.commitEntry(true, LIMIT)
        if (entry !== null) partition.committed(entry.offset, entry.metadata)
        metadata = entry?.metadata ?? metadata
      }
      commit()
      let out = take(partition, 9)
      if (end >= 2) {
        // Whom it will count against is told first, once.
        expect(out.length).toBe(end === 2 ? 0 : 1)
        commit()
        if (out.length === 0) out = take(partition, 9)
        expect(offsets(out)).toEqual([1])
      }
      counts.push(partition.historyOf(1).stalls)
      expect([partition.historyOf(0).stalls, partition.historyOf(2).stalls]).toEqual([0, 0])
    }
    expect(counts).toEqual([0, 0, 0, 1, 2])
    const last = createPartition({ ...start, metadata: metadata })
    last.accept(await records([{ headers: ['mq-deliver-at', String(due)] }, {}, {}]), 3)
    expect(last.historyOf(1).stalls).toBe(3)
    last.committed(0, metadata ?? '')
    expect(offsets(take(last, 9))).toEqual([1])
    last.complete(1)
    expect(offsets(last.take(9, me, false, due))).toEqual([0, 2])
    expect([last.historyOf(0).stalls, last.historyOf(2).stalls]).toEqual([0, 0])
  })

  it('says how often a record in place has failed while it runs again', async () => {
    const partition = await filled(2)
    const [first] = take(partition, 1)
    const now = Date.now()
    partition.retryInPlace(first as LogRecord, now, now)
    expect(offsets(partition.take(1, me, true, now + 1))).toEqual([0])
    const { metadata = null } = partition.commitEntry(true, LIMIT) ?? {}
    expect((await filled(2, { metadata: metadata as never })).historyOf(0).failures).toBe(1)
  })

  it('keeps a delayed record until it is due', async () => {
    const partition = createPartition(start)
    const due = Date.now() + 60_000
    partition.accept(await records([{ headers: ['mq-deliver-at', String(due)] }, {}]), 2)
    expect(offsets(take(partition, 9))).toEqual([1])
    expect(partition.delayed.nextDue).toBe(due)
    expect(offsets(partition.take(9, me, false, due))).toEqual([0])
  })

  it('keeps of an answer no more than what is delayed', async () => {
    const partition = createPartition(start)
    const waits = {
      key: 'k',
      value: Buffer.from('waits'),
      headers: ['mq-deliver-at', String(Date.now() + 60_000)],
    }
    partition.accept(await records([{ value: Buffer.alloc(1_000_000) }, waits]), 2)
    const [record] = partition.delayed.lowest(1).map((each) => each.record)
    expect([record?.key?.toString(), record?.value?.toString()]).toEqual(['k', 'waits'])
    for (const bytes of [record?.key, record?.value, record?.headers])
      expect(bytes?.buffer.byteLength).toBeLessThan(100)
  })

  it('with order gives nobody else any while something is held', async () => {
    const partition = await filled(3)
    expect(offsets(take(partition, 1, me, true))).toEqual([0])
    expect(take(partition, 1, taker(), true)).toEqual([])
    partition.complete(0)
    const other = taker()
    expect(offsets(take(partition, 1, other, true))).toEqual([1])
    expect(take(partition, 1, me, true)).toEqual([])
  })

  it('holds back the later ones of a key that waits in place', async () => {
    const partition = createPartition(start)
    partition.accept(await records([{ key: 'a' }, { key: 'a' }, { key: 'b' }]), 3)
    const [first] = take(partition, 1)
    const now = Date.now()
    partition.retryInPlace(first as LogRecord, now + 60_000, now)
    expect(offsets(take(partition, 9))).toEqual([2])
    expect(partition.historyOf(0).failures).toBe(1)
    expect(offsets(partition.take(9, me, true, now + 60_000))).toEqual([0, 1])
  })

  it('drops what was deleted underneath, but not what is held', async () => {
    const partition = await filled(5)
    const [held] = take(partition, 1)
    partition.dropBelow(4)
    expect(partition.tracker.base).toBe(0)
    partition.complete((held as LogRecord).offset)
    expect(partition.tracker.base).toBe(4)
    expect(offsets(take(partition, 9))).toEqual([4])
  })

  it('hands out nothing that a browser took away, wherever that is said', async () => {
    const partition = createPartition({ ...start, readsAhead: true })
    partition.highWatermark = 3
    partition.accept(await records([{}, {}]), 2)
    expect(take(partition, 9)).toEqual([])
    partition.accept(await records([encodeRemoval([0])], 2), 3)
    expect(offsets(take(partition, 9))).toEqual([1])
    partition.complete(1)
    expect(partition.tracker.base).toBe(3)
  })

  it('is not full of what it may not hand out before it has read on, up to a bound', async () => {
    const partition = createPartition({ ...start, readsAhead: true })
    partition.highWatermark = 50
    const value = Buffer.alloc(1024 * 1024)
    partition.accept(await records([{ value }, { value }]), 2)
    expect([partition.isFull, partition.readyCount]).toEqual([false, 0])
    for (let at = 2; at < 40 && take(partition, 1).length === 0; at++) {
      expect(partition.isFull).toBe(false)
      partition.accept(await records([{ value }], at), at + 1)
    }
    expect([partition.isFull, partition.position]).toEqual([true, 32])
    expect(offsets(take(partition, 2))).toEqual([1, 2])
  })
})
