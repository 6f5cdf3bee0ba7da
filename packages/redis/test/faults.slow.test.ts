import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { faultProxy, type FaultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, failure, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, PublishOutcome } from '@mq/core/adapter'
import { redisAdapter, redisDeduplicationStore, type RedisOptions } from '../src/index.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []
const proxies: FaultProxy[] = []

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
}, 60_000)
afterEach(async () => {
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()))
}, 20_000)
afterAll(() => broker.stop(), 30_000)

function adapterFor(options: RedisOptions = { url: broker.url }): BrokerAdapter {
  const adapter = redisAdapter({ commandTimeoutMs: 500, ...options })
  open.push(adapter)
  return adapter
}

async function throughProxy(): Promise<{ adapter: BrokerAdapter; proxy: FaultProxy }> {
  const { hostname, port } = new URL(broker.url)
  const proxy = await faultProxy({ host: hostname, port: Number(port) })
  proxies.push(proxy)
  return { proxy, adapter: adapterFor({ host: proxy.host, port: proxy.port }) }
}

const redis = (...args: string[]): Promise<string> => broker.run(...args)

describe('a connection', () => {
  it('that nobody answers is found dead although writes go on', async () => {
    const { adapter, proxy } = await throughProxy()
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh())
    proxy.blackHole()
    const outcomes: Promise<readonly PublishOutcome[]>[] = []
    const writing = setInterval(
      () =>
        outcomes.push(
          adapter
            .publish([outbound(queue)], live)
            .catch((error: unknown) => [{ ok: false, error, certainty: 'not-stored' }]),
        ),
      20,
    )
    try {
      const cause = await events.gone
      expect(adapter.classify(cause)).toEqual({ code: 'MQ_CONNECTION', retryable: true })
    } finally {
      clearInterval(writing)
    }
    for (const [outcome] of await Promise.all(outcomes)) expect(outcome).toMatchObject({ ok: false })
    expect(events.lost).toHaveLength(1)
  }, 20_000)

  it('that is cut ends every call, is reported once, and can be made again', async () => {
    const { adapter, proxy } = await throughProxy()
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    const waiting = receiver.receive(1, live, 60_000)
    const batch = Array.from({ length: 100 }, () => outbound(queue))
    const publishing = batch.map((m) => adapter.publish([m], live))
    proxy.cut()
    await expect(waiting).rejects.toThrow()
    await events.gone
    await Promise.all(publishing)
    expect(events.lost).toHaveLength(1)
    await connected(adapter)
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
  }, 20_000)

  it('cut amid publishes loses none that was confirmed and, with its tokens sent again, stores none twice', async () => {
    const { adapter, proxy } = await throughProxy()
    await connected(adapter)
    const queue = await declare(adapter, fresh())
    const batches = Array.from({ length: 100 }, () => Array.from({ length: 10 }, () => outbound(queue)))
    proxy.cutAfter(60_000)
    const first = await Promise.all(batches.map((batch) => adapter.publish(batch, live)))
    const failed = batches.filter((_, i) => first[i]?.[0]?.ok === false)
    expect(failed.length).toBeGreaterThan(0)
    await connected(adapter)
    const again = await Promise.all(failed.map((batch) => adapter.publish(batch, live)))
    expect(again.flat().every((o) => o.ok)).toBe(true)
    expect(await adapter.size(queue)).toBe(1000)
  }, 20_000)

  it('settles its disconnect while the server is frozen', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    const waiting = receiver.receive(1, live, 60_000).catch(() => [])
    broker.freeze()
    try {
      await adapter.disconnect(AbortSignal.timeout(300))
      expect(await waiting).toEqual([])
    } finally {
      broker.thaw()
    }
  }, 20_000)

  it('is given up when the server is frozen while it is being made', async () => {
    broker.freeze()
    try {
      await expect(
        adapterFor({ url: broker.url, connectTimeoutMs: 300 }).connect(
          { lost: () => undefined, blocked: () => undefined },
          live,
        ),
      ).rejects.toThrow()
    } finally {
      broker.thaw()
    }
  }, 20_000)
})

