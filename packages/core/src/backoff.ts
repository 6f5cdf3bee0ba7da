/** How long to wait before each retry. Times in ms. */
export interface BackoffPolicy {
  readonly backoff: 'fixed' | 'linear' | 'exponential'
  readonly delayMs: number
  readonly maxDelayMs: number
  /** 0-1: each wait is drawn from its length × [1 − jitter, 1 + jitter]. */
  readonly jitter: number
}

/**
 * The wait before retry `k` (1 for the first), in ms, a whole number. `random` gives a number in [0, 1).
 *
 * | backoff       | before jitter                        | delay 1000, max 5000, k = 1, 2, 3, 4 |
 * | ------------- | ------------------------------------ | ------------------------------------ |
 * | `fixed`       | min(max, delay)                      | 1000, 1000, 1000, 1000               |
 * | `linear`      | min(max, delay × k)                  | 1000, 2000, 3000, 4000               |
 * | `exponential` | min(max, delay × 2^(k − 1))          | 1000, 2000, 4000, 5000               |
 */
export function backoffDelay(policy: BackoffPolicy, k: number, random: () => number = Math.random): number {
  // Finite, for a delay of 0 times infinity is no number.
  const doubled = 2 ** Math.min(k - 1, 1023)
  const factor = policy.backoff === 'fixed' ? 1 : policy.backoff === 'linear' ? k : doubled
  const wait = Math.min(policy.maxDelayMs, policy.delayMs * factor)
  return Math.round(wait * (1 + policy.jitter * (2 * random() - 1)))
}
