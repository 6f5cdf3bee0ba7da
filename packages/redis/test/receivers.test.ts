import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
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

describe('receivers that crashed', () => {
  it('are forgotten by the next one to open, unless they hold something', async () => {
    const queue = await declare(adapter, fresh())
    const stream = `{mq:${queue.queue}}:s:0`
    await adapter.publish([outbound(queue)], live)
    await (await adapter.open(source(queue), () => undefined)).close(live)
    for (const name of ['gone.20', 'holds.20', 'foreign'])
      await redis('XGROUP', 'CREATECONSUMER', stream, 'mq', name)
    await redis('XREADGROUP', 'GROUP', 'mq', 'holds.20', 'COUNT', '1', 'STREAMS', stream, '>')
    const consumers = async (): Promise<string> => redis('XINFO', 'CONSUMERS', stream, 'mq')
    expect(await consumers()).toContain('gone.20')
    await until(async () => {
      await (await adapter.open(source(queue), () => undefined)).close(live)
      return !(await consumers()).includes('gone.20')
    })
    expect(await consumers()).toContain('holds.20')
    expect(await consumers()).toContain('foreign')
  })
})

describe('a receiver that has no connection to wait on', () => {
  it('looks less and less often, and is heard when something is due', async () => {
    const alone = redisAdapter({ url: broker.url, maxConnections: 1 })
    await connected(alone)
    try {
      const queue = await declare(alone, fresh())
      const receiver = await alone.open(source(queue), () => undefined)
      const looks = async (): Promise<number> =>
        Number(/cmdstat_xreadgroup:calls=(\d+)/.exec(await redis('INFO', 'commandstats'))?.[1] ?? 0)
      const before = await looks()
      expect(await receiver.receive(1, live, 1_500)).toEqual([])
      expect((await looks()) - before).toBeLessThan(25)
      const waiting = receiver.receive(1, live, 10_000)
      await alone.publish([outbound(queue, { delayMs: 50 })], live)
      expect(await waiting).toHaveLength(1)
    } finally {
      await alone.disconnect(AbortSignal.timeout(5_000))
    }
  }, 20_000)
})

describe('many leases', () => {
  it('are renewed in several calls', async () => {
    const queue = await declare(adapter, fresh())
    const sent = Array.from({ length: 600 }, () => outbound(queue))
    await adapter.publish(sent, live)
    const receiver = await adapter.open(source(queue, { prefetch: 600 }), () => undefined)
    const held = []
    while (held.length < 600) held.push(...(await receiver.receive(600, live)))
    const calls = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis('INFO', 'commandstats'))?.[1] ?? 0)
    const before = await calls()
    expect(await receiver.renew(held)).toEqual(held.map(() => 'settled'))
    expect((await calls()) - before).toBeGreaterThanOrEqual(3)
  })
})

describe('large messages that are due at once', () => {
  it('become ready in several calls', async () => {
    const queue = await declare(adapter, fresh())
    for (let i = 0; i < 20; i++)
      await adapter.publish([outbound(queue, { body: Buffer.alloc(1_000_000), delayMs: 1 })], live)
    const base = `{mq:${queue.queue}}:`
    await until(async () => (await redis('ZCOUNT', `${base}d`, '-inf', String(Date.now()))).trim() === '20')
    await redis('EVAL', scripts.take.source, '1', base, 'me.30000', '0', '0')
    expect(Number(await redis('XLEN', `${base}s:0`))).toBeLessThan(20)
    const receiver = await adapter.open(source(queue), () => undefined)
    for (let left = 20; left > 0;) left -= (await receiver.receive(20, live, 5_000)).length
  }, 30_000)
})

describe('the least lease of a queue', () => {
  const least = async ({ queue }: { queue: string }): Promise<string> =>
    (await redis('HGET', `{mq:${queue}}:meta`, 'lm')).trim()

  it('is forgotten with who had it', async () => {
    const queue = await declare(adapter, fresh())
    const short = await adapter.open(source(queue, { leaseMs: 40 }), () => undefined)
    await short.receive(1, live, 0)
    expect(await least(queue)).toBe('40')
    await short.close(live)
    await adapter.open(source(queue, { leaseMs: 20_000 }), () => undefined)
    expect(await least(queue)).toBe('20000')
  })

  it('is that of all who are there, whoever came last and read first', async () => {
    const queue = await declare(adapter, fresh())
    const short = await adapter.open(source(queue, { leaseMs: 5_000 }), () => undefined)
    const long = await adapter.open(source(queue, { leaseMs: 20_000 }), () => undefined)
    await long.receive(1, live, 0)
    expect(await least(queue)).toBe('20000')
    await adapter.publish([outbound(queue)], live)
    expect(await short.receive(1, live)).toHaveLength(1)
    expect(await least(queue)).toBe('5000')
    await adapter.open(source(queue, { leaseMs: 30_000 }), () => undefined)
    expect(await least(queue)).toBe('5000')
  })
})

