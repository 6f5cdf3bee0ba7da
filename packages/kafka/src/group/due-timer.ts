import { LONGEST_TIMER_MS } from '../abort.ts'
import type { Partition } from './partition-contract.ts'

/** Says when the first of the delayed records is due. */
export interface DueTimer {
  /** There are others now. */
  watch(): void
  stop(): void
}

export function createDueTimer(owned: ReadonlyMap<string, Partition>, due: () => void): DueTimer {
  let timer: NodeJS.Timeout | undefined
  const stop = (): void => clearTimeout(timer)
  const watch = (): void => {
    stop()
    let next = Number.POSITIVE_INFINITY
    for (const partition of owned.values()) next = Math.min(next, partition.delayed.nextDue)
    if (next === Number.POSITIVE_INFINITY) return
    const ms = Math.min(Math.max(1, next - Date.now()), LONGEST_TIMER_MS)
    timer = setTimeout(() => {
      due()
      watch()
    }, ms).unref()
  }
  return { watch, stop }
}
