import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'

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
  const member = async (): Promise<BrokerAdapter> => {
    const adapter = redisAdapter({
      cluster: [{ host: '127.0.0.1', port: Number(new URL(cluster.url).port) }],
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
})
