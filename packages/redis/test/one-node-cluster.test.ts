import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
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

describe('a socket that a receiver waits on', () => {
  it('is closed with the connection, although the server says nothing', async () => {
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length
    const before = sockets()
    const adapter = redisAdapter({
      cluster: [{ host: '127.0.0.1', port: Number(new URL(cluster.url).port) }],
      acks: 'master',
    })
    const events = await connected(adapter)
    const receiver = await adapter.open(source(await declare(adapter, fresh())), () => undefined)
    const ended = receiver.receive(1, live, 60_000).catch(() => undefined)
    await until(async () => (await cluster.run('INFO', 'clients')).includes('blocked_clients:1'))
    const clients = (await cluster.run('CLIENT', 'LIST')).split('\n')
    const command = clients.find((line) => line.includes('name=mq') && line.includes('flags=N'))
    // Whoever connects anew is refused, and that ends the connection.
    await cluster.run('CONFIG', 'SET', 'requirepass', 'new')
    const as = ['-a', 'new', '--no-auth-warning']
    try {
      await cluster.run(...as, 'CLIENT', 'KILL', 'ID', /id=(\d+)/.exec(command ?? '')?.[1] ?? '')
      await events.gone
      cluster.freeze()
      await until(() => sockets() <= before, 4_000)
    } finally {
      cluster.thaw()
      await cluster.run(...as, 'CONFIG', 'SET', 'requirepass', '')
    }
    await ended
  }, 30_000)
})
