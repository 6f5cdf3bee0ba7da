import { checkOptions } from './check-options.ts'
import { ValidationError } from './errors.ts'

export interface StopOptions {
  /** ms that running handlers get; `Infinity`: as long as they take. Default: 30,000. */
  timeoutMs?: number | undefined
}

export interface StopResult {
  /** Whether every handler ended in time. */
  readonly drained: boolean
  /** Ids whose handler was aborted; they come again, uncounted. */
  readonly abandoned: string[]
}

/** Throws `ValidationError`: a time that is none would abort every handler at once. */
export function checkStopOptions(options: StopOptions, where: string): void {
  checkOptions(options, ['timeoutMs'], where)
  const { timeoutMs = 0 } = options
  if (!(typeof timeoutMs === 'number' && timeoutMs >= 0))
    throw new ValidationError(`timeoutMs must be a number, 0 or more; it is ${String(timeoutMs)}`)
}
