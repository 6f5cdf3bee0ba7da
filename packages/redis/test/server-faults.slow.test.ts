import { once } from 'node:events'
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import { MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'
import { createClient } from 'redis'
import { redisAdapter, type RedisOptions } from '../src/index.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []
const queues: MessageQueue[] = []

beforeEach(async () => {
  broker = await startBroker('redis', { fresh: true, appendfsync: 'always' })
}, 60_000)
afterEach(async () => {
  jest.restoreAllMocks()
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect()))
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
  await broker.stop()
}, 30_000)

function adapterFor(options: RedisOptions = {}): BrokerAdapter {
  const adapter = redisAdapter({ url: broker.url, ...options })
  open.push(adapter)
  return adapter
}

async function queueFor(
  options: RedisOptions = {},
  config: MessageQueueConfigInput = {},
): Promise<MessageQueue> {
  const queue = new MessageQueue(redisAdapter({ url: broker.url, ...options }), config)
  queues.push(queue)
  await queue.connect()
  return queue
}

const redis = (...args: string[]): Promise<string> => broker.run(...args)

describe('a paused server (CLIENT PAUSE)', () => {
  it('delays what is sent and handled, and breaks nothing', async () => {
    const queue = await queueFor()
    const name = fresh()
    const got: unknown[] = []
    await queue.consume(name, (m) => void got.push(m.body))
    await queue.send(name, 0)
    await until(() => got.length === 1)
    const lost: unknown[] = []
    queue.on('disconnected', (event) => lost.push(event))
    const started = performance.now()
    await redis('CLIENT', 'PAUSE', '700', 'ALL')
    await Promise.all([1, 2, 3].map((n) => queue.send(name, n)))
    expect(performance.now() - started).toBeGreaterThan(600)
    await until(() => got.length === 4)
    expect(got).toEqual([0, 1, 2, 3])
    expect(lost).toEqual([])
  }, 20_000)

  it('for longer than a command may take counts as gone, and nothing is lost or doubled', async () => {
    const queue = await queueFor({ commandTimeoutMs: 300 })
    const name = fresh()
    const got: unknown[] = []
    await queue.consume(name, (m) => void got.push(m.body))
    await queue.send(name, 0)
    const lost = once(queue, 'disconnected')
    await redis('CLIENT', 'PAUSE', '1500', 'ALL')
    const sending = Promise.all([1, 2, 3].map((n) => queue.send(name, n)))
    await lost
    await sending
    await until(() => got.length >= 4)
    expect(await queue.getQueueSize(name)).toBe(0)
    expect([...got].sort()).toEqual([0, 1, 2, 3])
  }, 30_000)
})

describe('a server without room for one more client (maxclients)', () => {
  it('refuses a connection with a code that says to come again', async () => {
    const first = await queueFor()
    await first.send(fresh(), 1)
    await redis('CONFIG', 'SET', 'maxclients', '1')
    const adapter = adapterFor()
    const refused = await connected(adapter).catch((error: unknown) => error)
    expect(adapter.classify(refused)).toEqual({ code: 'MQ_UNAVAILABLE', retryable: true })
  }, 20_000)

  it('is consumed from all the same, over the connection that there is', async () => {
    const queue = await queueFor()
    const name = fresh()
    await queue.createQueue({ name })
    await redis('CONFIG', 'SET', 'maxclients', '1')
    const errors: unknown[] = []
    queue.on('error', (event) => errors.push(event))
    const got: unknown[] = []
    await queue.consume(name, (m) => void got.push(m.body))
    await queue.send(name, 1)
    await until(() => got.length === 1)
    expect(errors).toEqual([])
  }, 20_000)
})

/** Never ends, once so many reads wait at the server. */
const spin = (waiting: number): string => `
if not string.find(redis.call('INFO', 'clients'), 'blocked_clients:${waiting}') then return 0 end
while true do end
`

