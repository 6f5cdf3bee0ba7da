import { describe, expect, it } from '@jest/globals'
import { createTracker, type Range } from '../../src/group/tracker.ts'

describe('tracker', () => {
  const table: readonly [name: string, done: readonly Range[], base: number, ranges: readonly Range[]][] = [
    ['nothing done', [], 10, []],
    ['the first', [[10, 11]], 11, []],
    ['a gap keeps the base', [[11, 12]], 10, [[11, 12]]],
    ['closing the gap moves it past all', [[11, 13], [10, 11]], 13, []], // prettier-ignore
    ['neighbours merge', [[12, 13], [13, 14]], 10, [[12, 14]]], // prettier-ignore
    ['neighbours merge from behind', [[13, 14], [12, 13]], 10, [[12, 14]]], // prettier-ignore
    ['one between two joins them', [[12, 13], [14, 15], [13, 14]], 10, [[12, 15]]], // prettier-ignore
    ['what is apart stays apart', [[12, 13], [16, 18]], 10, [[12, 13], [16, 18]]], // prettier-ignore
    ['a wide range swallows others', [[12, 13], [16, 18], [11, 20]], 10, [[11, 20]]], // prettier-ignore
    ['what is below the base is done already', [[3, 7]], 10, []],
    ['a range over the base moves it', [[3, 12]], 12, []],
    ['twice is once', [[10, 11], [10, 11], [12, 13], [12, 13]], 11, [[12, 13]]], // prettier-ignore
  ]
  it.each(table)('%s', (_name, done, base, ranges) => {
    const tracker = createTracker(10)
    for (const [from, to] of done) tracker.complete(from, to)
    expect(tracker.base).toBe(base)
    expect(tracker.ranges()).toEqual(ranges)
  })

  it('says of each offset whether it is done, whatever the order', () => {
    let seed = 7
    const random = (most: number) => (seed = (seed * 48_271) % 2_147_483_647) % most
    for (let round = 0; round < 50; round++) {
      const tracker = createTracker(100)
      const done = new Set<number>()
      for (let i = 0; i < 80; i++) {
        const offset = 100 + random(60)
        tracker.complete(offset)
        done.add(offset)
        let base = 100
        while (done.has(base)) base++
        expect(tracker.base).toBe(base)
      }
      for (let offset = 90; offset < 170; offset++)
        expect(tracker.isDone(offset)).toBe(offset < 100 || done.has(offset))
    }
  })

  it('goes on from what an earlier owner did', () => {
    const tracker = createTracker(5, [
      [6, 8],
      [9, 10],
    ])
    tracker.complete(5)
    expect(tracker.base).toBe(8)
    expect(tracker.isDone(9)).toBe(true)
  })
})
