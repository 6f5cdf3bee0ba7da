import type { Anomaly } from './detector.ts'
import { Corruption, type FaultPlan } from './faults.ts'
import { HALF_WINDOW, THRESHOLD } from './hampel.ts'
import type { DeadRow, Outcome } from './pipeline.ts'
import { readingId, type Reading } from './readings.ts'

/** What a run found. No times and no broker in it: with one seed it is the same on every broker. */
export interface Summary {
  readonly seed: number
  readonly readings: number
  readonly handled: number
  /** Handled, though not at the first attempt. */
  readonly recovered: number
  /** Attempts that failed before one succeeded. */
  readonly retries: number
  readonly deadLettered: number
  /** What was spoilt on the way, in the order of the file. */
  readonly corrupted: readonly string[]
  readonly deadLetters: readonly DeadRow[]
  readonly anomalies: readonly Anomaly[]
}

export function summarise(
  seed: number,
  readings: readonly Reading[],
  plan: FaultPlan,
  { handled, deadLetters, anomalies }: Outcome,
): Summary {
  const attempts = [...handled.values()]
  const position = new Map(readings.map((reading, index) => [readingId(reading), index]))
  const inFileOrder = (first: string, second: string) =>
    (position.get(first) ?? 0) - (position.get(second) ?? 0)
  return {
    seed,
    readings: readings.length,
    handled: handled.size,
    recovered: attempts.filter((attempt) => attempt > 1).length,
    retries: attempts.reduce((sum, attempt) => sum + attempt - 1, 0),
    deadLettered: deadLetters.length,
    corrupted: [...plan.corrupted.keys()].sort(inFileOrder),
    deadLetters: [...deadLetters].sort((first, second) => inFileOrder(first.id, second.id)),
    anomalies: [...anomalies].sort((first, second) => inFileOrder(readingId(first), readingId(second))),
  }
}

/** The plan, before anything is sent: which rows will be spoilt, and how. */
export function describePlan({ corrupted, transient }: FaultPlan): string {
  const kinds = Object.values(Corruption).flatMap((kind) => {
    const ids = [...corrupted].filter(([, each]) => each === kind).map(([id]) => id)
    return ids.length === 0 ? [] : [`  ${kind.padEnd(8)} ${ids.join(' ')}`]
  })
  return [
    `${corrupted.size} rows will be corrupted, ${transient.size} will fail once or twice:`,
    ...kinds,
  ].join('\n')
}

export function describeSummary(summary: Summary): string {
  const { readings, handled, recovered, retries, deadLettered, deadLetters, anomalies } = summary
  const reasons = [...new Set(deadLetters.map(({ reason }) => reason))].sort()
  const byReason = reasons.map(
    (reason) => `${deadLetters.filter((each) => each.reason === reason).length} ${reason}`,
  )
  return [
    'Summary',
    `  readings       ${readings} = ${handled} handled + ${deadLettered} dead-lettered`,
    `  retried        ${recovered} readings, ${retries} retries, all successful in the end`,
    `  dead letters   ${byReason.join(', ') || 'none'}`,
    ...deadLetters.map(
      ({ id, reason, error }) => `    ${id.padEnd(21)} ${reason.padEnd(12)} ${firstLine(error)}`,
    ),
    `  anomalies      ${anomalies.length}: more than ${THRESHOLD} robust deviations from the median of ${HALF_WINDOW * 2 + 1} days`,
    ...anomalies.map(describeAnomaly),
  ].join('\n')
}

function describeAnomaly({ station, date, temperature, expected, kind }: Anomaly): string {
  const difference = temperature - expected
  const sign = difference > 0 ? '+' : '−'
  const values = `${temperature.toFixed(1).padStart(5)} °C, ${sign}${Math.abs(difference).toFixed(1)} from ${expected.toFixed(1)}`
  return `    ${date} ${station.padEnd(9)} ${kind} ${values}`
}

function firstLine(text: string): string {
  const line = text.split('\n')[0] ?? ''
  return line.length > 90 ? `${line.slice(0, 89)}…` : line
}
