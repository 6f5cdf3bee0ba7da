import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, failure, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Delivery, OutboundMessage, PublishOutcome } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'
import { scripts } from '../src/scripts/index.ts'

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
const length = async (stream: string): Promise<number> => Number(await redis('XLEN', stream))

/** Adds 5,000 that expired long ago, as a foreign client may. */
const addExpired = (stream: string): Promise<string> =>
  redis(
    'EVAL',
    "for _ = 1, 5000 do redis.call('XADD', KEYS[1], '*', 'body', '', 'expires-at', '1') end",
    '1',
    stream,
  )

describe('any number of expired messages', () => {
  it('takes several calls to pass over, and hides nothing behind them', async () => {
    const queue = await declare(adapter, fresh(), { maxPriority: 1 })
    const base = `{mq:${queue.queue}}:`
    await addExpired(`${base}s:0`)
    const sent = outbound(queue)
    await adapter.publish([sent], live)
    const receiver = await adapter.open(source(queue), () => undefined)
    await redis('EVAL', scripts.take.source, '1', base, 'me.30000', '10', '0')
    expect(await length(`${base}s:0`)).toBeGreaterThan(3_000)
    expect((await receiver.receive(10, live, 0)).map(({ id }) => id)).toEqual([sent.id])
    expect(await length(`${base}s:0`)).toBe(1)
  })

  it('is looked at in several calls by who browses', async () => {
    const queue = await declare(adapter, fresh())
    const stream = `{mq:${queue.queue}}:s:0`
    await addExpired(stream)
    const sent = outbound(queue)
    await adapter.publish([sent], live)
    const calls = async (): Promise<number> =>
      Number(/cmdstat_xrange:calls=(\d+)/.exec(await redis('INFO', 'commandstats'))?.[1] ?? 0)
    const before = await calls()
    await redis('EVAL', scripts.browse.source, '1', `{mq:${queue.queue}}:`, '', '', '10')
    expect((await calls()) - before).toBeLessThan(100)
    const browser = await adapter.open(source(queue, { mode: 'browse' }), () => undefined)
    expect((await browser.receive(10, live, 0)).map(({ id }) => id)).toEqual([sent.id])
    expect(await browser.receive(10, live, 0)).toEqual([])
  })
})

describe('messages that expire where nobody consumes', () => {
  const old = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60))

  it('make room for those sent after them', async () => {
    const queue = await declare(adapter, fresh())
    const send = async (): Promise<void> => {
      const expiresAt = Date.now() + 30
      await adapter.publish(
        Array.from({ length: 100 }, () => outbound(queue, { expiresAt })),
        live,
      )
    }
    await send()
    await old()
    await send()
    expect(await length(`{mq:${queue.queue}}:s:0`)).toBeLessThanOrEqual(100)
  })

  it('make room for those dead-lettered after them', async () => {
    const name = fresh()
    await declare(adapter, `${name}.dlq`, { messageTtl: 30 })
    const queue = await declare(adapter, name, { deadLetterQueue: `${name}.dlq` })
    const receiver = await adapter.open(source(queue), () => undefined)
    const fail = async (): Promise<void> => {
      await adapter.publish(
        Array.from({ length: 100 }, () => outbound(queue)),
        live,
      )
      for (let left = 100; left > 0;) {
        const held = await receiver.receive(left, live, 5_000)
        left -= held.length
        await receiver.deadLetter(
          held,
          held.map(() => failure()),
          { queue: `${name}.dlq` },
        )
      }
    }
    await fail()
    await old()
    await fail()
    expect(await length(`{mq:${name}}:dlq:s:0`)).toBeLessThanOrEqual(100)
  })

  it('behind a key that is held count no more, are dead-lettered, and make room', async () => {
    const name = fresh()
    const dead = await declare(adapter, `${name}.dlq`)
    const settings = { ordered: true, maxLength: 3, maxLengthBytes: 1_000, deadLetterQueue: `${name}.dlq` }
    const queue = await declare(adapter, name, settings)
    const send = (over: Partial<OutboundMessage>): Promise<readonly PublishOutcome[]> =>
      adapter.publish([outbound(queue, { key: 'a\nb:c', ...over })], live)
    await send({})
    const receiver = await adapter.open(source(queue, { ordered: true }), () => undefined)
    const [held] = await receiver.receive(10, live, 5_000)
    await send({ expiresAt: Date.now() + 600_000 })
    for (let i = 0; i < 2; i++) await send({ expiresAt: Date.now() + 30 })
    await old()
    expect(await adapter.size(queue)).toBe(1)
    expect(await adapter.size(dead)).toBe(2)
    for (let i = 0; i < 2; i++) await send({ expiresAt: Date.now() + 30 })
    await old()
    expect(await send({})).toEqual([{ ok: true }])
    expect(await adapter.size(dead)).toBe(4)
    await receiver.ack([held as Delivery])
    const [lasting] = await receiver.receive(10, live, 5_000)
    await receiver.ack([lasting as Delivery])
    expect(await receiver.receive(10, live, 5_000)).toHaveLength(1)
    // Nothing is left of them.
    expect(await redis('EXISTS', `{mq:${name}}:kx`)).toBe('0')
    expect(await redis('HMGET', `{mq:${name}}:meta`, 'wait', 'by')).toMatch(/^0\s+0$/)
    await send({ expiresAt: Date.now() + 600_000 })
    expect(await adapter.purge(queue)).toBe(1)
    expect(await redis('EXISTS', `{mq:${name}}:kx`)).toBe('0')
  })

  it('and whose dead-letter queue cannot take them do not stop what is sent', async () => {
    const name = fresh()
    const queue = await declare(adapter, name, { deadLetterQueue: `${name}.dlq` })
    await redis('SET', `{mq:${name}}:dlq:s:0`, 'mine')
    for (let i = 0; i < 2; i++) {
      expect(await adapter.publish([outbound(queue, { expiresAt: Date.now() + 20 })], live)).toEqual([
        { ok: true },
      ])
      await old()
    }
    expect(await length(`{mq:${name}}:s:0`)).toBe(2)
  })
})
