import { describe, expect, it } from '@jest/globals'
import { type CommitNotes, encodeNotes, notesAtStart, parseNotes } from '../../src/group/notes.ts'
import type { Range } from '../../src/group/tracker.ts'

const notes = (more: Partial<CommitNotes> = {}): CommitNotes => ({
  stalls: 0,
  held: false,
  heldCount: 0,
  pattern: undefined,
  done: [],
  attempts: new Map(),
  ...more,
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
    ['the first leader', notes({ epoch: 0 })],
    ['a topic', notes({ topic: '1f0c22aa' })],
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
    'mq1 s=x p=% e=-1 t=?',
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

  it('of a group at its start hold its pattern and how many partitions there were', () => {
    const text = notesAtStart(7, { pattern: 'a.*', partitions: 4 })
    expect(parseNotes(7, text)).toEqual(notes({ pattern: 'a.*', partitions: 4 }))
  })
})
