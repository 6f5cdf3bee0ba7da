import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { fresh, until } from '@mq/conformance/fixtures'
import { MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

let broker: RunningBroker
const queues: MessageQueue[] = []

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true })
}, 120_000)
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
}, 30_000)
afterAll(() => broker.stop(), 60_000)

async function queueFor(
  options: RabbitmqOptions = {},
  config: MessageQueueConfigInput = {},
): Promise<MessageQueue> {
  const queue = new MessageQueue(rabbitmqAdapter({ url: broker.url, ...options }), config)
  queues.push(queue)
  queue.on('error', () => undefined)
  await queue.connect()
  return queue
}

/** Consumes a queue of its own; answers what was handled, and how often. */
async function handling(queue: MessageQueue): Promise<{ name: string; got: unknown[] }> {
  const name = fresh()
  const got: unknown[] = []
  await queue.consume(name, ({ body }) => void got.push(body), { concurrency: 5 })
  return { name, got }
}

const ctl = (...args: string[]): Promise<string> => broker.run(...args)
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: unknown }).code,
  )
const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

async function connectionOf(role: string): Promise<string> {
  const lines = (await ctl('list_connections', 'pid', 'client_properties')).split('\n')
  const line = lines.find((each) => each.includes(`:${role} `))
  return line?.split('\t')[0] ?? ''
}

describe('an administrator', () => {
  it.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
    [
      'who suspends the listeners and closes what is open',
      async () => {
        await ctl('suspend_listeners')
        await ctl('close_all_connections', 'maintenance')
      },
      () => ctl('resume_listeners'),
    ],
    ['who stops the application and starts it again', () => ctl('stop_app'), () => ctl('start_app')],
    [
      'who closes the connection to consume alone',
      async () => ctl('close_connection', await connectionOf('consume'), 'maintenance'),
      () => Promise.resolve(),
    ],
  ])(
    '%s loses nothing, and consumers come back by themselves',
    async (_, hurt, heal) => {
      const queue = await queueFor()
      const { name, got } = await handling(queue)
      await queue.send(name, 'before')
      const lost = new Promise((resolve) => queue.once('disconnected', resolve))
      await hurt()
      const sends = numbers(50).map((n) => queue.send(name, n))
      await lost
      await heal()
      await Promise.all(sends)
      await until(() => new Set(got).size === 51, 30_000)
    },
    90_000,
  )

  it('who deletes the user ends the connection; made again, the user is back by itself', async () => {
    const make = async (): Promise<void> => {
      await ctl('add_user', 'passing', 'pw')
      await ctl('set_permissions', 'passing', '.*', '.*', '.*')
    }
    await make()
    const queue = await queueFor({ username: 'passing', password: 'pw' })
    const { name, got } = await handling(queue)
    await queue.send(name, 1)
    const refused = new Promise<void>((resolve) => {
      queue.on('error', (error) => {
        if ((error as { code?: unknown }).code === 'MQ_AUTHENTICATION') resolve()
      })
    })
    await ctl('delete_user', 'passing')
    await refused
    expect(await codeOf(queue.send(name, 2))).toBe('MQ_AUTHENTICATION')
    expect(await queue.healthCheck()).toMatchObject({ healthy: false })
    await make()
    await until(() => queue.getStats().isConnected, 30_000)
    await queue.send(name, 3)
    await until(() => got.includes(3))
    expect(got).toEqual([1, 3])
  }, 90_000)
})

