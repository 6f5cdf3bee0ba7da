import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { fresh, until } from '@mq/conformance/fixtures'
import { MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import { redisAdapter, type RedisOptions } from '../src/index.ts'

let broker: RunningBroker
const queues: MessageQueue[] = []

beforeEach(async () => {
  broker = await startBroker('redis', { fresh: true })
}, 60_000)
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
  await broker.stop()
}, 30_000)

async function queueFor(
  options: RedisOptions = {},
  config: MessageQueueConfigInput = {},
): Promise<MessageQueue> {
  const queue = new MessageQueue(redisAdapter({ url: broker.url, ...options }), config)
  queues.push(queue)
  queue.on('error', () => undefined)
  await queue.connect()
  return queue
}

/** Consumes a queue of its own; answers what was handled. */
async function handling(queue: MessageQueue): Promise<{ name: string; got: unknown[] }> {
  const name = fresh()
  const got: unknown[] = []
  await queue.consume(name, ({ body }) => void got.push(body))
  return { name, got }
}

const redis = (...args: string[]): Promise<string> => broker.run(...args)
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: unknown }).code,
  )
const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const shortLease = { consumer: { sessionTimeoutMs: 1_000, heartbeatIntervalMs: 250 } }

describe('an administrator', () => {
  it('who deletes a consumer (XGROUP DELCONSUMER) takes its messages back: they come again', async () => {
    const queue = await queueFor({}, shortLease)
    const name = fresh()
    const stream = `{mq:${name}}:s:0`
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const got: unknown[] = []
    let lost = 0
    queue.on('leaseLost', () => lost++)
    await Promise.all(numbers(5).map((n) => queue.send(name, n)))
    await queue.consume(
      name,
      async ({ body }) => {
        got.push(body)
        await gate
      },
      { concurrency: 1, prefetch: 5 },
    )
    await until(async () => (await redis('XPENDING', stream, 'mq')).startsWith('5'))
    const [, consumer = ''] = (await redis('XINFO', 'CONSUMERS', stream, 'mq')).split('\n')
    await redis('XGROUP', 'DELCONSUMER', stream, 'mq', consumer)
    await until(() => lost > 0)
    go()
    await until(() => new Set(got).size === 5)
    await until(async () => (await redis('XLEN', stream)).trim() === '0')
    // The one whose handler ran meanwhile.
    expect(got).toHaveLength(6)
  }, 30_000)

  it.each([
    ['of a plain queue', {}, 's:0'],
    ['of a lane', { maxPriority: 3 }, 's:2'],
  ])(
    'who destroys the group %s makes what it held come again',
    async (_, config, key) => {
      const queue = await queueFor({}, shortLease)
      const name = fresh()
      await queue.createQueue({ name, ...config })
      const priority = key === 's:2' ? 2 : 0
      const got = new Set<unknown>()
      await queue.consume(name, ({ body }) => void got.add(body))
      await queue.send(name, 0, { priority })
      await until(() => got.size === 1)
      await redis('XGROUP', 'DESTROY', `{mq:${name}}:${key}`, 'mq')
      await Promise.all(numbers(20).map((n) => queue.send(name, n + 1, { priority })))
      await until(() => got.size === 21)
      await until(async () => (await queue.getQueueSize(name)) === 0)
      expect(await queue.healthCheck()).toMatchObject({ healthy: true })
    },
    30_000,
  )

  it('who kills the connection that waits for messages costs a reconnection', async () => {
    const queue = await queueFor()
    const { name, got } = await handling(queue)
    for (let n = 0; n < 3; n++) {
      let waiting: string | undefined
      await until(async () => {
        const clients = (await redis('CLIENT', 'LIST')).split('\n')
        waiting = /id=(\d+)/.exec(clients.find((line) => line.includes('cmd=xreadgroup')) ?? '')?.[1]
        return waiting !== undefined
      })
      const back = new Promise<void>((resolve) => queue.once('connected', resolve))
      await redis('CLIENT', 'KILL', 'ID', waiting ?? '')
      await back
      await queue.send(name, n)
      await until(() => got.includes(n))
    }
    expect(got).toEqual([0, 1, 2])
  }, 30_000)

  it('who makes the server a replica, and a master again, is waited for', async () => {
    const queue = await queueFor()
    const { name, got } = await handling(queue)
    await queue.send(name, 'before')
    await queue.send(name, 'delayed', { delay: 500 })
    const refusals = new Set<string>()
    queue.on('reconnecting', ({ cause }) => refusals.add(String(cause)))
    await redis('REPLICAOF', '127.0.0.1', '1')
    const sends = numbers(20).map((n) => queue.send(name, n))
    const said = (text: string) => until(() => [...refusals].some((each) => each.includes(text)))
    await said('is a replica')
    await redis('CONFIG', 'SET', 'replica-serve-stale-data', 'no')
    await said('MASTERDOWN')
    expect(await queue.healthCheck()).toMatchObject({ healthy: false })
    await redis('REPLICAOF', 'NO', 'ONE')
    await Promise.all(sends)
    await until(() => got.length === 22)
    expect(new Set(got).size).toBe(22)
  }, 30_000)

  it('who makes the server a replica while nothing waits on it is noticed by the next send', async () => {
    const queue = await queueFor()
    const name = fresh()
    await queue.createQueue({ name })
    const back = new Promise((resolve) => queue.once('reconnecting', resolve))
    await redis('REPLICAOF', '127.0.0.1', '1')
    const sent = queue.send(name, 1)
    await back
    await redis('REPLICAOF', 'NO', 'ONE')
    await sent
    expect(await queue.getQueueSize(name)).toBe(1)
  }, 30_000)
})

