import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/** One row of the package's file, read by nobody else's code. */
export interface Row {
  id: string
  station: string
  date: string
  temperature: number
}

export function rowsOfFile(): Row[] {
  const entry = createRequire(import.meta.url).resolve('vega-datasets')
  const text = readFileSync(join(entry, '../../data/weather.csv'), 'utf8')
  return text
    .split('\n')
    .slice(1)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [station = '', date = '', , temperature] = line.split(',')
      return {
        id: `${station.toLowerCase().replace(' ', '-')}-${date}`,
        station,
        date,
        temperature: Number(temperature),
      }
    })
}

/** The middle value, or the mean of the two in the middle. */
function middle(values: number[]): number {
  const sorted = values.sort((first, second) => first - second)
  const half = sorted.length / 2
  return sorted.length % 2 === 1 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2
}

/** Ids of the anomalies: further than 3 × 1.4826 × MAD from the median of the 31 days around, without the lost ones. */
export function anomaliesOf(rows: readonly Row[], lost: ReadonlySet<string>): string[] {
  return rows.flatMap(({ id, station, temperature }) => {
    const series = rows.filter((row) => row.station === station)
    const at = series.findIndex((row) => row.id === id)
    const window = series.slice(Math.max(0, at - 15), at + 16).filter((row) => !lost.has(row.id))
    const median = middle(window.map((row) => row.temperature))
    const mad = middle(window.map((row) => Math.abs(row.temperature - median)))
    const far = Math.abs(temperature - median) > 3 * 1.4826 * mad
    return far && mad > 0 && !lost.has(id) ? [id] : []
  })
}