describe('a user without rights', () => {
  it('to write to one topic is refused there, and what is under way to others is none the worse', async () => {
    const [closed, open] = [fresh('topic'), fresh('topic')]
    const owner = await queueFor()
    for (const topic of [closed, open]) await owner.createSubscription(topic, 's')
    await ctl('add_user', 'narrow', 'pw')
    await ctl('set_permissions', 'narrow', '.*', `^(?!${closed}).*`, '.*')
    const queue = await queueFor({ username: 'narrow', password: 'pw' })
    const others = numbers(20).map((n) => queue.publish(open, n))
    const refused = codeOf(queue.publish(closed, 'no'))
    others.push(...numbers(20).map((n) => queue.publish(open, 20 + n)))
    await Promise.all(others)
    expect(await refused).toBe('MQ_PUBLISH')
    const got = new Set<unknown>()
    await owner.subscribe(open, 's', ({ body }) => void got.add(body))
    await until(() => got.size === 40)
  }, 60_000)

  it('to read one queue consumes the others', async () => {
    const secret = fresh()
    await (await queueFor()).createQueue({ name: secret })
    await ctl('add_user', 'blind', 'pw')
    await ctl('set_permissions', 'blind', '.*', '.*', `^(?!${secret}).*`)
    const queue = await queueFor({ username: 'blind', password: 'pw' })
    const { name, got } = await handling(queue)
    expect(await codeOf(queue.consume(secret, () => undefined))).toBe('MQ_AUTHENTICATION')
    expect(await codeOf(queue.receive(secret))).toBe('MQ_AUTHENTICATION')
    await queue.send(name, 1)
    await until(() => got.length === 1)
    expect(await queue.healthCheck()).toMatchObject({ healthy: true })
  }, 60_000)

  it('to make anything uses the queues, topics and subscriptions that others made', async () => {
    const [name, topic] = [fresh(), fresh('topic')]
    const owner = await queueFor()
    await owner.createQueue({ name })
    await owner.createSubscription(topic, 's', { pattern: 'a.*' })
    await ctl('add_user', 'guarded', 'pw')
    await ctl('set_permissions', 'guarded', '^$', '.*', '.*')
    const queue = await queueFor({ username: 'guarded', password: 'pw' })
    const got: unknown[] = []
    await queue.consume(name, ({ body }) => void got.push(body))
    await queue.subscribe(topic, 's', ({ body }) => void got.push(body))
    await queue.send(name, 'sent')
    await queue.publish(topic, 'unwanted', { routingKey: 'b' })
    await queue.publish(topic, 'published', { routingKey: 'a.b' })
    await until(() => got.length === 2)
    expect(got.sort()).toEqual(['published', 'sent'])
    const refused = [queue.publish(fresh('topic'), 1), queue.createSubscription(topic, 's', { pattern: 'b' })]
    expect(await Promise.all(refused.map(codeOf))).toEqual(refused.map(() => 'MQ_AUTHENTICATION'))
  }, 60_000)

  it('to a queue that is exclusive to another is told so', async () => {
    const [owner, other] = [await queueFor(), await queueFor()]
    const name = fresh()
    await owner.createQueue({ name, exclusive: true })
    const calls = [other.consume(name, () => undefined), other.send(name, 1), other.receive(name)]
    expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'MQ_QUEUE_CONFLICT'))
    await owner.send(name, 2)
    expect((await owner.receive(name, { timeoutMs: 10_000 }))?.body).toBe(2)
  }, 60_000)
})

describe('a virtual host at its limit', () => {
  const clearLimits = () => ctl('clear_vhost_limits').catch(() => undefined)

  it('of queues refuses one more at once, and the others go on', async () => {
    const queue = await queueFor()
    const { name, got } = await handling(queue)
    await ctl('set_vhost_limits', '{"max-queues": 1}')
    try {
      expect(await codeOf(queue.createQueue({ name: fresh() }))).toBe('MQ_UNAVAILABLE')
      expect(await codeOf(queue.send(fresh(), 1))).toBe('MQ_UNAVAILABLE')
      await queue.send(name, 1)
      await until(() => got.length === 1)
    } finally {
      await clearLimits()
    }
  }, 60_000)

  it('of connections is waited for by those that were connected', async () => {
    const queue = await queueFor()
    const { name, got } = await handling(queue)
    await ctl('set_vhost_limits', '{"max-connections": 0}')
    try {
      const refused = new Promise<void>((resolve) => {
        queue.on('reconnecting', ({ attempt }: { attempt: number }) => attempt > 1 && resolve())
      })
      await ctl('close_all_connections', 'maintenance')
      const sending = queue.send(name, 1)
      await refused
      expect(await codeOf(queueFor())).toBe('MQ_AUTHENTICATION')
      await clearLimits()
      await sending
      await until(() => got.length === 1)
    } finally {
      await clearLimits()
    }
  }, 60_000)
})

