import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, fresh, live, outbound, plainSettings, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, QueueSettings } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker
let adapter: BrokerAdapter

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
  adapter = redisAdapter({ url: broker.url })
  await connected(adapter)
}, 60_000)
afterAll(async () => {
  await adapter.disconnect(AbortSignal.timeout(5_000))
  await broker.stop()
}, 30_000)

const redis = (...args: string[]): Promise<string> => broker.run(...args)

async function subscribe(
  over: BrokerAdapter,
  topic: string,
  settings: Partial<QueueSettings> = {},
): Promise<{ topic: string; subscription: string }> {
  const target = { topic, subscription: fresh('s') }
  const declaration = { settings: { ...plainSettings, ...settings }, pattern: '#', ifExists: 'take' } as const
  await over.declare(target, declaration)
  return target
}

/** What a publish to the topic looks at. */
async function known(topic: string): Promise<string[]> {
  const names = await redis('HKEYS', `{mq:${topic}}:topic`)
  return names.split('\n').filter((name) => name.trim() !== '')
}

describe('a topic forgets a subscription that ends', () => {
  it('with its last consumer', async () => {
    const topic = fresh('t')
    const kept = await subscribe(adapter, topic)
    const ending = await subscribe(adapter, topic, { autoDelete: true })
    expect(await known(topic)).toEqual([kept.subscription, ending.subscription])
    await (await adapter.open(source(ending), () => undefined)).close(live)
    expect(await known(topic)).toEqual([kept.subscription])
  })

  it('with its owner', async () => {
    const topic = fresh('t')
    const kept = await subscribe(adapter, topic)
    const owner = redisAdapter({ url: broker.url })
    await connected(owner)
    const ending = await subscribe(owner, topic, { exclusive: true })
    expect(await known(topic)).toEqual([kept.subscription, ending.subscription])
    await owner.disconnect(AbortSignal.timeout(5_000))
    expect(await known(topic)).toEqual([kept.subscription])
  })

  it('by not being used, at the next publish that is stored', async () => {
    const topic = fresh('t')
    const kept = await subscribe(adapter, topic)
    const ending = await subscribe(adapter, topic, { expires: 100 })
    const meta = `{mq:${topic}}:g:${ending.subscription}:meta`
    await until(async () => (await redis('EXISTS', meta)).trim() === '0')
    await redis('CONFIG', 'SET', 'maxmemory', '1')
    try {
      const [refused] = await adapter.publish([outbound({ topic })], live)
      expect(refused).toMatchObject({ ok: false, certainty: 'not-stored' })
    } finally {
      await redis('CONFIG', 'SET', 'maxmemory', '0')
    }
    expect(await known(topic)).toEqual([kept.subscription, ending.subscription])
    expect(await adapter.publish([outbound({ topic })], live)).toEqual([{ ok: true }])
    expect(await known(topic)).toEqual([kept.subscription])
    expect(await adapter.size(kept)).toBe(1)
  })
})
