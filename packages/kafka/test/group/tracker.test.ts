import { describe, expect, it } from '@jest/globals'
import {
  type CommitNotes,
  createTracker,
  encodeNotes,
  parseNotes,
  type Range,
} from '../../src/group/tracker.ts'

const notes = (more: Partial<CommitNotes> = {}): CommitNotes => ({
  stalls: 0,
  held: false,
  heldCount: 0,
  pattern: undefined,
  done: [],
  attempts: new Map(),
  ...more,
})

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
    expect(tracker.doneAbove).toBe(ranges.reduce((sum, [from, to]) => sum + to - from, 0))
    expect(tracker.end).toBe(ranges.at(-1)?.[1] ?? base)
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

describe('notes of a commit', () => {
  const cases: readonly [string, CommitNotes][] = [
    ['nothing', notes()],
    ['held and stalled', notes({ held: true, stalls: 3 })],
    ['a pattern with any character', notes({ pattern: 'a b.*.#=%ü' })],
    ['failures in place', notes({ attempts: new Map([[1_000, 2], [1_005, 1]]) })], // prettier-ignore
    ['ranges', notes({ done: [[1_001, 1_002], [1_500, 70_000]] })], // prettier-ignore
    ['a suspect', notes({ held: true, stalls: 3, suspect: { offset: 1_004, count: 1 } })],
    ['no suspect', notes({ held: true, stalls: 3, suspect: null })],
    ['all at once', notes({ held: true, stalls: 1, pattern: '#', done: [[1_003, 1_004]], attempts: new Map([[1_002, 9]]) })], // prettier-ignore
  ]
  it.each(cases)('survive a round trip: %s', (_name, given) => {
    const { text, fits } = encodeNotes(1_000, given, 4_096)
    expect(fits).toBe(true)
    expect(parseNotes(1_000, text)).toEqual(given)
  })

  it.each([
    null,
    undefined,
    '',
    'something else',
    'mq2 d=AAAA',
    'mq1 d=!!!!',
    'mq1 s=x p=%',
    'mq1 d=gICAgICAgICAgA==',
  ])('of a stranger say nothing: %s', (text) => {
    expect(parseNotes(0, text)).toEqual(notes())
  })

  it('stay below the limit and leave out the highest ranges', () => {
    const done = Array.from({ length: 5_000 }, (_, i): Range => [10 + i * 300, 11 + i * 300])
    const { text, fits } = encodeNotes(0, notes({ done, held: true }), 4_096)
    expect(fits).toBe(false)
    expect(text.length).toBeLessThanOrEqual(4_096)
    const read = parseNotes(0, text).done
    expect(read.length).toBeGreaterThan(500)
    expect(read).toEqual(done.slice(0, read.length))
  })
})
