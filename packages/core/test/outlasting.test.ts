import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode } from '../src/adapter/index.ts'
import { connectedBench, lastOf, queueBench, refusal, settled, until } from './engine-bench.ts'

const down = () => Promise.reject(new AdapterError(ErrorCode.CONNECTION, 'down'))
const up = () => Promise.resolve()

describe('a consumer that begins in an outage', () => {
  it('is subscribed when the broker is there again', async () => {
    const bench = await connectedBench()
    await bench.engine.topology.ensure({ queue: 'q' })
    bench.adapter.onConnect = down
    bench.adapter.onOpen = down
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    const consuming = bench.consume(() => undefined)
    await bench.clock.advance(5000)
    expect(bench.adapter.receivers).toHaveLength(0)
    bench.adapter.onConnect = up
    bench.adapter.onOpen = up
    await bench.clock.advance(5000)
    const { consumer } = await consuming
    expect(bench.adapter.receivers).toHaveLength(1)
    await consumer.stop()
  })

  it('is subscribed also when the loss shows first in its own call', async () => {
    const bench = await connectedBench()
    bench.adapter.onOpen = down
    const consuming = bench.consume(() => undefined)
    await settled()
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    bench.adapter.onOpen = up
    await bench.clock.advance(5000)
    const { consumer } = await consuming
    await consumer.stop()
  })

  it('is refused after requestTimeoutMs', async () => {
    const bench = await connectedBench({ producer: { requestTimeoutMs: 1000 } })
    bench.adapter.onConnect = down
    bench.adapter.onOpen = down
    const refused = refusal(bench.consume(() => undefined))
    await settled()
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    await bench.clock.advance(1000)
    expect((await refused).message).toContain('consume waited')
  })

  it('ends with its MessageQueue', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    adapter.onOpen = down
    const refused = refusal(queue.consume('q', () => undefined))
    await settled()
    await queue.disconnect({ timeoutMs: 0 })
    await clock.advance(100)
    expect([ErrorCode.CONNECTION, ErrorCode.NOT_CONNECTED]).toContain((await refused).code)
  })
})

it('dead letters that are looked at in an outage are shown when the broker is there again', async () => {
  const { queue, adapter, clock } = queueBench()
  await queue.connect()
  adapter.onOpen = down
  const listing = queue.deadLetters('q').list()
  await settled()
  lastOf(adapter.connections).lost(new Error('cut'))
  adapter.onOpen = up
  await clock.advance(1000)
  await until(() => adapter.receivers.length === 1)
  // The look ends with the first answer that is empty.
  await clock.advance(2000)
  expect((await listing).messages).toEqual([])
  await queue.disconnect({ timeoutMs: 0 })
})