describe('credentials', () => {
  it('that are wrong reject at once with a code', async () => {
    const secured = await startBroker('redis', { fresh: true, acl: true })
    try {
      const { hostname: host, port } = new URL(secured.url)
      for (const who of [{ username: 'app', password: 'wrong' }, { username: 'nobody', password: 'x' }, {}]) {
        const adapter = adapterFor({ host, port: Number(port), ...who })
        const refused = await adapter
          .connect({ lost: () => undefined, blocked: () => undefined }, AbortSignal.timeout(2_000))
          .catch((error: unknown) => error)
        expect(adapter.classify(refused)).toEqual({ code: 'MQ_AUTHENTICATION', retryable: false })
        expect(String(refused)).not.toContain('wrong')
      }
      const right = adapterFor({ url: secured.url })
      await connected(right)
      const queue = await declare(right, fresh())
      expect(await right.publish([outbound(queue)], live)).toEqual([{ ok: true }])
      const receiver = await right.open(source(queue), () => undefined)
      expect(await receiver.ack(await receiver.receive(1, live))).toEqual(['settled'])
    } finally {
      await secured.stop()
    }
  }, 60_000)

  it('of a user who may touch only our keys, and not INFO or CONFIG, are enough', async () => {
    await redis(
      'ACL',
      'SETUSER',
      'narrow',
      'on',
      '>pw',
      '~{mq*',
      '-@all',
      '+@read',
      '+@write',
      '+@scripting',
      '+@connection',
      '+time',
      '+client|unblock',
      '-@dangerous',
    )
    const adapter = adapterFor({ url: broker.url, username: 'narrow', password: 'pw' })
    await connected(adapter)
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    const waiting = receiver.receive(1, live, 5_000)
    await adapter.publish([outbound(queue)], live)
    expect(await receiver.ack(await waiting)).toEqual(['settled'])
  }, 20_000)
})

describe('TLS', () => {
  it('is used and checked', async () => {
    const { readFileSync } = await import('node:fs')
    const secure = await startBroker('redis', { fresh: true, tls: true })
    try {
      const url = secure.details['tlsUrl'] as string
      const ca = readFileSync(secure.details['caPath'] as string, 'utf8')
      const adapter = adapterFor({ url, tls: { ca, verify: true } })
      await connected(adapter)
      const queue = await declare(adapter, fresh())
      expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
      const untrusting = adapterFor({ url })
      await expect(connected(untrusting)).rejects.toThrow()
    } finally {
      await secure.stop()
    }
  }, 60_000)
})

describe('a server that refuses writes', () => {
  it('out of memory: says so, settles what is held, and tells when it takes messages again', async () => {
    const adapter = adapterFor()
    const events = await connected(adapter)
    const name = fresh()
    const queue = await declare(adapter, name, { deadLetterQueue: `${name}.dlq` })
    await adapter.publish(
      [1, 2, 3, 4, 5].map(() => outbound(queue)),
      live,
    )
    const receiver = await adapter.open(source({ queue: name }), () => undefined)
    const [a, b, c] = await receiver.receive(4, live)
    await redis('CONFIG', 'SET', 'maxmemory', '1')
    try {
      const [outcome] = await adapter.publish([outbound(queue)], live)
      expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
      expect(adapter.classify(outcome?.ok === false ? outcome.error : null)).toEqual({
        code: 'MQ_UNAVAILABLE',
        retryable: true,
      })
      expect(events.blocked).toEqual([expect.stringContaining('memory')])
      await expect(adapter.ping(live)).rejects.toThrow(/OOM/)
      expect(await receiver.ack(a ? [a] : [])).toEqual(['settled'])
      expect(await receiver.retry(b ? [b] : [], 0)).toEqual(['settled'])
      expect(await receiver.deadLetter(c ? [c] : [], [failure()], { queue: `${name}.dlq` })).toEqual([
        'settled',
      ])
      await receiver.close(live)
    } finally {
      await redis('CONFIG', 'SET', 'maxmemory', '0')
    }
    await until(() => events.blocked.length === 2)
    expect(events.blocked[1]).toBeNull()
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    expect(await adapter.size(queue)).toBe(4)
    expect(await adapter.size({ queue: `${name}.dlq` })).toBe(1)
  }, 20_000)

  it('unable to persist (MISCONF): the same', async () => {
    const adapter = adapterFor()
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh())
    const folder = (await redis('CONFIG', 'GET', 'dir')).trim().split('\n')[1] as string
    const obstacle = join(folder, 'dump.rdb')
    rmSync(obstacle, { force: true })
    mkdirSync(join(obstacle, 'full'), { recursive: true })
    try {
      await redis('CONFIG', 'SET', 'save', '3600 1')
      await redis('BGSAVE')
      await until(async () => (await redis('INFO', 'persistence')).includes('rdb_last_bgsave_status:err'))
      const [outcome] = await adapter.publish([outbound(queue)], live)
      expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
      expect(events.blocked[0]).toContain('MISCONF')
    } finally {
      await redis('CONFIG', 'SET', 'save', '')
      rmSync(obstacle, { recursive: true })
    }
    await until(() => events.blocked.length === 2)
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
  }, 20_000)

  it('without the replicas that it has to have (NOREPLICAS): the same, and lets others connect', async () => {
    const first = adapterFor()
    await connected(first)
    const queue = await declare(first, fresh())
    await redis('CONFIG', 'SET', 'min-replicas-to-write', '1')
    const adapter = adapterFor()
    try {
      const events = await connected(adapter)
      const [outcome] = await adapter.publish([outbound(queue)], live)
      expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
      expect(events.blocked).toEqual([expect.stringContaining('replicas')])
      await redis('CONFIG', 'SET', 'min-replicas-to-write', '0')
      await until(() => events.blocked.length === 2)
      expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    } finally {
      await redis('CONFIG', 'SET', 'min-replicas-to-write', '0')
    }
  }, 20_000)
})

