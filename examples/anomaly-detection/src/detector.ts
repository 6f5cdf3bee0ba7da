import { HALF_WINDOW, type Judgement } from './hampel.ts'
import { dateOf, dayOf, type Calendar, type Reading } from './readings.ts'

export interface Anomaly extends Reading {
  /** Median of the window around it, °C. */
  expected: number
  kind: 'warm' | 'cold'
}

/** A day that can be judged: all days of its window have arrived or are known to be lost. */
export interface Window extends Reading {
  /** The temperatures of the window that arrived, °C, this day's among them. */
  around: number[]
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
 * Readings arrive in any order, some of them twice, some never. A day can be judged when every day of its window has arrived or is
 * known to be lost, so the order makes no difference to the result. Who judges it is somebody else's business.
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

  /** Answers the windows that this reading completes; again, when it comes again. */
  record({ station, date, temperature }: Reading): Window[] {
    return this.#account(station, date, temperature)
  }

  /** The reading of that day will never come. */
  recordLost({ station, date }: Pick<Reading, 'station' | 'date'>): Window[] {
    return this.#account(station, date, null)
  }

  /** Keeps what was judged. Answers the anomaly, if it is one. */
  judged({ station, date, temperature }: Window, judgement: Judgement): Anomaly | null {
    const { series, index } = this.#find(station, date)
    series.judgements[index] = judgement
    if (!judgement.anomalous) return null
    const kind = temperature > judgement.median ? 'warm' : 'cold'
    return { station, date, temperature, expected: judgement.median, kind }
  }

  days(station: string): Day[] {
    const series = this.#series.get(station)
    return (series?.values ?? []).map((value, index) => ({
      date: dateOf((series?.firstDay ?? 0) + index),
      temperature: value ?? null,
      judgement: series?.judgements[index] ?? null,
    }))
  }

  #account(station: string, date: string, value: number | null): Window[] {
    const { series, index } = this.#find(station, date)
    series.values[index] = value
    const around = neighbours(index, series.values.length)
    return around.flatMap((centre) => windowAt(series, centre) ?? [])
  }

  #find(station: string, date: string): { series: Series; index: number } {
    const series = this.#series.get(station)
    const day = dayOf(date)
    if (series === undefined || day === null)
      throw new RangeError(`nobody expects a reading of ${station} on ${date}`)
    const index = day - series.firstDay
    if (index < 0 || index >= series.values.length)
      throw new RangeError(`${date} is not in the calendar of ${station}`)
    return { series, index }
  }
}

function neighbours(index: number, length: number): number[] {
  const first = Math.max(0, index - HALF_WINDOW)
  const last = Math.min(length - 1, index + HALF_WINDOW)
  return Array.from({ length: last - first + 1 }, (_, offset) => first + offset)
}

/** `null`: a day is missing yet, or it is the one to be judged that was lost. */
function windowAt({ station, firstDay, values }: Series, index: number): Window | null {
  const temperature = values[index]
  if (typeof temperature !== 'number') return null
  const window = neighbours(index, values.length).map((each) => values[each])
  if (window.includes(undefined)) return null
  const around = window.filter((each) => typeof each === 'number')
  return { station, date: dateOf(firstDay + index), temperature, around }
}
