import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import type { Day } from '../src/queues.ts'
import { MonthlyWindows } from '../src/windows.ts'
import { expected } from './expected.ts'

const day = (date: string, precipitation = 0): Day => ({ date, precipitation, warmest: 10 })

describe('a window of a month', () => {
  it('closes when a day comes that lies the lateness after its end, with what was given in', () => {
    const windows = new MonthlyWindows<string>(3)
    expect(windows.add(day('2020-01-30', 1.5), 'a')).toEqual([])
    expect(windows.add(day('2020-02-02'), 'b')).toEqual([])
    expect(windows.add(day('2020-01-31', 2), 'c')).toEqual([])
    expect(windows.add(day('2020-02-04'), 'd')).toEqual([
      {
        month: { month: '2020-01', days: 2, wetDays: 2, precipitation: 3.5, warmest: 10 },
        tokens: ['a', 'c'],
      },
    ])
    expect(windows.add(day('2020-01-29'), 'e')).toBe('late')
    expect(windows.end().map(({ month, tokens }) => [month.month, tokens])).toEqual([['2020-02', ['b', 'd']]])
  })

  it('counts a day that comes twice once, and gives back both tokens', () => {
    const windows = new MonthlyWindows<number>(0)
    windows.add(day('2020-01-01', 5), 1)
    windows.add(day('2020-01-01', 5), 2)
    expect(windows.end()).toMatchObject([{ month: { days: 1, precipitation: 5 }, tokens: [1, 2] }])
  })

  it('closes several at once after a gap, oldest first', () => {
    const windows = new MonthlyWindows<number>(31)
    windows.add(day('2020-02-01'), 2)
    windows.add(day('2020-01-31'), 1)
    const closed = windows.add(day('2020-06-15'), 6)
    expect(closed === 'late' ? closed : closed.map(({ month }) => month.month)).toEqual([
      '2020-01',
      '2020-02',
    ])
  })
})

describe('the declared table', () => {
  it('is what the file of the package amounts to', () => {
    const entry = createRequire(import.meta.url).resolve('vega-datasets')
    const rows = readFileSync(join(entry, '../../data/seattle-weather.csv'), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
    const months = new Map<string, { rain: number; warm: number; wet: number; days: number }>()
    for (const row of rows) {
      const [date = '', rain, warm] = row.split(',')
      const of = months.get(date.slice(0, 7)) ?? { rain: 0, warm: 0, wet: 0, days: 0 }
      months.set(date.slice(0, 7), {
        rain: of.rain + Number(rain),
        warm: of.warm + Number(warm),
        wet: of.wet + (Number(rain) > 0 ? 1 : 0),
        days: of.days + 1,
      })
    }
    expect(months.size).toBe(48)
    const lines = expected.stdout.split('\n').filter((line) => /^\d{4}-\d{2} /.test(line))
    const printed = lines.map((line) => line.match(/[\d.-]+/g))
    expect(printed).toEqual(
      [...months].map(([month, { rain, warm, wet, days }]) => [
        month,
        rain.toFixed(1),
        String(wet),
        String(days),
        (warm / days).toFixed(1),
      ]),
    )
  })
})
