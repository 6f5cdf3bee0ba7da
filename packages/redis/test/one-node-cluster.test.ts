import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import {
  connected,
  declare,
  failure,
  fresh,
  live,
  outbound,
  plainSettings,
  source,
  until,
} from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter, type RedisOptions } from '../src/index.ts'

let cluster: RunningBroker

beforeAll(async () => {
  cluster = await startBroker('redis', { fresh: true, extra: { 'cluster-enabled': 'yes' } })
  await cluster.run('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await until(async () => (await cluster.run('CLUSTER', 'INFO')).includes('cluster_state:ok'))
}, 60_000)
afterAll(() => cluster.stop(), 30_000)

describe('a server of a cluster that is out of memory', () => {
  it('refuses what is sent to it, and does not stop what goes to the others', async () => {
    const adapter = redisAdapter({
      cluster: [{ host: '127.0.0.1', port: Number(new URL(cluster.url).port) }],
    })
    const events = await connected(adapter)
    try {
      const queue = await declare(adapter, fresh())
      await cluster.run('CONFIG', 'SET', 'maxmemory', '1')
      const [outcome] = await adapter.publish([outbound(queue)], live)
      expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
      expect(adapter.classify(outcome?.ok === false ? outcome.error : null)).toEqual({
        code: 'MQ_UNAVAILABLE',
        retryable: true,
      })
      expect(events.blocked).toEqual([])
      await cluster.run('CONFIG', 'SET', 'maxmemory', '0')
      expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
      expect(events.blocked).toEqual([])
    } finally {
      await adapter.disconnect(AbortSignal.timeout(3_000))
    }
  }, 30_000)
})

describe('a receiver whose connection to its master breaks', () => {
  it('goes on over the next one, and keeps what it holds', async () => {
    const adapter = redisAdapter({
      cluster: [{ host: '127.0.0.1', port: Number(new URL(cluster.url).port) }],
    })
    await connected(adapter)
    try {
      // With priorities each look is a script.
      const queue = await declare(adapter, fresh(), { maxPriority: 1 })
      await adapter.publish([outbound(queue)], live)
      const receiver = await adapter.open(source(queue), () => undefined)
      const held = await receiver.receive(1, live)
      let looks = 0
      let done = false
      const looking = (async () => {
        for (; !done; looks++) expect(await receiver.receive(1, live, 1)).toEqual([])
      })()
      looking.catch(() => undefined)
      for (let i = 0; i < 10; i++) {
        await cluster.run('CLIENT', 'KILL', 'TYPE', 'normal')
        const before = looks
        await Promise.race([looking, until(() => looks > before + 2)])
      }
      done = true
      await looking
      expect(await receiver.ack(held)).toEqual(['settled'])
    } finally {
      await adapter.disconnect(AbortSignal.timeout(3_000))
    }
  }, 60_000)
})

describe('what a cluster remembers of calls', () => {
  it('is no more than there were at once', async () => {
    const adapter = redisAdapter({
      cluster: [{ host: '127.0.0.1', port: Number(new URL(cluster.url).port) }],
    })
    await connected(adapter)
    try {
      const queue = await declare(adapter, fresh())
      const send = async (): Promise<void> =>
        expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
      for (let i = 0; i < 50; i++) await Promise.all([send(), send(), send()])
      expect(await adapter.size(queue)).toBe(150)
      const marks = (await cluster.run('KEYS', `{mq:${queue.queue}}:tk:*`)).trim().split('\n')
      expect(marks.length).toBeLessThanOrEqual(3)
    } finally {
      await adapter.disconnect(AbortSignal.timeout(3_000))
    }
  }, 30_000)
})

describe('a dead-letter queue in another slot', () => {
  const member = async (options: RedisOptions = {}): Promise<BrokerAdapter> => {
    const adapter = redisAdapter({
      cluster: [{ host: '127.0.0.1', port: Number(new URL(cluster.url).port) }],
      ...options,
    })
    await connected(adapter)
    return adapter
  }
  const leave = (adapter: BrokerAdapter): Promise<void> => adapter.disconnect(AbortSignal.timeout(3_000))

  it('is the one that the queue has, whatever a later declaration asked for, and nothing of it stays', async () => {
    const [name, dead, other] = [fresh(), fresh('dead'), fresh('other')]
    const first = await member()
    await declare(first, dead)
    await declare(first, other)
    await declare(first, name, { deadLetterQueue: dead })
    await leave(first)
    const [second, third] = [await member(), await member()]
    try {
      const queue = await declare(second, name, { deadLetterQueue: other })
      await second.publish([outbound(queue, { expiresAt: Date.now() + 20 })], live)
      await until(async () => (await second.size(queue)) === 0)
      await until(async () => (await third.size({ queue: dead })) === 1)
      expect(await third.size({ queue: other })).toBe(0)
      await third.remove(queue)
      expect(await cluster.run('KEYS', `{mq:${name}}:parked:*`)).toBe('')
    } finally {
      await Promise.all([leave(second), leave(third)])
    }
  }, 30_000)

  it.each(['sends to', 'consumes'])(
    'gets what expired from whoever %s the queue, when who declared it is gone',
    async (uses) => {
      const [name, dead] = [fresh(), fresh('dead')]
      const first = await member()
      await declare(first, dead)
      const queue = await declare(first, name, { deadLetterQueue: dead })
      await leave(first)
      const second = await member()
      const third = await member()
      try {
        // Where there is nothing of the queue yet, and one that is made later.
        const other = { queue: fresh('later') }
        expect((await second.publish([outbound(other)], live))[0]?.ok).toBe(false)
        const by = uses === 'consumes' ? third : second
        await by.publish([outbound(queue, { expiresAt: Date.now() + 20 })], live)
        if (uses === 'consumes') {
          await leave(third)
          await second.open(source(queue), () => undefined)
        }
        await until(async () => (await second.size(queue)) === 0)
        await until(async () => (await second.size({ queue: dead })) === 1)
      } finally {
        await Promise.all([leave(second), leave(third)])
      }
    },
    30_000,
  )

  it('gets what expired in a subscription from whoever sends to its topic', async () => {
    const topic = fresh('topic')
    const dead = `${topic}.s.dlq`
    const first = await member()
    await declare(first, dead)
    const subscription = { topic, subscription: 's' }
    const settings = { ...plainSettings, deadLetterQueue: dead }
    await first.declare(subscription, { settings, pattern: '#', ifExists: 'take' })
    await leave(first)
    const second = await member()
    try {
      const expired = outbound({ topic }, { expiresAt: Date.now() + 20 })
      expect(await second.publish([expired], live)).toEqual([{ ok: true }])
      await until(async () => (await second.size(subscription)) === 0)
      await until(async () => (await second.size({ queue: dead })) === 1)
    } finally {
      await leave(second)
    }
  }, 30_000)

  it('gets what expired from each of many queues', async () => {
    const dead = fresh('dead')
    const adapter = await member()
    try {
      await declare(adapter, dead)
      for (let i = 0; i < 60; i++) await declare(adapter, fresh(), { deadLetterQueue: dead })
      const queue = await declare(adapter, fresh(), { deadLetterQueue: dead })
      await adapter.publish([outbound(queue, { expiresAt: Date.now() + 20 })], live)
      await until(async () => (await adapter.size(queue)) === 0)
      await until(async () => (await adapter.size({ queue: dead })) === 1)
    } finally {
      await leave(adapter)
    }
  }, 30_000)

  it('keeps the order of its keys and its priorities', async () => {
    const [name, dead] = [fresh(), fresh('dead')]
    const adapter = await member()
    try {
      await declare(adapter, dead, { ordered: true, maxPriority: 9 })
      const queue = await declare(adapter, name, { deadLetterQueue: dead })
      const [a, b, urgent] = [
        outbound(queue, { key: 'k' }),
        outbound(queue, { key: 'k' }),
        // As a queue with priorities would keep it, or a foreign client.
        outbound(queue, { priority: 5 }),
      ]
      await adapter.publish([a, b, urgent], live)
      const receiver = await adapter.open(source(queue), () => undefined)
      for (let left = 3; left > 0;) {
        const held = await receiver.receive(1, live)
        const to = { queue: dead }
        expect(
          await receiver.deadLetter(
            held,
            held.map(() => failure()),
            to,
          ),
        ).toEqual(held.map(() => 'settled'))
        left -= held.length
      }
      const buried = await adapter.open(source({ queue: dead }, { ordered: true }), () => undefined)
      const first = await buried.receive(10, live)
      expect(first.map(({ id }) => id)).toEqual([urgent.id, a.id])
      await buried.ack(first)
      expect((await buried.receive(10, live)).map(({ id }) => id)).toEqual([b.id])
    } finally {
      await leave(adapter)
    }
  }, 30_000)

  it('that is full is warned of, and gets what waits once it has room', async () => {
    const [name, full] = [fresh(), fresh('full')]
    const warnings: unknown[] = []
    const quiet = (): void => undefined
    const warn = (fields: object): void => void warnings.push(fields)
    const adapter = await member({ logger: { debug: quiet, info: quiet, warn, error: quiet } })
    try {
      const dead = await declare(adapter, full, { maxLength: 1 })
      const queue = await declare(adapter, name, { deadLetterQueue: full })
      await adapter.publish([outbound(dead)], live)
      const expired = outbound(queue, { expiresAt: Date.now() + 20 })
      await adapter.publish([expired], live)
      await until(async () => (await adapter.size(queue)) === 0)
      const told = { base: `{mq:${name}}:`, error: { code: 'MQ_QUEUE_FULL' } }
      await until(() => warnings.some((fields) => (fields as { base?: string }).base !== undefined))
      expect(warnings.filter((fields) => 'base' in (fields as object))).toMatchObject([told])
      await adapter.purge(dead)
      const receiver = await adapter.open(source(dead), () => undefined)
      expect((await receiver.receive(1, live, 5_000)).map(({ id }) => id)).toEqual([expired.id])
    } finally {
      await leave(adapter)
    }
  }, 30_000)
})
