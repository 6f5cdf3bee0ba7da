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
    // What lies in one that is about to go is not handed out, whenever it is due: unless it stays after all.
    for (const { leavingSince, delayed } of owned.values())
      if (leavingSince === null) next = Math.min(next, delayed.nextDue)
    if (next === Number.POSITIVE_INFINITY) return
    const ms = Math.min(Math.max(1, next - Date.now()), LONGEST_TIMER_MS)
    timer = setTimeout(() => {
      due()
      watch()
    }, ms).unref()
  }
  return { watch, stop }
}