describe('keys that vanish underneath', () => {
  it('end a waiting receive with MQ_QUEUE_NOT_FOUND, and a declaration brings the queue back', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    const waiting = receiver.receive(1, live, 60_000).catch((error: unknown) => error)
    await redis('FLUSHALL')
    expect(adapter.classify(await waiting).code).toBe('MQ_QUEUE_NOT_FOUND')
    expect(await adapter.publish([outbound(queue)], live)).toMatchObject([
      { ok: false, error: { code: 'MQ_QUEUE_NOT_FOUND' }, certainty: 'not-stored' },
    ])
    await declare(adapter, queue.queue)
    const again = await adapter.open(source(queue), () => undefined)
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    expect(await again.receive(1, live)).toHaveLength(1)
  }, 20_000)

  it('make a settlement answer lost', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const queue = await declare(adapter, fresh())
    await adapter.publish([outbound(queue), outbound(queue)], live)
    const receiver = await adapter.open(source(queue), () => undefined)
    const [a, b] = await receiver.receive(2, live)
    await redis('DEL', `{mq:${queue.queue}}:s:0`, `{mq:${queue.queue}}:meta`)
    expect(await receiver.ack(a ? [a] : [])).toEqual(['lost'])
    expect(await receiver.retry(b ? [b] : [], 0)).toEqual(['lost'])
  }, 20_000)
})

describe('a key of the wrong type', () => {
  it('is named, not overwritten', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const name = fresh()
    await redis('SET', `{mq:${name}}:s:0`, 'mine')
    const error = await adapter.open(source({ queue: name }), () => undefined).catch((e: unknown) => e)
    expect(adapter.classify(error).code).toBe('MQ_QUEUE_CONFLICT')
    expect((await redis('GET', `{mq:${name}}:s:0`)).trim()).toBe('mine')
  }, 20_000)
})

describe('settings of the server that lose messages', () => {
  it('are warned about, and shown by the capabilities', async () => {
    const careless = await startBroker('redis', {
      fresh: true,
      persistence: false,
      extra: { 'maxmemory-policy': 'allkeys-lru' },
    })
    try {
      const warnings: string[] = []
      const quiet = () => undefined
      const logger = {
        debug: quiet,
        info: quiet,
        error: quiet,
        warn: (_: object, text: string) => void warnings.push(text),
      }
      const adapter = adapterFor({ url: careless.url, logger })
      await connected(adapter)
      expect(warnings.join('\n')).toMatch(/evict[\s\S]*persists nothing/)
      expect(adapter.capabilities.durable).toBe(false)
      const { version, ...details } = adapter.details ?? {}
      expect(version).toMatch(/^\d+\./)
      expect(details).toEqual({ appendonly: 'no', 'maxmemory-policy': 'allkeys-lru', replicas: '0' })
    } finally {
      await careless.stop()
    }
  }, 60_000)
})

describe('the deduplication store', () => {
  it('remembers for its time, shares with others, and connects again after a loss', async () => {
    const { hostname, port } = new URL(broker.url)
    const proxy = await faultProxy({ host: hostname, port: Number(port) })
    proxies.push(proxy)
    const one = redisDeduplicationStore({ host: proxy.host, port: proxy.port })
    const other = redisDeduplicationStore({ url: broker.url })
    try {
      const key = fresh('orders/{x}')
      expect(await one.has(key)).toBe(false)
      await one.add(key, 600_000)
      expect(await other.has(key)).toBe(true)
      proxy.cut()
      await until(() =>
        one.has(key).then(
          (seen) => seen,
          () => false,
        ),
      )
      const brief = fresh('orders/{x}')
      await one.add(brief, 300)
      await until(async () => !(await other.has(brief)))
      expect(await other.has(key)).toBe(true)
    } finally {
      await Promise.all([one.close(), other.close()])
    }
  }, 20_000)
})
