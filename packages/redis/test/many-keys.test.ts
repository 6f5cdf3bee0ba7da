import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter, OutboundMessage } from '@mq/core/adapter'
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
const calls = async (command: string): Promise<number> =>
  Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis('INFO', 'commandstats'))?.[1] ?? 0)

/** An ordered queue with one message for each of so many keys, and then one more for some. */
async function filled(
  keys: number,
  more: number,
  over: Parameters<typeof declare>[2] = {},
): Promise<{ queue: { queue: string }; sent: OutboundMessage[] }> {
  const queue = await declare(adapter, fresh(), { ordered: true, ...over })
  const sent = [...Array(keys).keys(), ...Array(more).keys()].map((i) =>
    outbound(queue, { key: `k${String(i).padStart(5, '0')}` }),
  )
  for (const outcome of await adapter.publish(sent, live)) expect(outcome).toEqual({ ok: true })
  return { queue, sent }
}

describe('a queue in order with many keys', () => {
  it('is purged without asking for each of them again and again', async () => {
    const { queue } = await filled(3_000, 1)
    const before = await calls('llen')
    expect(await adapter.purge(queue)).toBe(3_001)
    expect((await calls('llen')) - before).toBeLessThan(6_000)
    expect((await redis('EXISTS', `{mq:${queue.queue}}:o`)).trim()).toBe('0')
  }, 30_000)

  it('is purged of what waits behind leased ones, and of what is delayed, whose keys are free then', async () => {
    const { queue } = await filled(700, 700, { maxLengthBytes: 1_000_000 })
    const receiver = await adapter.open(source(queue, { ordered: true, prefetch: 1_000 }), () => undefined)
    const held = [...(await receiver.receive(1_000, live, 5_000))]
    expect(held).toHaveLength(700)
    const retried = held.splice(0, 350)
    expect(await receiver.retry(retried, 60_000)).toEqual(retried.map(() => 'settled'))
    expect(await adapter.purge(queue)).toBe(1_050)
    const base = `{mq:${queue.queue}}:`
    expect((await redis('HMGET', `${base}meta`, 'by', 'wait')).match(/\d+/g)).toEqual(['0', '0'])
    expect((await redis('HLEN', `${base}o`)).trim()).toBe('350')
    expect(await receiver.ack(held)).toEqual(held.map(() => 'settled'))
    expect((await redis('EXISTS', `${base}o`)).trim()).toBe('0')
  }, 30_000)

  it('is kept alive without touching each of them at every look', async () => {
    const { queue } = await filled(300, 300, { expires: 600_000 })
    const receiver = await adapter.open(source(queue, { ordered: true }), () => undefined)
    const before = await calls('pexpire')
    for (let i = 0; i < 10; i++) expect(await receiver.receive(1, live, 1_000)).toHaveLength(1)
    expect((await calls('pexpire')) - before).toBeLessThan(600)
  }, 30_000)

  it('is browsed to its end, key by key', async () => {
    const { queue, sent } = await filled(3_200, 3_200)
    const browser = await adapter.open(source(queue, { mode: 'browse' }), () => undefined)
    const shown: string[] = []
    for (;;) {
      const got = await browser.receive(700, live, 0)
      if (got.length === 0) break
      shown.push(...got.map(({ id }) => id))
    }
    expect(shown).toEqual(sent.map(({ id }) => id))
  }, 30_000)

  it('is browsed to its end where many keys have nothing behind them', async () => {
    const { queue } = await filled(4_500, 0)
    const last = [outbound(queue, { key: 'k04499' }), outbound(queue, { key: 'k00000' })]
    await adapter.publish(last, live)
    const browser = await adapter.open(source(queue, { mode: 'browse' }), () => undefined)
    const shown = new Set<string>()
    for (;;) {
      const got = await browser.receive(5_000, live, 0)
      if (got.length === 0) break
      for (const { id } of got) shown.add(id)
    }
    expect(shown.size).toBe(4_502)
  }, 30_000)
})

describe('a queue that is kept alive', () => {
  it('leaves nothing behind that came between', async () => {
    const queue = await declare(adapter, fresh(), { autoDelete: true, expires: 600_000 })
    await adapter.open(source(queue), () => undefined)
    expect(Number(await redis('PTTL', `{mq:${queue.queue}}:c`))).toBeGreaterThan(0)
  })
})

describe('a purge of large messages', () => {
  it('takes few of them into memory once more at a time', async () => {
    const queue = await declare(adapter, fresh())
    for (let i = 0; i < 150; i++)
      await adapter.publish([outbound(queue, { body: Buffer.alloc(1_000_000) })], live)
    expect(await adapter.purge(queue)).toBe(150)
    const peak = Number(/used_memory_peak:(\d+)/.exec(await redis('INFO', 'memory'))?.[1])
    expect(peak).toBeLessThan(240_000_000)
  }, 60_000)
})

describe('a key whose message others deleted while it was held', () => {
  it('goes on once that is settled', async () => {
    const { queue, sent } = await filled(1, 1)
    const receiver = await adapter.open(source(queue, { ordered: true }), () => undefined)
    const held = await receiver.receive(10, live)
    expect(held.map(({ id }) => id)).toEqual([sent[0]?.id])
    await redis('XTRIM', `{mq:${queue.queue}}:s:0`, 'MAXLEN', '0')
    expect(await receiver.ack(held)).toEqual(['lost'])
    expect((await receiver.receive(10, live, 0)).map(({ id }) => id)).toEqual([sent[1]?.id])
  })
})
