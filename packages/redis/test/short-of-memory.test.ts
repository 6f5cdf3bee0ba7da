import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, plainSettings, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'
import { scripts } from '../src/scripts/index.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
}, 60_000)

afterEach(async () => {
  await redis('CONFIG', 'SET', 'maxmemory', '0')
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(5_000))))
})

afterAll(() => broker.stop(), 30_000)

const redis = (...args: string[]): Promise<string> => broker.run(...args)

async function adapterOf(): Promise<BrokerAdapter> {
  const adapter = redisAdapter({ url: broker.url })
  open.push(adapter)
  await connected(adapter)
  return adapter
}

describe('while memory is short', () => {
  it.each([
    ['plain', {}],
    ['in order, with priorities and limits', { ordered: true, maxPriority: 3, maxLengthBytes: 10_000 }],
    ['that ends by itself', { autoDelete: true }],
  ])('who comes anew empties a queue: %s', async (_, over) => {
    const queue = await declare(await adapterOf(), fresh(), over)
    await open[0]?.publish([outbound(queue, { key: 'k' }), outbound(queue, { key: 'k' })], live)
    await redis('CONFIG', 'SET', 'maxmemory', '1')
    const adapter = await adapterOf()
    await declare(adapter, queue.queue, over)
    const receiver = await adapter.open(source(queue, { ordered: 'ordered' in over }), () => undefined)
    for (let left = 2; left > 0; left--) {
      const held = await receiver.receive(1, live, 5_000)
      expect(held).toHaveLength(1)
      expect(await receiver.ack(held)).toEqual(['settled'])
    }
  })

  it('who comes anew empties a stream that a foreign client made', async () => {
    const name = fresh()
    await redis('XADD', `{mq:${name}}:s:0`, '*', 'body', 'first')
    await redis('CONFIG', 'SET', 'maxmemory', '1')
    const receiver = await (await adapterOf()).open(source({ queue: name }), () => undefined)
    const held = await receiver.receive(1, live, 5_000)
    expect(held).toHaveLength(1)
    expect(await receiver.ack(held)).toEqual(['settled'])
  })

  it('a consumer of a queue that ends by itself is still heard of', async () => {
    const adapter = await adapterOf()
    const queue = await declare(adapter, fresh(), { autoDelete: true })
    await adapter.open(source(queue), () => undefined)
    const base = `{mq:${queue.queue}}:`
    const consumer = (await redis('ZRANGE', `${base}c`, '0', '0')).trim()
    await redis('ZADD', `${base}c`, '1', consumer)
    await redis('CONFIG', 'SET', 'maxmemory', '1')
    // What its receiver does every quarter of a minute.
    await redis('EVALSHA', scripts.open.sha, '1', base, 'beat', consumer, '0', '', '1')
    expect(Number(await redis('ZSCORE', `${base}c`, consumer))).toBeGreaterThan(1)
  })

  it('a topic and a subscription that are there may be declared again', async () => {
    const topic = fresh('topic')
    const target = { topic, subscription: 'all' }
    const subscribe = async (adapter: BrokerAdapter): Promise<void> => {
      await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      await adapter.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
    }
    const first = await adapterOf()
    await subscribe(first)
    await first.publish([outbound({ topic })], live)
    await redis('CONFIG', 'SET', 'maxmemory', '1')
    const adapter = await adapterOf()
    await subscribe(adapter)
    const receiver = await adapter.open(source(target), () => undefined)
    expect(await receiver.receive(1, live, 5_000)).toHaveLength(1)
  })
})
