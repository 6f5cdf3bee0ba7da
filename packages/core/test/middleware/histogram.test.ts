import { describe, expect, it } from '@jest/globals'
import { Histogram } from '../../src/middleware/histogram.ts'

describe('Histogram', () => {
  it('answers 0 when it is empty', () => {
    expect(new Histogram().percentile(0.99)).toBe(0)
  })

  it.each([1e-9, 1e-6, 0.00042, 1, 59.9, 9000, 1e6])('keeps %d s within what it measured', (seconds) => {
    const histogram = new Histogram()
    histogram.record(seconds)
    expect([0, 0.5, 1].map((share) => histogram.percentile(share))).toEqual([seconds, seconds, seconds])
  })

  it('never answers more than the longest or less than the shortest', () => {
    const histogram = new Histogram()
    for (const seconds of [0.01, 0.02, 0.03, 20000]) histogram.record(seconds)
    expect(histogram.percentile(0.25)).toBeGreaterThanOrEqual(0.01)
    expect(histogram.percentile(1)).toBe(20000)
    expect(histogram.count).toBe(4)
    expect(histogram.sum).toBeCloseTo(20000.06, 6)
  })

  it('is at most a thirty-second off, from microseconds to hours', () => {
    for (let seconds = 1e-6; seconds < 16_000; seconds *= 1.0137) {
      const histogram = new Histogram()
      histogram.record(0)
      histogram.record(seconds)
      histogram.record(20_000)
      expect(histogram.percentile(0.5)).toBeGreaterThanOrEqual(seconds)
      expect(histogram.percentile(0.5) / seconds).toBeLessThanOrEqual(1 + 1 / 32)
    }
  })
})
