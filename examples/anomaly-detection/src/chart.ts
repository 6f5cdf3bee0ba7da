import type { Anomaly, Day, Detector } from './detector.ts'
import type { Summary } from './summary.ts'

const WIDTH = 1240
const PANEL = 300
const MARGIN = { top: 96, right: 24, bottom: 44, left: 52 }
const GAP = 58

const COLOURS = {
  ink: '#1f2933',
  muted: '#6b7785',
  grid: '#e3e7eb',
  band: '#dbe7f3',
  median: '#5b8db8',
  value: '#9aa5b1',
  warm: '#c8401f',
  cold: '#1c5fa8',
  lost: '#8a5a00',
}

interface Scale {
  readonly x: (index: number) => number
  readonly y: (value: number) => number
}

/** One panel for each station: what was read, what counts as normal, the anomalies, and the readings that were lost. */
export function drawChart(detector: Detector, { anomalies, deadLetters, readings }: Summary): string {
  const stations = [...new Set(anomalies.map(({ station }) => station))]
  const lost = new Set(deadLetters.map(({ id }) => id))
  const panels = stations.map((station, index) => {
    const mine = anomalies.filter((each) => each.station === station)
    const top = MARGIN.top + index * (PANEL + GAP)
    return drawPanel(station, detector.days(station), mine, lost.size > 0, top)
  })
  const height = MARGIN.top + stations.length * (PANEL + GAP) + MARGIN.bottom - GAP + 16
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="${COLOURS.ink}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${MARGIN.left}" y="28" font-size="18" font-weight="bold">Daily maximum temperature: ${anomalies.length} anomalies in ${readings} readings</text>`,
    drawLegend(),
    ...panels,
    '</svg>',
    '',
  ].join('\n')
}

function drawPanel(
  station: string,
  days: readonly Day[],
  anomalies: readonly Anomaly[],
  showLost: boolean,
  top: number,
): string {
  const shown = days.flatMap(({ temperature, judgement }) => [
    ...(temperature === null ? [] : [temperature]),
    ...(judgement === null
      ? []
      : [judgement.median - judgement.tolerance, judgement.median + judgement.tolerance]),
  ])
  const low = Math.floor((Math.min(...shown) - 2) / 10) * 10
  const high = Math.ceil((Math.max(...shown) + 2) / 10) * 10
  const plotWidth = WIDTH - MARGIN.left - MARGIN.right
  const scale: Scale = {
    x: (index) => MARGIN.left + (index / Math.max(1, days.length - 1)) * plotWidth,
    y: (value) => top + PANEL - ((value - low) / (high - low)) * PANEL,
  }
  const indexOf = new Map(days.map(({ date }, index) => [date, index]))
  const at = ({ date, temperature }: Anomaly) => ({
    x: scale.x(indexOf.get(date) ?? 0),
    y: scale.y(temperature),
  })
  return [
    ...gridLines(scale, low, high),
    ...years(days, scale, top),
    `<text x="${MARGIN.left}" y="${top - 10}" font-size="14" font-weight="bold">${escape(station)}</text>`,
    `<path d="${bandPath(days, scale)}" fill="${COLOURS.band}"/>`,
    line(days, scale, ({ temperature }) => temperature, COLOURS.value, 1),
    line(days, scale, ({ judgement }) => judgement?.median ?? null, COLOURS.median, 1.5),
    ...(showLost ? lostMarks(days, scale, top) : []),
    ...anomalies.map((anomaly) => {
      const { x, y } = at(anomaly)
      const { date, temperature, expected, kind } = anomaly
      const title = `<title>${date}: ${temperature} °C, median ${expected} °C</title>`
      return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="4.5" fill="${COLOURS[kind]}" stroke="#ffffff">${title}</circle>`
    }),
  ].join('\n')
}

function gridLines({ y }: Scale, low: number, high: number): string[] {
  const lines: string[] = []
  for (let value = low; value <= high; value += 10) {
    const at = y(value).toFixed(1)
    lines.push(
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}" stroke="${COLOURS.grid}"/>`,
      `<text x="${MARGIN.left - 8}" y="${at}" dy="4" text-anchor="end" fill="${COLOURS.muted}">${value} °C</text>`,
    )
  }
  return lines
}

function years(days: readonly Day[], { x }: Scale, top: number): string[] {
  return days.flatMap(({ date }, index) => {
    if (!date.endsWith('-01-01')) return []
    const at = x(index).toFixed(1)
    return [
      `<line x1="${at}" x2="${at}" y1="${top}" y2="${top + PANEL + 6}" stroke="${COLOURS.grid}"/>`,
      `<text x="${at}" y="${top + PANEL + 20}" fill="${COLOURS.muted}">${date.slice(0, 4)}</text>`,
    ]
  })
}

/** The area between median − tolerance and median + tolerance. */
function bandPath(days: readonly Day[], { x, y }: Scale): string {
  const judged = days.flatMap(({ judgement }, index) => (judgement === null ? [] : [{ index, judgement }]))
  const upper = judged.map(({ index, judgement: { median, tolerance } }) =>
    point(x(index), y(median + tolerance)),
  )
  const lower = judged.map(({ index, judgement: { median, tolerance } }) =>
    point(x(index), y(median - tolerance)),
  )
  return judged.length === 0 ? '' : `M${[...upper, ...lower.reverse()].join('L')}Z`
}

/** A line that is broken where there is no value. */
function line(
  days: readonly Day[],
  { x, y }: Scale,
  value: (day: Day) => number | null,
  colour: string,
  width: number,
): string {
  let path = ''
  let drawing = false
  days.forEach((day, index) => {
    const current = value(day)
    if (current !== null) path += `${drawing ? 'L' : 'M'}${point(x(index), y(current))}`
    drawing = current !== null
  })
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linejoin="round"/>`
}

function lostMarks(days: readonly Day[], { x }: Scale, top: number): string[] {
  return days.flatMap(({ date, temperature }, index) => {
    if (temperature !== null) return []
    const at = x(index).toFixed(1)
    const [y1, y2] = [top + PANEL - 9, top + PANEL]
    return [
      `<line x1="${at}" x2="${at}" y1="${y1}" y2="${y2}" stroke="${COLOURS.lost}" stroke-width="2"><title>${date}: dead-lettered</title></line>`,
    ]
  })
}

function drawLegend(): string {
  const entries: [label: string, mark: string][] = [
    ['reading', `<path d="M0 -4h18" stroke="${COLOURS.value}" stroke-width="2"/>`],
    ['median of 31 days', `<path d="M0 -4h18" stroke="${COLOURS.median}" stroke-width="2"/>`],
    ['normal', `<rect y="-10" width="18" height="12" fill="${COLOURS.band}"/>`],
    ['too warm', `<circle cx="9" cy="-4" r="4.5" fill="${COLOURS.warm}"/>`],
    ['too cold', `<circle cx="9" cy="-4" r="4.5" fill="${COLOURS.cold}"/>`],
    ['dead-lettered', `<path d="M9 -9v9" stroke="${COLOURS.lost}" stroke-width="2"/>`],
  ]
  let x = MARGIN.left
  return entries
    .map(([label, mark]) => {
      const entry = `<g transform="translate(${x} 54)">${mark}<text x="24">${label}</text></g>`
      x += 44 + label.length * 6.6
      return entry
    })
    .join('\n')
}

function point(x: number, y: number): string {
  return `${x.toFixed(1)} ${y.toFixed(1)}`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