describe('what a crashed receiver held', () => {
  it('comes as fast as it is taken, however much it is', async () => {
    for (const settings of [{}, { maxPriority: 3 }]) {
      const queue = await declare(adapter, fresh(), settings)
      const sent = Array.from({ length: 50 }, () => outbound(queue))
      await adapter.publish(sent, live)
      const crashed = await adapter.open(source(queue, { leaseMs: 1_000 }), () => undefined)
      let held = 0
      while (held < 50) held += (await crashed.receive(50, live)).length
      const next = await adapter.open(source(queue), () => undefined)
      const first = await next.receive(5, live, 20_000)
      expect(first).toHaveLength(5)
      // Each looks once, and waits for nothing.
      for (let n = 1; n < 10; n++) expect(await next.receive(5, live, 0)).toHaveLength(5)
    }
  }, 60_000)
})

describe('queues with an owner', () => {
  it('refuses another connection to consume or declare an exclusive queue, and deletes it when its own goes', async () => {
    const name = fresh()
    const owner = redisAdapter({ url: broker.url })
    await connected(owner)
    await declare(owner, name, { exclusive: true })
    await expect(adapter.open(source({ queue: name }), () => undefined)).rejects.toMatchObject({
      code: 'MQ_QUEUE_CONFLICT',
    })
    await expect(declare(adapter, name, { exclusive: true })).rejects.toMatchObject({
      code: 'MQ_QUEUE_CONFLICT',
    })
    await owner.open(source({ queue: name }), () => undefined)
    await owner.disconnect(AbortSignal.timeout(5_000))
    await expect(adapter.size({ queue: name })).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
  })

  it('lets one whose owner crashed go, also while its successor asks for it again and again', async () => {
    const name = fresh()
    const crashed = redisAdapter({ url: broker.url })
    await connected(crashed)
    try {
      await declare(crashed, name, { exclusive: true })
      await redis('PEXPIRE', `{mq:${name}}:meta`, '500')
      await until(() =>
        declare(adapter, name, { exclusive: true }).then(
          () => true,
          () => false,
        ),
      )
      await adapter.remove({ queue: name })
    } finally {
      await crashed.disconnect(AbortSignal.timeout(5_000))
    }
  }, 30_000)

  it('leaves an auto-delete queue to who pulls now and then', async () => {
    const queue = await declare(adapter, fresh(), { autoDelete: true })
    const pull = await adapter.open({ ...source(queue), mode: 'pull' }, () => undefined)
    await adapter.publish([outbound(queue)], live)
    await pull.close(live)
    expect(await adapter.size(queue)).toBe(1)
    expect(await redis('PTTL', `{mq:${queue.queue}}:meta`)).toBe('-1')
    await (await adapter.open(source(queue), () => undefined)).close(live)
    await expect(adapter.size(queue)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
  })

  it('deletes an auto-delete queue with its last consumer', async () => {
    const queue = await declare(adapter, fresh(), { autoDelete: true })
    expect(await adapter.size(queue)).toBe(0)
    const one = await adapter.open(source(queue), () => undefined)
    const two = await adapter.open(source(queue), () => undefined)
    await one.close(live)
    expect(await adapter.size(queue)).toBe(0)
    await two.close(live)
    await expect(adapter.size(queue)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
  })

  it('lets an unused queue go after `expires`', async () => {
    const queue = await declare(adapter, fresh(), { expires: 100 })
    await adapter.publish([outbound(queue)], live)
    await until(async () => (await redis('EXISTS', `{mq:${queue.queue}}:meta`)).trim() === '0')
    await expect(adapter.open(source(queue), () => undefined)).rejects.toMatchObject({
      code: 'MQ_QUEUE_NOT_FOUND',
    })
  })
})
