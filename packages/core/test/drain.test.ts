import { describe, expect, it } from '@jest/globals'
import { Drain } from '../src/drain.ts'
import { lastOf, queueBench, settled, until } from './engine-bench.ts'
import { delivery } from './fake-adapter.ts'
import { VirtualClock } from './memory/virtual-clock.ts'

describe('Drain', () => {
  it('ends when nothing runs any more, and leaves no timer', async () => {
    const clock = new VirtualClock()
    let idle = false
    const drain = new Drain(clock, () => idle)
    drain.limit(Infinity)
    let over = false
    void drain.wait().then(() => (over = true))
    drain.check()
    await settled()
    expect(over).toBe(false)
    idle = true
    drain.check()
    await settled()
    expect([over, clock.timers]).toEqual([true, 0])
    drain.limit(10)
    expect(clock.timers).toBe(0)
  })

  it.each([
    [[100, 50], 50],
    [[50, 100], 50],
    [[Infinity, 50], 50],
    [[50, 0], 0],
  ])('with the times %j ends after %d ms', async (times, ms) => {
    const clock = new VirtualClock()
    const drain = new Drain(clock, () => false)
    let over = false
    void drain.wait().then(() => (over = true))
    for (const time of times) drain.limit(time)
    await clock.advance(Math.max(0, ms - 1))
    expect(over).toBe(ms === 0)
    await clock.advance(1)
    expect([over, clock.timers]).toEqual([true, 0])
  })
})

describe('a handler that never ends, and a stop that waits for ever', () => {
  async function stopping() {
    const bench = queueBench()
    await bench.queue.connect()
    const signals: AbortSignal[] = []
    const consumer = await bench.queue.consume('q', (_message, { signal }) => {
      signals.push(signal)
      return new Promise(() => undefined)
    })
    lastOf(bench.adapter.receivers).give(delivery('a'))
    await until(() => signals.length === 1)
    return { ...bench, consumer, signals }
  }

  it('are ended by disconnect, in its time', async () => {
    const { queue, clock, consumer, signals } = await stopping()
    const stopped = consumer.stop({ timeoutMs: Infinity })
    await clock.advance(60_000)
    expect(signals[0]?.aborted).toBe(false)
    const closed = queue.disconnect({ timeoutMs: 100 })
    await clock.advance(99)
    expect(signals[0]?.aborted).toBe(false)
    await clock.advance(1)
    const abandoned = { drained: false, abandoned: ['a'] }
    expect(await Promise.all([stopped, closed])).toEqual([abandoned, abandoned])
    expect(clock.timers).toBe(0)
  })

  it('are ended by a disconnect with less patience than the one under way', async () => {
    const { queue, clock } = await stopping()
    const first = queue.disconnect({ timeoutMs: Infinity })
    await clock.advance(60_000)
    const second = queue.disconnect({ timeoutMs: 0 })
    expect(await second).toEqual({ drained: false, abandoned: ['a'] })
    expect(await first).toEqual(await second)
  })
})
