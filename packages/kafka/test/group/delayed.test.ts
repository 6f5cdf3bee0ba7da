import { describe, expect, it } from '@jest/globals'
import type { LogRecord } from '../../src/log/batch-reader.ts'
import { createDelayed, type Waiting } from '../../src/group/delayed.ts'

const waiting = (offset: number, dueAt: number, bytes = 100): Waiting => ({
  offset,
  dueAt,
  record: { offset, key: null, value: Buffer.alloc(bytes), headers: Buffer.alloc(0) } as unknown as LogRecord,
})
const offsets = (list: readonly Waiting[]) => list.map(({ offset }) => offset)
const NOW = 1_000_000

describe('what is delayed', () => {
  it('is forgotten from its end on where there is too much of it, and comes back in time', () => {
    const delayed = createDelayed(2_000)
    for (let n = 0; n < 11; n++) delayed.add(waiting(n, NOW + 1_000 * (11 - n)))
    // The five that are due first are here, and of the others their places.
    expect(delayed.size).toBe(11)
    expect(delayed.nextDue).toBe(NOW + 1_000)
    expect(delayed.lacks(NOW + 5_999)).toBe(false)
    expect(delayed.lacks(NOW + 6_000)).toBe(true)
    const shifted = Array.from({ length: 5 }, () => delayed.shift(NOW + 60_000)?.offset)
    expect([...shifted, delayed.shift(NOW + 60_000)]).toEqual([10, 9, 8, 7, 6, undefined])
    // There is room again: also those that are due soon.
    const back = delayed.forgotten(9, NOW - 3_000)
    expect(back).toEqual([5, 4].map((n) => ({ offset: n, dueAt: NOW + 1_000 * (11 - n), record: null })))
    for (const { offset, dueAt } of back) delayed.add(waiting(offset, dueAt))
    expect([delayed.shift(NOW + 6_000)?.offset, delayed.size]).toEqual([5, 5])
  })

  it('is never forgotten where the log does not tell that it waits', () => {
    const delayed = createDelayed(1_024)
    for (let n = 0; n < 9; n++) delayed.add(waiting(n, NOW + n), true)
    expect([delayed.lacks(NOW + 9), delayed.staying().length]).toEqual([false, 9])
  })

  it('of the lowest offsets is taken out, forgotten or not', () => {
    const delayed = createDelayed(2_000)
    for (let n = 0; n < 11; n++) delayed.add(waiting(n, NOW + n))
    const lowest = delayed.lowest(7)
    expect(offsets(lowest)).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(lowest.filter(({ record }) => record === null).length).toBe(2)
    expect(delayed.size).toBe(4)
    delayed.remove((offset) => offset < 9)
    expect(offsets(delayed.lowest(9))).toEqual([9, 10])
  })

  it('is full when not even the places have room', () => {
    const delayed = createDelayed(2_048)
    for (let n = 0; n < 16; n++) {
      expect(delayed.isFull).toBe(false)
      delayed.add(waiting(n, NOW + n))
    }
    expect(delayed.isFull).toBe(true)
  })
})
