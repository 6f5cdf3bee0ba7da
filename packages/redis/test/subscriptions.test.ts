import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, fresh, live, outbound, plainSettings, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, QueueSettings, Target } from '@mq/core/adapter'
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

describe('a subscription with a ttl of its own', () => {
  it('keeps nothing for longer, whatever who sends to its topic knows', async () => {
    const topic = fresh('t')
    const other = await subscribe(adapter, topic)
    const brief = await subscribe(adapter, topic, { messageTtl: 600_000 })
    const before = Date.now()
    const plain = outbound({ topic })
    const longer = outbound({ topic }, { expiresAt: before + 900_000 })
    const shorter = outbound({ topic }, { expiresAt: before + 300_000 })
    const delayed = outbound({ topic }, { delayMs: 1_000 })
    const alone = outbound(brief)
    for (const message of [plain, longer, shorter, delayed, alone])
      expect(await adapter.publish([message], live)).toEqual([{ ok: true }])
    const ends = async (target: Target, count: number): Promise<Map<string, number | undefined>> => {
      const receiver = await adapter.open(source(target), () => undefined)
      const got = new Map<string, number | undefined>()
      await until(async () => {
        for (const { id, expiresAt } of await receiver.receive(10, live)) got.set(id, expiresAt)
        return got.size === count
      })
      return got
    }
    const here = await ends(brief, 5)
    for (const { id, delayMs } of [plain, longer, delayed, alone]) {
      expect(here.get(id)).toBeGreaterThanOrEqual(before + delayMs + 600_000)
      expect(here.get(id)).toBeLessThan(before + 900_000)
    }
    expect(here.get(shorter.id)).toBe(before + 300_000)
    const there = await ends(other, 4)
    expect([plain, longer, shorter, delayed].map(({ id }) => there.get(id))).toEqual([
      undefined,
      before + 900_000,
      before + 300_000,
      undefined,
    ])
  }, 20_000)

  it('dead-letters what is over', async () => {
    const topic = fresh('t')
    const dead = fresh('dead')
    const brief = await subscribe(adapter, topic, { messageTtl: 20, deadLetterQueue: dead })
    const sent = [outbound({ topic }), outbound(brief)]
    for (const message of sent) await adapter.publish([message], live)
    await until(async () => (await adapter.size(brief)) === 0)
    const receiver = await adapter.open(source({ queue: dead }), () => undefined)
    const got = await receiver.receive(10, live)
    expect(got.map((d) => [d.id, d.deadLetter?.reason])).toEqual(sent.map(({ id }) => [id, 'expired']))
  })
})

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
