import { expect, it } from '@jest/globals'
import { ErrorCode } from '../../src/error-codes.ts'
import type { Tracer } from '../../src/message/trace.ts'
import { MetricsMiddleware } from '../../src/middleware/metrics.ts'
import { connectedBench, deferred, settled, until } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

it('middleware sees a run that timed out fail, at that time and once', async () => {
  const bench = await connectedBench()
  const metrics = new MetricsMiddleware()
  bench.middlewares.push(metrics)
  const end = deferred()
  const { consumer, receiver } = await bench.consume(() => end.promise, { timeoutMs: 20 })
  receiver.give(delivery('a'))
  await until(() => consumer.stats().running === 1)
  await bench.clock.advance(20)
  await until(() => metrics.getMetrics().errorCount === 1)
  end.resolve()
  await settled()
  expect(metrics.getMetrics()).toMatchObject({ processedCount: 0, errorCount: 1 })
  expect(consumer.stats()).toMatchObject({ handled: 0, failed: 1 })
  await consumer.stop()
})

it('the span of a run that timed out ends with that error', async () => {
  const ends: unknown[] = []
  const tracer: Tracer = {
    start: () => ({ traceId: 'a', spanId: 'b', end: (error) => void ends.push(error) }),
  }
  const bench = await connectedBench({ enableTracing: true }, fakeAdapter(), { tracer })
  const { consumer, receiver } = await bench.consume(() => new Promise(() => undefined), { timeoutMs: 20 })
  receiver.give(delivery('a'))
  await until(() => consumer.stats().running === 1)
  await bench.clock.advance(20)
  await until(() => ends.length === 1)
  expect(ends).toMatchObject([{ code: ErrorCode.HANDLER_TIMEOUT }])
  await consumer.stop()
})
