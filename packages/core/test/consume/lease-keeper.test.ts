import { describe, expect, it } from '@jest/globals'
import { connectedBench, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

describe('the leases of a consumer', () => {
  it('are renewed again in time although one renewal hangs', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => new Promise(() => undefined))
    receiver.give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    const renewedAt: number[] = []
    const startedAt = bench.clock.now()
    bench.adapter.onSettle = () => {
      renewedAt.push(bench.clock.now() - startedAt)
      return renewedAt.length === 1 ? new Promise(() => undefined) : 'settled'
    }
    await bench.clock.advance(29_000)
    expect(renewedAt).toEqual([10_000, 20_000])
    void consumer.stop({ timeoutMs: 0 })
    await bench.clock.advance(60_000)
    expect(bench.clock.timers).toBe(0)
  })
})
