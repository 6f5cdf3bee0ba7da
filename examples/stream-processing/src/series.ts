import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Day } from './queues.ts'

const require = createRequire(import.meta.url)

/** Daily weather of Seattle, 2012 to 2015: `seattle-weather.csv` of vega-datasets, oldest first. */
export function loadDays(): Day[] {
  const folder = join(dirname(require.resolve('vega-datasets')), '..', 'data')
  const [header = '', ...rows] = readFileSync(join(folder, 'seattle-weather.csv'), 'utf8').trim().split('\n')
  const columns = header.split(',')
  const column = (name: string): number => {
    const at = columns.indexOf(name)
    if (at === -1) throw new Error(`seattle-weather.csv has no column ${name}`)
    return at
  }
  const [date, precipitation, warmest] = [column('date'), column('precipitation'), column('temp_max')]
  return rows.map((row) => {
    const cells = row.split(',')
    return {
      date: cells[date] ?? '',
      precipitation: Number(cells[precipitation]),
      warmest: Number(cells[warmest]),
    }
  })
}
