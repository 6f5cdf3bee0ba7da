import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import Type, { type Static } from 'typebox'

/** What a weather station reports once a day, and the body of each message. */
export const Reading = Type.Object(
  {
    station: Type.String({ minLength: 1 }),
    date: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }),
    /** Highest temperature of the day, °C. */
    temperature: Type.Number({ minimum: -90, maximum: 60 }),
  },
  { additionalProperties: false },
)
export type Reading = Static<typeof Reading>

/** Which days a station reports: a window is complete when all its days are accounted for. */
export interface Calendar {
  readonly station: string
  readonly firstDate: string
  readonly days: number
}

const require = createRequire(import.meta.url)

const DAY_MS = 86_400_000

/** `seattle-2012-01-31`: the id of the message, so that a reading which is sent or handled twice is still one. */
export function readingId({ station, date }: Pick<Reading, 'station' | 'date'>): string {
  return `${station.toLowerCase().replaceAll(' ', '-')}-${date}`
}

/** Days since 1970 of an ISO date. `null` for a date that no calendar has: 2013-02-31. */
export function dayOf(date: string): number | null {
  const time = Date.parse(`${date}T00:00:00Z`)
  return Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== date ? null : time / DAY_MS
}

export function dateOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

/** All rows of `weather.csv` from the npm package vega-datasets (observations of NOAA), in the order of the file. */
export function loadReadings(): Reading[] {
  const entry = require.resolve('vega-datasets')
  const [head = '', ...lines] = readFileSync(join(dirname(entry), '../data/weather.csv'), 'utf8')
    .trim()
    .split(/\r?\n/)
  const names = head.split(',')
  const column = (row: string[], name: string) => row[names.indexOf(name)] ?? ''
  return lines.map((line) => {
    const row = line.split(',')
    return {
      station: column(row, 'location'),
      date: column(row, 'date'),
      temperature: Number(column(row, 'temp_max')),
    }
  })
}

export function calendarsOf(readings: readonly Reading[]): Calendar[] {
  const calendars = new Map<string, Calendar>()
  for (const { station, date } of readings) {
    const known = calendars.get(station)
    calendars.set(station, { station, firstDate: known?.firstDate ?? date, days: (known?.days ?? 0) + 1 })
  }
  return [...calendars.values()]
}