describe('a server that is busy with a script of somebody else', () => {
  it.each([
    ['while a read waits', 1],
    ['between two reads', 0],
  ])(
    '%s is waited for: what runs goes on, and sends and acknowledgements succeed afterwards',
    async (_when, waiting) => {
      await redis('CONFIG', 'SET', 'busy-reply-threshold', '50')
      const busy = redisAdapter({ url: broker.url, commandTimeoutMs: 1_500 })
      const open = busy.open.bind(busy)
      let refusedAcks = 0
      busy.open = async (...args) => {
        const receiver = await open(...args)
        const ack = receiver.ack.bind(receiver)
        receiver.ack = async (deliveries) => {
          const outcomes = await ack(deliveries)
          if (outcomes.some((outcome) => typeof outcome === 'object')) refusedAcks++
          return outcomes
        }
        return receiver
      }
      const queue = new MessageQueue(busy)
      queues.push(queue)
      await queue.connect()
      const name = fresh()
      let release = (): void => undefined
      const handling = new Promise<void>((resolve) => (release = resolve))
      const got: unknown[] = []
      const signals: AbortSignal[] = []
      const lost: unknown[] = []
      for (const event of ['leaseLost', 'disconnected'] as const)
        queue.on(event, (told: unknown) => lost.push(told))
      await queue.consume(name, async ({ body }, { signal }) => {
        got.push(body)
        signals.push(signal)
        await handling
      })
      await queue.send(name, 0)
      await until(() => got.length === 1)
      const client = () =>
        createClient({ url: broker.url })
          .on('error', () => undefined)
          .connect()
      const [other, admin] = [await client(), await client()]
      const spinning = (async () => {
        while (Number(await other.sendCommand(['EVAL', spin(waiting), '0'])) === 0);
      })().catch((error: unknown) => error)
      await until(() =>
        admin.ping().then(
          () => false,
          (error: unknown) => String(error).includes('BUSY'),
        ),
      )
      const health = await queue.healthCheck()
      expect(health).toMatchObject({ healthy: false, error: expect.stringContaining('BUSY') })
      const adapter = adapterFor()
      const refused = await connected(adapter).catch((error: unknown) => error)
      expect(adapter.classify(refused)).toEqual({ code: 'MQ_UNAVAILABLE', retryable: true })
      const sending = queue.send(name, 1)
      // For longer than a command may take.
      await setTimeout(3_000)
      release()
      await until(() => refusedAcks > 6, 30_000)
      await admin.sendCommand(['SCRIPT', 'KILL'])
      await spinning
      other.destroy()
      admin.destroy()
      await sending
      await until(() => got.length === 2, 30_000)
      await until(async () => (await redis('XLEN', `{mq:${name}}:s:0`)) === '0')
      expect(got).toEqual([0, 1])
      expect(lost).toEqual([])
      expect(signals.map(({ aborted }) => aborted)).toEqual([false, false])
      expect(await queue.healthCheck()).toMatchObject({
        healthy: true,
        details: { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' },
      })
    },
    90_000,
  )
})

describe('a clock of the client that jumps', () => {
  it.each([-3_600_000, 3_600_000])(
    'by %d ms moves no lease, delay or retry',
    async (jump) => {
      const queue = await queueFor(
        {},
        { consumer: { sessionTimeoutMs: 1_000, heartbeatIntervalMs: 300 }, retryDelaySeconds: 0.2 },
      )
      const name = fresh()
      const runs: [unknown, number][] = []
      const started = performance.now()
      const lost: unknown[] = []
      queue.on('leaseLost', (event) => lost.push(event))
      await queue.consume(name, async (m) => {
        runs.push([m.body, performance.now() - started])
        if (m.body === 'slow') await until(() => performance.now() - started > 2_500)
        if (m.body === 'fails' && m.deliveryCount === 0) throw new Error('once')
      })
      const now = Date.now.bind(Date)
      await queue.send(name, 'slow')
      await until(() => runs.length === 1)
      jest.spyOn(Date, 'now').mockImplementation(() => now() + jump)
      const later = performance.now() - started
      await queue.send(name, 'late', { delay: 3_500 })
      await queue.send(name, 'fails')
      await until(() => runs.length === 4)
      await until(async () => (await redis('XLEN', `{mq:${name}}:s:0`)) === '0')
      const at = (body: string): number[] => runs.filter(([b]) => b === body).map(([, ms]) => ms)
      expect(at('slow')).toHaveLength(1)
      expect(at('fails')).toHaveLength(2)
      expect((at('fails')[1] ?? 0) - (at('fails')[0] ?? 0)).toBeLessThan(5_000)
      expect(at('late')[0]).toBeGreaterThanOrEqual(later + 3_500)
      expect(lost).toEqual([])
    },
    30_000,
  )
})

describe('an append-only file cut off in its middle', () => {
  it('leaves whole calls only, and a queue that works', async () => {
    const adapter = adapterFor()
    const events = await connected(adapter)
    const name = fresh()
    const queue = await declare(adapter, name, { ordered: true, deadLetterQueue: `${name}.dlq` })
    for (let i = 0; i < 40; i++) {
      const batch = Array.from({ length: 25 }, (_, n) => outbound(queue, { key: `k${n % 5}` }))
      expect((await adapter.publish(batch, live)).every((o) => o.ok)).toBe(true)
    }
    const folder = (await redis('CONFIG', 'GET', 'dir')).trim().split('\n')[1] as string
    await broker.kill()
    await events.gone
    const files = join(folder, 'appendonlydir')
    const log = readdirSync(files).find((file) => file.endsWith('.incr.aof')) as string
    const { size } = statSync(join(files, log))
    truncateSync(join(files, log), Math.floor(size * 0.7))
    await broker.start()
    await connected(adapter)
    const left = await adapter.size(queue)
    expect(left % 25).toBe(0)
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThan(1_000)
    const receiver = await adapter.open(source({ queue: name }, { ordered: true }), () => undefined)
    const got = new Set<string>()
    await until(async () => {
      const deliveries = await receiver.receive(100, live, 0)
      await receiver.ack(deliveries)
      for (const d of deliveries) got.add(d.id)
      return deliveries.length === 0
    })
    expect(got.size).toBe(left)
    expect(await adapter.size(queue)).toBe(0)
  }, 60_000)
})
