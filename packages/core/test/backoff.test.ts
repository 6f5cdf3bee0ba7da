import { describe, expect, it } from '@jest/globals'
import { backoffDelay, type BackoffPolicy } from '../src/backoff.ts'

const middle = () => 0.5
const policy = (backoff: BackoffPolicy['backoff'], jitter = 0): BackoffPolicy => ({
  backoff,
  delayMs: 1000,
  maxDelayMs: 5000,
  jitter,
})

describe('backoffDelay', () => {
  it.each([
    ['fixed', [1000, 1000, 1000, 1000]],
    ['linear', [1000, 2000, 3000, 4000]],
    ['exponential', [1000, 2000, 4000, 5000]],
  ] as const)('%s waits as its table says', (backoff, waits) => {
    expect([1, 2, 3, 4].map((k) => backoffDelay(policy(backoff), k, middle))).toEqual(waits)
  })

  it('draws from the length times one minus to one plus jitter, once', () => {
    expect(backoffDelay(policy('fixed', 0.1), 1, () => 0)).toBe(900)
    expect(backoffDelay(policy('fixed', 0.1), 1, middle)).toBe(1000)
    expect(backoffDelay(policy('fixed', 0.1), 1, () => 1 - Number.EPSILON)).toBe(1100)
  })

  it('stays finite after any number of retries', () => {
    expect(backoffDelay(policy('exponential'), 5000, middle)).toBe(5000)
    expect(backoffDelay({ ...policy('exponential'), delayMs: 0 }, 5000, middle)).toBe(0)
  })
})
