import { median, medianAbsoluteDeviation } from 'simple-statistics'

/** Days on each side of the one that is judged. */
export const HALF_WINDOW = 15

/** How many (robust) standard deviations from the median count as an anomaly. */
export const THRESHOLD = 3

/** Makes the median absolute deviation comparable to a standard deviation: 1 / Φ⁻¹(3/4). */
const CONSISTENCY = 1.4826

export interface Judgement {
  readonly median: number
  /** Half the width of what counts as normal, in the unit of the values. */
  readonly tolerance: number
  readonly anomalous: boolean
}

/**
 * Hampel's identifier: a value is an anomaly when it lies more than `THRESHOLD` robust standard deviations from the median
 * of the window around it. Unlike mean and standard deviation, median and MAD are not moved by the very outliers that they
 * are to find, and a window of a month follows the seasons. Equal values only (a MAD of 0) make no anomaly.
 *
 * F. R. Hampel, "The influence curve and its role in robust estimation", JASA 69 (1974).
 */
export function judge(value: number, window: readonly number[]): Judgement {
  const values = [...window]
  const middle = median(values)
  const tolerance = THRESHOLD * CONSISTENCY * medianAbsoluteDeviation(values)
  return { median: middle, tolerance, anomalous: tolerance > 0 && Math.abs(value - middle) > tolerance }
}
