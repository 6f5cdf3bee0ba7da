import { describe, expect, it } from '@jest/globals'
import { Message } from '../../src/message/message.ts'
import { composeProcess } from '../../src/middleware/compose.ts'
import { MetricsMiddleware } from '../../src/middleware/metrics.ts'

const message = new Message()
const NOTHING = {
  processedCount: 0,
  errorCount: 0,
  averageProcessingTime: 0,
  totalProcessingTime: 0,
  percentiles: { p50: 0, p95: 0, p99: 0 },
}

/** Handlers here say how many ms they take, and whether they fail. */
function measured() {
  let now = 5000
  const metrics = new MetricsMiddleware({ now: () => now })
  const handle = async (ms: number, fail = false) => {
    const run = composeProcess([metrics], async () => {
      now += ms
      if (fail) throw new Error('failed')
      return ms
    })
    return run(message)
  }
  return { metrics, handle }
}

describe('MetricsMiddleware', () => {
  it('starts at zero, averages included', () => {
    expect(new MetricsMiddleware().getMetrics()).toEqual(NOTHING)
  })

  it('counts successes and failures apart and times both, in seconds', async () => {
    const { metrics, handle } = measured()
    expect(await handle(100)).toBe(100)
    await handle(200)
    await expect(handle(600, true)).rejects.toThrow('failed')
    const result = metrics.getMetrics()
    expect(result).toMatchObject({ processedCount: 2, errorCount: 1 })
    expect(result.totalProcessingTime).toBeCloseTo(0.9, 9)
    expect(result.averageProcessingTime).toBeCloseTo(0.3, 9)
  })

  it('gives percentiles at most 5 % above the exact ones', async () => {
    const { metrics, handle } = measured()
    for (let ms = 1; ms <= 1000; ms++) await handle(ms)
    const { p50, p95, p99 } = metrics.getMetrics().percentiles
    for (const [measuredOne, exact] of [
      [p50, 0.5],
      [p95, 0.95],
      [p99, 0.99],
    ] as const) {
      expect(measuredOne).toBeGreaterThanOrEqual(exact - 1e-9)
      expect(measuredOne).toBeLessThanOrEqual(exact * 1.05 + 1e-9)
    }
  })

  it('keeps to what was measured when there is one message', async () => {
    const { metrics, handle } = measured()
    await handle(42)
    expect(metrics.getMetrics().percentiles).toEqual({ p50: 0.042, p95: 0.042, p99: 0.042 })
  })

  it('starts again after reset', async () => {
    const { metrics, handle } = measured()
    await handle(10)
    await handle(10, true).catch(() => undefined)
    metrics.reset()
    expect(metrics.getMetrics()).toEqual(NOTHING)
    await handle(20)
    expect(metrics.getMetrics()).toMatchObject({
      processedCount: 1,
      errorCount: 0,
      totalProcessingTime: 0.02,
    })
  })
})
