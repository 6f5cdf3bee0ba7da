import { describe, expect, it } from '@jest/globals'
import { Entry } from '../../src/memory/entry.ts'
import { Line } from '../../src/memory/line.ts'
import { message } from './fixture.ts'

function line(length: number): { line: Line; entries: Entry[] } {
  const all = { line: new Line(), entries: [] as Entry[] }
  for (let seq = 1; seq <= length; seq++) {
    const entry = new Entry(message(String(seq)), seq)
    all.entries.push(entry)
    all.line.push(entry)
  }
  return all
}

function forget(at: Line, entry: Entry | undefined): void {
  if (entry !== undefined) entry.state = 'gone'
  at.forget()
}

describe('Line', () => {
  it('passes over what is gone', () => {
    const { line: at, entries } = line(5)
    for (const i of [0, 1, 3]) forget(at, entries[i])
    expect(at.peek()).toBe(entries[2])
    expect([at.shift(), at.shift(), at.shift()]).toEqual([entries[2], entries[4], undefined])
  })

  it('drops what is gone when it outnumbers the rest, although the first one stays', () => {
    const { line: at, entries } = line(1000)
    for (const entry of entries.slice(1)) forget(at, entry)
    expect(at.length).toBeLessThan(130)
    expect([...at]).toEqual([entries[0]])
  })

  it('finds what comes after a place, gone or not', () => {
    const { line: at, entries } = line(10)
    for (const i of [3, 4]) forget(at, entries[i])
    const found = (seq: number, max: number) => at.after(seq, max).map((entry) => entry.seq)
    expect(found(0, 3)).toEqual([1, 2, 3])
    expect(found(3, 3)).toEqual([6, 7, 8])
    expect(found(4, 2)).toEqual([6, 7])
    expect(found(10, 3)).toEqual([])
    at.shift()
    expect(found(0, 2)).toEqual([2, 3])
  })
})
