import { describe, expect, it } from '@jest/globals'
import type { Connection } from '../../src/connection.ts'
import { createLogWatch } from '../../src/group/log-watch.ts'
import { createPartition } from '../../src/group/partition.ts'

/** A partition whose first record is held, and who watches its log. */
function watched() {
  const warnings: unknown[] = []
  const partition = createPartition({
    topic: 't',
    topicId: 'a',
    number: 0,
    offset: 0,
    metadata: null,
    pattern: undefined,
    partitions: undefined,
    delayedBytes: 1_000_000,
    readsAhead: false,
  })
  const record = {
    topic: 't',
    partition: 0,
    timestamp: 1,
    key: null,
    value: Buffer.from('v'),
    headers: Buffer.from([0]),
    damage: undefined,
  }
  partition.accept(
    [0, 1, 2].map((offset) => ({ ...record, offset, hold: null, delivery: null })),
    3,
  )
  partition.take(1, { pulls: false, lost: () => undefined }, false, Date.now())
  const restarts: number[] = []
  const offsets = { responses: [{ topic: 't', partitions: [{ partition: 0, offset: '3' }] }] }
  const watch = createLogWatch({
    connection: {
      options: { logger: { warn: (fields: object) => void warnings.push(fields) } },
      topics: () => Promise.resolve(new Map([['t', { leaders: [1] }]])),
      link: () => Promise.resolve({ call: () => Promise.resolve(offsets) }),
    } as unknown as Connection,
    owned: new Map([['t/0', partition]]),
    restart: (_, _topicId, offset) => void restarts.push(offset),
  })
  return { partition, watch, warnings, restarts }
}

describe('records that are deleted behind one that is held', () => {
  it('are warned of once', () => {
    const { partition, watch, warnings } = watched()
    for (let fetches = 0; fetches < 3; fetches++) watch.seen(partition, 2)
    expect(warnings).toEqual([{ topic: 't', partition: 0, from: 0, to: 2 }])
    watch.seen(partition, 3)
    expect(warnings.length).toBe(2)
  })

  it('are not warned of where they were purged here', () => {
    const { partition, watch, warnings } = watched()
    partition.droppedTo = 3
    watch.seen(partition, 3)
    expect([...partition.held()].length).toBe(1)
    partition.dropBelow(3)
    for (let fetches = 0; fetches < 3; fetches++) watch.seen(partition, 3)
    expect(warnings).toEqual([])
  })
})

describe('a position outside of the log', () => {
  it('makes it another log, unless a purge moves it meanwhile', async () => {
    const { partition, watch, warnings, restarts } = watched()
    partition.position = 2
    const found = watch.outOfRange(partition)
    partition.dropBelow(3)
    await found
    expect([warnings, restarts]).toEqual([[], []])
    partition.position = 9
    await watch.outOfRange(partition)
    expect(restarts).toEqual([3])
  })
})

describe('a broker that does not know by whom the last batch was written', () => {
  it('is asked once more without that, and makes no other log of one that ends behind it', async () => {
    const { partition, watch, restarts } = watched()
    partition.epoch = 7
    await watch.outOfRange(partition)
    expect([partition.epoch, restarts]).toEqual([-1, []])
  })
})

describe('a log that is another one from some place on', () => {
  it.each([
    [9, 8],
    [5, 5],
    [1, 3],
  ])('at %i is read again from %i', async (at, from) => {
    const { partition, watch, restarts } = watched()
    partition.dropBelow(8)
    partition.complete(0)
    await watch.diverged(partition, at)
    expect(restarts).toEqual([from])
  })
})
