/**
 * Waiting happens in queues whose messages all wait equally long: with a time of its own for each message, a long wait at the head would hold
 * up the short ones behind it. Delays are rounded up to this grid, so that few such queues are needed: steps of 100 ms up to 2 s, then of 4 %.
 */
const FINE_MS = 100
const FINE_UP_TO_MS = 2_000
const STEP = 1.04

/** What `x-message-ttl` takes at most. */
const MOST_MS = 2 ** 32 - 1

const COARSE: readonly number[] = (() => {
  const tiers: number[] = []
  for (let exact = FINE_UP_TO_MS * STEP; ; exact *= STEP) {
    // Round figures, so that the queues' names can be read: two steps of 50 ms are never one.
    const tier = Math.ceil(exact / 50) * 50
    if (tier > MOST_MS) return tiers
    tiers.push(tier)
  }
})()

/** Longest delay, in ms: a little under 50 days. */
export const MAX_DELAY_MS = COARSE.at(-1) as number

/** Where a message waits: with others that wait equally long. */
export interface Wait {
  readonly tierMs: number
  /**
   * From 4.0 on quorum queues have two lines, and one that is due in the one does not leave before a later one at the head of the other: so
   * what would be in the preferred one has a queue of its own.
   */
  readonly urgent: boolean
}

/** From which priority on a quorum queue prefers messages. https://www.rabbitmq.com/docs/quorum-queues#priorities */
const URGENT = 5

/** `delayMs` is above 0; the longest possible stands for what is more. */
export function waitOf(delayMs: number, priority: number | undefined): Wait {
  return { tierMs: tierOf(Math.min(delayMs, MAX_DELAY_MS)), urgent: (priority ?? 0) >= URGENT }
}

/** The shortest tier that is no shorter than the delay. `delayMs` is above 0 and at most `MAX_DELAY_MS`. */
export function tierOf(delayMs: number): number {
  if (delayMs <= FINE_UP_TO_MS) return Math.max(FINE_MS, Math.ceil(delayMs / FINE_MS) * FINE_MS)
  let low = 0
  let high = COARSE.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((COARSE[middle] as number) >= delayMs) high = middle
    else low = middle + 1
  }
  return COARSE[low] as number
}
