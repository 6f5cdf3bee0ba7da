import { describe, expect, it } from '@jest/globals'
import { lastOf, queueBench, until } from './engine-bench.ts'
import { delivery } from './fake-adapter.ts'
import { settled } from './memory/virtual-clock.ts'

const NEVER = new Promise<never>(() => undefined)

describe('a disconnect in the middle of another', () => {
  it('that has less time leaves less to what waits to be confirmed', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    adapter.onPublish = () => NEVER
    queue.send('q', 1).catch(() => undefined)
    await until(() => adapter.published.length === 1)
    const closing = [queue.disconnect()]
    await settled()
    closing.push(queue.disconnect({ timeoutMs: 0 }))
    await clock.advance(1000)
    expect(await Promise.all(closing)).toHaveLength(2)
  })

  it('also when handlers still run', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    const consumer = await queue.consume('q', () => NEVER)
    lastOf(adapter.receivers).give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    adapter.onPublish = () => NEVER
    queue.send('q', 1).catch(() => undefined)
    await until(() => adapter.published.length === 1)
    const closing = [queue.disconnect(), queue.disconnect({ timeoutMs: 100 })]
    await clock.advance(1100)
    expect(await Promise.all(closing)).toEqual([1, 2].map(() => ({ drained: false, abandoned: ['a'] })))
  })
})
