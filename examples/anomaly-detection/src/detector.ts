import { HALF_WINDOW, judge, type Judgement } from './hampel.ts'
import { dateOf, dayOf, type Calendar, type Reading } from './readings.ts'

export interface Anomaly extends Reading {
  /** Median of the window around it, °C. */
  expected: number
  kind: 'warm' | 'cold'
}

export interface Day {
  readonly date: string
  /** `null`: the reading was lost. */
  readonly temperature: number | null
  readonly judgement: Judgement | null
}

interface Series {
  readonly station: string
  readonly firstDay: number
  /** `undefined`: not accounted for yet. `null`: it never will be. */
  readonly values: (number | null | undefined)[]
  readonly judgements: (Judgement | undefined)[]
}

/**
 * Readings arrive in any order, some of them twice, some never. A day is judged when every day of its window has arrived or is
 * known to be lost, so the order makes no difference to the result.
 */
export class Detector {
  readonly #series: ReadonlyMap<string, Series>

  constructor(calendars: readonly Calendar[]) {
    const entries = calendars.map(({ station, firstDate, days }): [string, Series] => {
      const values = Array.from({ length: days }, () => undefined)
      return [station, { station, firstDay: dayOf(firstDate) ?? 0, values, judgements: [] }]
    })
    this.#series = new Map(entries)
  }

  /** Answers the anomalies in the windows that this reading completes; again, when it comes again. */
  record({ station, date, temperature }: Reading): Anomaly[] {
    return this.#account(station, date, temperature)
  }

  /** The reading of that day will never come. */
  recordLost({ station, date }: Pick<Reading, 'station' | 'date'>): Anomaly[] {
    return this.#account(station, date, null)
  }

  days(station: string): Day[] {
    const series = this.#series.get(station)
    return (series?.values ?? []).map((value, index) => ({
      date: dateOf((series?.firstDay ?? 0) + index),
      temperature: value ?? null,
      judgement: series?.judgements[index] ?? null,
    }))
  }

  #account(station: string, date: string, value: number | null): Anomaly[] {
    const series = this.#series.get(station)
    const day = dayOf(date)
    if (series === undefined || day === null)
      throw new RangeError(`nobody expects a reading of ${station} on ${date}`)
    const index = day - series.firstDay
    if (index < 0 || index >= series.values.length)
      throw new RangeError(`${date} is not in the calendar of ${station}`)
    series.values[index] = value
    const around = neighbours(index, series.values.length)
    return around.flatMap((centre) => anomalyAt(series, centre) ?? [])
  }
}

function neighbours(index: number, length: number): number[] {
  const first = Math.max(0, index - HALF_WINDOW)
  const last = Math.min(length - 1, index + HALF_WINDOW)
  return Array.from({ length: last - first + 1 }, (_, offset) => first + offset)
}

/** Judges a day if its window is complete. */
function anomalyAt(series: Series, index: number): Anomaly | null {
  const value = series.values[index]
  if (typeof value !== 'number') return null
  const window = neighbours(index, series.values.length).map((each) => series.values[each])
  if (window.includes(undefined)) return null
  const judgement = judge(
    value,
    window.filter((each) => typeof each === 'number'),
  )
  series.judgements[index] = judgement
  if (!judgement.anomalous) return null
  const { station, firstDay } = series
  const kind = value > judgement.median ? 'warm' : 'cold'
  return { station, date: dateOf(firstDay + index), temperature: value, expected: judgement.median, kind }
}
