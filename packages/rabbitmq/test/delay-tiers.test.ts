import { describe, expect, it } from '@jest/globals'
import { MAX_DELAY_MS, tierOf } from '../src/delay-tiers.ts'

describe('delay tiers', () => {
  const delays = [1, 99, 100, 101, 1_999, 2_000, 2_001, 10_000, 12_345, 3_600_000, 86_400_000, MAX_DELAY_MS]

  it('never wait shorter than asked', () => {
    for (const delay of delays) expect(tierOf(delay)).toBeGreaterThanOrEqual(delay)
  })

  it('wait at most a second or five per cent longer', () => {
    for (const delay of delays)
      expect(tierOf(delay)).toBeLessThanOrEqual(delay + Math.max(1_000, delay * 0.05))
  })

  it('are few: a tier is its own tier', () => {
    for (const delay of delays) expect(tierOf(tierOf(delay))).toBe(tierOf(delay))
    const upToADay = new Set(Array.from({ length: 10_000 }, (_, i) => tierOf((i + 1) * 8_640)))
    expect(upToADay.size).toBeLessThan(350)
  })

  it('fit into what the server takes as a time', () => {
    expect(MAX_DELAY_MS).toBeLessThan(2 ** 32)
    expect(MAX_DELAY_MS).toBeGreaterThan(45 * 86_400_000)
  })
})