describe('a lower max_message_size', () => {
  const limit = (bytes: number) => ctl('eval', `application:set_env(rabbit, max_message_size, ${bytes}).`)
  const big = 'x'.repeat(200_000)
  afterEach(() => limit(134_217_728))

  it('refuses the message that is larger, and no other that is under way', async () => {
    await limit(100_000)
    const queue = await queueFor()
    const name = fresh()
    const sends = [...numbers(50), big, ...numbers(50)].map((body) => codeOf(queue.send(name, body)))
    const codes = await Promise.all(sends)
    expect(codes.map((code, i) => [i, code]).filter(([, code]) => code !== 'resolved')).toEqual([
      [50, 'MQ_MESSAGE_TOO_LARGE'],
    ])
  }, 60_000)

  it('and a larger one from before that fails: dead-lettered by the server in the end', async () => {
    const first = await queueFor()
    const name = fresh()
    await first.createQueue({ name, maxRedeliveries: 2 })
    await first.send(name, big)
    await limit(100_000)
    const queue = await queueFor({}, { retryDelaySeconds: 0.05 })
    let runs = 0
    await queue.createQueue({ name, maxRedeliveries: 2 })
    await queue.consume(name, () => {
      runs++
      throw new Error('no')
    })
    await until(async () => (await queue.deadLetters(name).count()) === 1)
    expect(runs).toBe(3)
  }, 60_000)
})

describe('a lower channel_max', () => {
  it('is enough for very many queues that are made, sent to and deleted at once', async () => {
    await ctl('eval', 'application:set_env(rabbit, channel_max, 40).')
    try {
      const queue = await queueFor()
      const names = numbers(100).map(() => fresh())
      await Promise.all(names.map((name) => queue.createQueue({ name, durable: false })))
      await Promise.all(names.map((name) => queue.send(name, 1)))
      expect(await Promise.all(names.map((name) => queue.getQueueSize(name)))).toEqual(names.map(() => 1))
      expect(await queue.healthCheck()).toMatchObject({ healthy: true })
      await Promise.all(names.map((name) => queue.deleteQueue(name)))
    } finally {
      await ctl('eval', 'application:set_env(rabbit, channel_max, 2047).')
    }
  }, 90_000)
})

describe('a policy on our queues', () => {
  const set = (name: string, definition: object, operator = false) =>
    ctl(
      operator ? 'set_operator_policy' : 'set_policy',
      'p',
      `^${name}$`,
      JSON.stringify(definition),
      '--apply-to',
      'queues',
    )

  it('that limits their length makes sends wait, and loses nothing', async () => {
    const queue = await queueFor()
    const name = fresh()
    await queue.createQueue({ name })
    await set(name, { 'max-length': 1 })
    const accepted: number[] = []
    let refused = false
    // Quorum queues notice a little late that they are full.
    for (let n = 0; !refused; n++) {
      const sending = queue.send(name, n).then(() => accepted.push(n))
      const waits = new Promise<boolean>((resolve) => setTimeout(resolve, 1_000, true))
      refused = await Promise.race([sending.then(() => false), waits])
      if (refused) {
        const got = new Set<unknown>()
        await queue.consume(name, ({ body }) => void got.add(body))
        await sending
        await until(() => accepted.every((each) => got.has(each)))
      }
    }
  }, 60_000)

  it('of an operator that expires messages: they are dead letters', async () => {
    const queue = await queueFor()
    const name = fresh()
    await queue.createQueue({ name })
    await set(name, { 'message-ttl': 200, 'delivery-limit': 2 }, true)
    await queue.send(name, 'x')
    await until(async () => (await queue.deadLetters(name).count()) === 1)
    const [dead] = (await queue.deadLetters(name).list()).messages
    expect(dead).toMatchObject({ body: 'x', deadLetter: { reason: 'expired', queue: name } })
  }, 60_000)
})

describe('a requester that is gone before its answer', () => {
  it('leaves a request that is handled once, and nothing else', async () => {
    const [queue, requester] = [await queueFor(), await queueFor()]
    const name = fresh()
    let runs = 0
    let answer = (): void => undefined
    const gate = new Promise<void>((resolve) => (answer = resolve))
    await queue.consume(name, () => {
      runs++
      return gate
    })
    const asked = codeOf(requester.request(name, 1, { timeoutMs: 30_000 }))
    await until(() => runs === 1)
    await requester.disconnect({ timeoutMs: 100 })
    expect(await asked).toBe('MQ_NOT_CONNECTED')
    answer()
    await until(() => queue.getStats().inFlight === 0)
    expect([runs, await queue.getQueueSize(name), await queue.deadLetters(name).count()]).toEqual([1, 0, 0])
  }, 60_000)
})