describe('a user who may not run one of our commands', () => {
  const allow = (...rules: string[]) =>
    redis('ACL', 'SETUSER', 'u', 'reset', 'on', '>pw', '~*', '&*', '+@all', ...rules)

  it.each(['evalsha', 'time', 'xreadgroup', 'xpending'])(
    '%s: is told so',
    async (command) => {
      await allow(`-${command}`)
      const queue = await queueFor({ username: 'u', password: 'pw' })
      const name = fresh()
      const sent = await codeOf(queue.send(name, 1))
      const received = await codeOf(queue.receive(name, { timeoutMs: 1_000 }))
      expect([sent, received]).toContain('MQ_AUTHENTICATION')
      expect(['resolved', 'MQ_AUTHENTICATION']).toContain(sent)
    },
    30_000,
  )

  it.each(['info', 'config', 'xautoclaim', 'client|unblock', 'client|id', 'script|load'])(
    '%s: works all the same',
    async (command) => {
      await (await queueFor()).send(fresh(), 'scripts loaded')
      await allow(`-${command}`)
      const queue = await queueFor({ username: 'u', password: 'pw' })
      const { name, got } = await handling(queue)
      await queue.send(name, 1)
      await until(() => got.length === 1)
    },
    30_000,
  )

  it('and may again after a while, goes on', async () => {
    await allow()
    const queue = await queueFor({ username: 'u', password: 'pw' })
    const { name, got } = await handling(queue)
    await queue.send(name, 1)
    await until(() => got.length === 1)
    await redis('ACL', 'SETUSER', 'u', '-evalsha')
    const refused = queue.send(name, 2).catch((error: unknown) => error)
    expect(await refused).toMatchObject({ certainty: 'not-stored' })
    await until(async () => !(await queue.healthCheck()).healthy)
    await redis('ACL', 'SETUSER', 'u', '+evalsha')
    await queue.send(name, 3)
    await until(() => got.includes(3))
    await until(async () => (await queue.healthCheck()).healthy)
    expect(got).toEqual([1, 3])
  }, 30_000)
})

describe('a server that starts again', () => {
  it('from a snapshot that lacks the last messages: consumers go on with what there is', async () => {
    await redis('CONFIG', 'SET', 'appendonly', 'no')
    await redis('CONFIG', 'SET', 'save', '3600 1')
    const queue = await queueFor({}, shortLease)
    const { name, got } = await handling(queue)
    await queue.send(name, 'kept')
    await until(() => got.length === 1)
    await redis('SAVE')
    const later = await handling(queue)
    await queue.send(later.name, 'before')
    await until(() => later.got.length === 1)
    const lost = new Promise((resolve) => queue.once('disconnected', resolve))
    await broker.kill()
    await lost
    await broker.start()
    await Promise.all([queue.send(name, 'after'), queue.send(later.name, 'after')])
    await until(() => got.includes('after') && later.got.includes('after'))
    expect(await queue.healthCheck()).toMatchObject({ healthy: true })
  }, 30_000)

  it('and is loading its data is waited for', async () => {
    await broker.stop()
    broker = await startBroker('redis', {
      fresh: true,
      extra: { 'key-load-delay': '100', 'loading-process-events-interval-bytes': '1024' },
    })
    const queue = await queueFor()
    const { name, got } = await handling(queue)
    await redis('EVAL', "for i = 1, 8000 do redis.call('SET', 'pad:'..i, 'x') end", '0')
    await redis('BGREWRITEAOF')
    await until(async () => (await redis('INFO', 'persistence')).includes('aof_rewrite_in_progress:0'))
    const refusals = new Set<string>()
    queue.on('reconnecting', ({ cause }) => refusals.add(String(cause)))
    await broker.kill()
    const starting = broker.start()
    const sends = numbers(10).map((n) => queue.send(name, n))
    await Promise.all([starting, ...sends])
    await until(() => new Set(got).size === 10)
    expect([...refusals].join()).toContain('LOADING')
  }, 60_000)
})
