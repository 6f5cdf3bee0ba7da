import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, failure, fresh, live, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Delivery } from '@mq/core/adapter'
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
const add = (queue: { queue: string }, ...fields: string[]): Promise<string> =>
  redis('XADD', `{mq:${queue.queue}}:s:0`, '*', 'body', 'x', ...fields)

const ODD = ['inf', '-inf', 'nan', '-5', '1.5', '1e3', '0x10', ' 7', '', 'many', '1234567890123456']

describe('numbers that a foreign client wrote', () => {
  it.each(ODD)('attempt "%s" counts as none, and each retry as one', async (attempt) => {
    const queue = await declare(adapter, fresh())
    await add(queue, 'attempt', attempt, 'mq-first-failed-at', attempt, 'redeliveries', attempt)
    const receiver = await adapter.open(source(queue), () => undefined)
    for (const count of [0, 1, 2]) {
      const held = await receiver.receive(1, live)
      expect(held).toMatchObject([{ deliveryCount: count, redeliveries: 0 }])
      if (count > 0) expect(held[0]?.firstFailedAt).toBeGreaterThan(1_700_000_000_000)
      expect(await receiver.retry(held, 0)).toEqual(['settled'])
    }
  })

  it.each(ODD)(
    'redeliveries "%s" count as none, and each return that was not settled as one',
    async (text) => {
      const queue = await declare(adapter, fresh(), { ordered: true })
      await add(queue, 'redeliveries', text)
      const receiver = await adapter.open(source(queue, { leaseMs: 1 }), () => undefined)
      await receiver.receive(1, live)
      // Taken back where nobody receives: by who counts.
      await until(async () => (await adapter.size(queue)) === 1)
      expect(await receiver.receive(1, live)).toMatchObject([{ deliveryCount: 0, redeliveries: 1 }])
    },
  )

  it('the greatest attempt stays the greatest', async () => {
    const queue = await declare(adapter, fresh())
    await add(queue, 'attempt', '9'.repeat(15))
    const receiver = await adapter.open(source(queue), () => undefined)
    for (let i = 0; i < 2; i++) {
      const held = await receiver.receive(1, live)
      expect(held).toMatchObject([{ deliveryCount: 999_999_999_999_999 }])
      await receiver.retry(held, 0)
    }
  })

  it.each(ODD)('priority "%s" is the lowest', async (priority) => {
    const queue = await declare(adapter, fresh(), { maxPriority: 3 })
    await add(queue, 'priority', priority, 'expires-at', String(Date.now() + 600_000))
    const receiver = await adapter.open(source(queue), () => undefined)
    const held = await receiver.receive(1, live)
    expect(held).toMatchObject([{ priority: 0 }])
    expect(await receiver.release(held)).toEqual(['settled'])
    const base = `{mq:${queue.queue}}:`
    expect((await redis('ZRANGE', `${base}ln`, '0', '-1')).trim()).toBe('0')
    expect(await redis('ZRANGE', `${base}x`, '0', '-1')).toMatch(/^0:\d/)
  })

  it('a priority above all is that of the highest lane', async () => {
    const queue = await declare(adapter, fresh(), { maxPriority: 255 })
    await add(queue, 'priority', '400')
    const receiver = await adapter.open(source(queue), () => undefined)
    expect(await receiver.release(await receiver.receive(1, live))).toEqual(['settled'])
    expect(await receiver.receive(1, live)).toMatchObject([{ priority: 255, lane: '255' }])
  })

  it.each(ODD)('expires-at "%s" is no expiry', async (expiresAt) => {
    const queue = await declare(adapter, fresh(), { maxPriority: 3 })
    await add(queue, 'expires-at', expiresAt)
    const receiver = await adapter.open(source(queue), () => undefined)
    let held: readonly Delivery[] = await receiver.receive(1, live)
    expect(held).toMatchObject([{ expiresAt: undefined }])
    expect(await receiver.release(held)).toEqual(['settled'])
    held = await receiver.receive(1, live)
    expect(await receiver.retry(held, 1)).toEqual(['settled'])
    expect(await receiver.receive(1, live)).toMatchObject([{ deliveryCount: 1 }])
  })

  it('a priority that is none goes into a dead-letter queue with priorities all the same', async () => {
    const name = fresh()
    const queue = await declare(adapter, name, { deadLetterQueue: `${name}.dlq` })
    const dead = await declare(adapter, `${name}.dlq`, { maxPriority: 3 })
    await add(queue, 'priority', 'high')
    const receiver = await adapter.open(source({ queue: name }), () => undefined)
    const held = await receiver.receive(1, live)
    expect(await receiver.deadLetter(held, [failure()], dead)).toEqual(['settled'])
    expect(await adapter.size(dead)).toBe(1)
  })

  it('a lane that an earlier release made of one stops nobody', async () => {
    const queue = await declare(adapter, fresh(), { maxPriority: 3 })
    const base = `{mq:${queue.queue}}:`
    await redis('XGROUP', 'CREATE', `${base}s:-5`, 'mq', '0', 'MKSTREAM')
    await redis('ZADD', `${base}ln`, '-5', '-5')
    const id = (await redis('XADD', `${base}s:-5`, '*', 'body', 'x', 'expires-at', '1')).trim()
    await redis('ZADD', `${base}x`, '1', `-5:${id}`)
    const receiver = await adapter.open(source(queue), () => undefined)
    expect(await receiver.receive(1, live, 0)).toEqual([])
    expect((await redis('ZCARD', `${base}x`)).trim()).toBe('0')
  })
})
