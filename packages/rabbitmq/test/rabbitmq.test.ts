import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connect, type ChannelModel, type Channel, type Message } from 'amqplib'
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
import type { BrokerAdapter, Delivery, Receiver } from '@mq/core/adapter'
import { rabbitmqAdapter } from '../src/index.ts'

let broker: RunningBroker
let adapter: BrokerAdapter
let foreign: ChannelModel
let channel: Channel

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true })
  adapter = rabbitmqAdapter({ url: broker.url })
  await connected(adapter)
  foreign = await connect(broker.url)
  channel = await foreign.createChannel()
}, 120_000)

afterAll(async () => {
  await adapter.disconnect(AbortSignal.timeout(5_000))
  await foreign.close()
  await broker.stop()
}, 60_000)

/** Exactly `n`, however many calls it takes. */
async function take(receiver: Receiver, n: number): Promise<Delivery[]> {
  const got: Delivery[] = []
  while (got.length < n) {
    const more = await receiver.receive(n - got.length, live, 20_000)
    if (more.length === 0) throw new Error(`${got.length} of ${n} came`)
    got.push(...more)
  }
  return got
}

async function peek(queue: string): Promise<Message> {
  for (let i = 0; i < 200; i++) {
    const found = await channel.get(queue, { noAck: true })
    if (found !== false) return found
  }
  throw new Error(`${queue} is empty`)
}

describe('messages of other clients', () => {
  it('arrive with their properties, typed headers as text, the originals in raw', async () => {
    const { queue } = await declare(adapter, fresh())
    channel.sendToQueue(queue, Buffer.from('hi'), {
      contentType: 'text/plain',
      correlationId: 'c',
      messageId: 'm',
      timestamp: 1_700_000_000,
      headers: { n: 5, yes: true, list: [1, 'a'], when: { '!': 'timestamp', value: 7 }, nothing: null },
    })
    const [got] = await take(await adapter.open(source({ queue }), () => undefined), 1)
    expect(got).toMatchObject({ id: 'm', correlationId: 'c', contentType: 'text/plain', deliveryCount: 0 })
    expect(got?.timestamp).toBe(1_700_000_000_000)
    expect(got?.headers).toEqual({ n: '5', yes: 'true', list: '[1,"a"]', when: '7', nothing: '' })
    expect((got?.raw as Message).properties.headers?.['n']).toBe(5)
  })

  it('arrive without any property, and keep one id through a retry', async () => {
    const { queue } = await declare(adapter, fresh())
    channel.sendToQueue(queue, Buffer.alloc(0))
    const receiver = await adapter.open(source({ queue }), () => undefined)
    const [first] = await take(receiver, 1)
    expect(first?.body.length).toBe(0)
    expect(await receiver.retry(first ? [first] : [], 0)).toEqual(['settled'])
    const [again] = await take(receiver, 1)
    expect([again?.id, again?.deliveryCount]).toEqual([first?.id, 1])
  })

  it('with nonsense in the names of this library are no more than messages', async () => {
    const { queue } = await declare(adapter, fresh())
    const headers = {
      'mq-attempt': 'many',
      'mq-expires-at': 'never',
      'mq-dead-reason': 5,
      'x-death': 'no list',
    }
    channel.sendToQueue(queue, Buffer.from('x'), { headers })
    const [got] = await take(await adapter.open(source({ queue }), () => undefined), 1)
    expect([got?.deliveryCount, got?.expiresAt]).toEqual([0, undefined])
  })
})

describe('our messages', () => {
  it('are plain AMQP for others', async () => {
    const { queue } = await declare(adapter, fresh())
    const sent = outbound(
      { queue },
      { headers: { tenant: 'a' }, correlationId: 'c', replyTo: 'r', priority: 0 },
    )
    await adapter.publish([sent], live)
    const { properties, content } = await peek(queue)
    expect(content.toString()).toBe('{"a":1}')
    expect(properties).toMatchObject({
      messageId: sent.id,
      contentType: 'application/json',
      correlationId: 'c',
      replyTo: 'r',
      deliveryMode: 2,
      timestamp: Math.floor(sent.timestamp / 1000),
      headers: { tenant: 'a', timestamp_in_ms: sent.timestamp },
    })
  })

  it('carry what is too long for a property, and headers that the server would act on', async () => {
    const { queue } = await declare(adapter, fresh())
    const long = 'ü'.repeat(200)
    const sent = outbound({ queue }, { id: long, correlationId: long, headers: { CC: queue, BCC: queue } })
    expect(await adapter.publish([sent], live)).toEqual([{ ok: true }])
    const [got] = await take(await adapter.open(source({ queue }), () => undefined), 1)
    expect([got?.id, got?.correlationId, got?.headers]).toEqual([long, long, { CC: queue, BCC: queue }])
    expect(await adapter.size({ queue })).toBe(0)
  })

  it('that are dead letters say why in headers that others can read', async () => {
    const [{ queue }, dead] = [await declare(adapter, fresh()), await declare(adapter, fresh('dead'))]
    await adapter.publish([outbound({ queue })], live)
    const receiver = await adapter.open(source({ queue }), () => undefined)
    expect(await receiver.deadLetter(await take(receiver, 1), [failure()], dead)).toEqual(['settled'])
    const { properties } = await peek(dead.queue)
    expect(properties.headers).toMatchObject({ 'mq-dead-reason': 'rejected', 'mq-dead-queue': 'q' })
  })
})

describe('what the server dead-letters itself', () => {
  it.each([
    ['expired', { deadLetterQueue: 'set' }],
    ['max-length', { deadLetterQueue: 'set', maxLength: 1, overflow: 'drop-oldest' as const }],
  ])('says %s, as ours does', async (reason, over) => {
    const name = fresh()
    const deadLetterQueue = `${name}.dlq`
    await declare(adapter, name, { ...over, deadLetterQueue })
    const expiresAt = reason === 'expired' ? Date.now() + 50 : undefined
    const batch = [1, 2, 3].map(() => outbound({ queue: name }, { expiresAt, deliveryCount: 2 }))
    await adapter.publish(batch, live)
    const receiver = await adapter.open(source({ queue: deadLetterQueue }), () => undefined)
    const [got] = await take(receiver, 1)
    expect(got?.deadLetter).toMatchObject({ reason, queue: name, subscription: null, attempts: 2 })
    expect([got?.deliveryCount, got?.expiresAt]).toEqual([0, undefined])
    expect(Object.keys(got?.headers ?? {})).toEqual([])
    await receiver.close(live)
  })
})

describe('what the server dead-letters itself, and a handler fails on,', () => {
  it('comes back with why it is dead, and has not expired', async () => {
    const [name, dead] = [fresh(), fresh('dead')]
    await declare(adapter, name, { deadLetterQueue: dead })
    await adapter.publish([outbound({ queue: name }, { expiresAt: Date.now() + 50 })], live)
    const receiver = await adapter.open(source({ queue: dead }), () => undefined)
    for (const delayMs of [0, 100]) {
      const [got] = await take(receiver, 1)
      expect(got?.deadLetter).toMatchObject({ reason: 'expired', queue: name })
      expect(await receiver.retry(got ? [got] : [], delayMs)).toEqual(['settled'])
    }
    const [last] = await take(receiver, 1)
    expect(last?.deadLetter).toMatchObject({ reason: 'expired', queue: name, subscription: null })
    expect([last?.deliveryCount, last?.expiresAt]).toEqual([2, undefined])
    expect(Object.keys(last?.headers ?? {})).toEqual([])
    await receiver.close(live)
  })
})

describe('declaring', () => {
  it('an existing queue of another client names each argument and both values, and closes nothing', async () => {
    const queue = fresh()
    await channel.assertQueue(queue, {
      durable: true,
      arguments: { 'x-max-length': 5, 'x-message-ttl': 1000 },
    })
    const error = await adapter
      .declare(
        { queue },
        { settings: { ...plainSettings, maxLength: 7 }, pattern: undefined, ifExists: 'compare' },
      )
      .then(
        () => null,
        (reason: unknown) => reason as { code: string; message: string; differences: object[] },
      )
    expect(error?.code).toBe('MQ_QUEUE_CONFLICT')
    expect(error?.differences).toEqual(
      expect.arrayContaining([
        { field: 'maxLength', existing: 5, requested: 7 },
        { field: 'messageTtl', existing: 1000, requested: null },
        { field: 'x-queue-type', existing: 'classic', requested: 'quorum' },
      ]),
    )
    expect(error?.message).toContain('maxLength is 5, not 7')
    expect(await adapter.publish([outbound({ queue })], live)).toEqual([{ ok: true }])
  })

  it('takes such a queue as it is, and says what it is like', async () => {
    const queue = fresh()
    await channel.assertQueue(queue, { durable: true, maxPriority: 4 })
    const answer = await adapter.declare(
      { queue },
      { settings: plainSettings, pattern: undefined, ifExists: 'take' },
    )
    expect(answer.maxPriority).toBe(4)
  })

  it.each([60, 120, 190])(
    'takes one with a name of %d bytes, of which the server does not say all',
    async (length) => {
      const queue = fresh().padEnd(length, 'x')
      await channel.assertQueue(queue, {
        durable: true,
        arguments: { 'x-single-active-consumer': true, 'x-message-ttl': 60_000 },
      })
      const declaring = (ifExists: 'take' | 'compare') =>
        adapter.declare(
          { queue },
          { settings: { ...plainSettings, maxLength: 7 }, pattern: undefined, ifExists },
        )
      await expect(declaring('compare')).rejects.toMatchObject({ code: 'MQ_QUEUE_CONFLICT' })
      await declaring('take')
      expect(await adapter.publish([outbound({ queue })], live)).toEqual([{ ok: true }])
      const receiver = await adapter.open(source({ queue }), () => undefined)
      expect(await take(receiver, 1)).toHaveLength(1)
      await receiver.close(live)
    },
  )

  it('names what differs there, with the values as far as the server says them', async () => {
    const queue = fresh().padEnd(190, 'x')
    await channel.assertQueue(queue, { durable: false, arguments: { 'x-max-length': 5 } })
    const differences = (settings: object) =>
      adapter
        .declare(
          { queue },
          { settings: { ...plainSettings, ...settings }, pattern: undefined, ifExists: 'compare' },
        )
        .catch((error: unknown) => error as { differences: object[]; message: string })
    expect(await differences({ maxLength: 7, messageTtl: 1 })).toMatchObject({
      message: expect.stringContaining('maxLength is not 7'),
      differences: expect.arrayContaining([
        { field: 'durable', existing: false, requested: true },
        { field: 'maxLength', existing: undefined, requested: 7 },
      ]),
    })
  })

  it('passes arguments through, and refuses those that cannot be honoured', async () => {
    const queue = fresh()
    const of = (args: Record<string, unknown>) =>
      adapter.declare(
        { queue },
        { settings: { ...plainSettings, arguments: args }, pattern: undefined, ifExists: 'compare' },
      )
    await of({ 'x-queue-type': 'classic' })
    await expect(channel.checkQueue(queue)).resolves.toMatchObject({ queue })
    await expect(of({ 'x-queue-type': 'stream' })).rejects.toMatchObject({ code: 'MQ_UNSUPPORTED' })
  })
})

describe('a queue that is made again while a call waits for its messages', () => {
  it('gives them to the next call', async () => {
    const { queue } = await declare(adapter, fresh())
    const receiver = await adapter.open(source({ queue }, { mode: 'pull' }), () => undefined)
    const first = receiver.receive(1, live, 20_000)
    await until(async () => (await channel.checkQueue(queue)).consumerCount === 1)
    await channel.deleteQueue(queue)
    await channel.assertQueue(queue, { durable: true })
    expect(await first).toEqual([])
    await adapter.publish([outbound({ queue })], live)
    let got: readonly Delivery[] = []
    await until(async () => (got = await receiver.receive(1, live, 200)).length === 1)
    expect(await receiver.ack(got)).toEqual(['settled'])
    const second = receiver.receive(1, live, 20_000)
    await until(async () => (await channel.checkQueue(queue)).consumerCount === 1)
    await channel.deleteQueue(queue)
    await expect(second).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
    await receiver.close(live)
  })
})

describe('an ordered queue that was not declared here', () => {
  it('gives back before the next consumer becomes the active one', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true })
    const sent = Array.from({ length: 5 }, () => outbound({ queue }, { key: 'k' }))
    await adapter.publish(sent, live)
    const stranger = rabbitmqAdapter({ url: broker.url })
    await connected(stranger)
    const first = await stranger.open(source({ queue }, { ordered: true, prefetch: 3 }), () => undefined)
    const held = await take(first, 3)
    const standby = await adapter.open(source({ queue }, { ordered: true }), () => undefined)
    const after = take(standby, 5)
    await first.release(held)
    await first.close(live)
    expect((await after).map(({ id }) => id)).toEqual(sent.map(({ id }) => id))
    await standby.close(live)
    await stranger.disconnect(live)
  })
})

describe('an ordered queue of several partitions', () => {
  const partitions = 3

  it('keeps the order of each key, and lets its partitions go to different consumers', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    const sent = Array.from({ length: 60 }, (_, i) => outbound({ queue }, { key: keys[i % keys.length] }))
    const outcomes = await adapter.publish(sent, live)
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    const sizes = await Promise.all(
      [queue, `${queue}::p1`, `${queue}::p2`].map(
        async (name) => (await channel.checkQueue(name)).messageCount,
      ),
    )
    expect(sizes.reduce((sum, n) => sum + n)).toBe(60)
    expect(sizes.filter((n) => n > 0).length).toBeGreaterThan(1)
    expect(await adapter.size({ queue })).toBe(60)
    const receiver = await adapter.open(source({ queue }, { ordered: true }), () => undefined)
    const got = await take(receiver, 60)
    for (const key of keys) {
      const ids = (list: readonly { key: string | undefined; id: string }[]) =>
        list.filter((each) => each.key === key).map(({ id }) => id)
      expect(ids(got)).toEqual(ids(sent))
    }
    expect((await receiver.ack(got)).every((outcome) => outcome === 'settled')).toBe(true)
    await receiver.close(live)
  })

  it('is found with its partitions by one that did not make it, and is gone whole', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const answer = await other.declare(
      { queue },
      { settings: { ...plainSettings, ordered: true }, pattern: undefined, ifExists: 'take' },
    )
    expect([answer.partitions, answer.ordered ?? true]).toEqual([partitions, true])
    await other.publish(
      [1, 2, 3, 4].map((n) => outbound({ queue }, { key: `k${n}` })),
      live,
    )
    expect(await other.purge({ queue })).toBe(4)
    await other.remove({ queue })
    await other.disconnect(live)
    for (const name of [queue, `${queue}::p1`, `${queue}::p2`]) {
      const looking = await foreign.createChannel()
      looking.on('error', () => undefined)
      await expect(looking.checkQueue(name)).rejects.toMatchObject({ code: 404 })
    }
  })

  it('that refuses when it is full has waiting queues of its own, retries included', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions: 2, maxLength: 9 })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    await adapter.publish(
      keys.map((key) => outbound({ queue }, { key })),
      live,
    )
    const receiver = await adapter.open(source({ queue }, { ordered: true }), () => undefined)
    const outcomes = await receiver.retry(await take(receiver, keys.length), 100)
    expect(outcomes).toEqual(keys.map(() => 'settled'))
    for (const name of [queue, `${queue}::p1`])
      await expect(channel.checkQueue(`mq:delayed:100:${name}`)).resolves.toMatchObject({ consumerCount: 0 })
    await receiver.close(live)
  })

  it('does not meet a topic of the same name, whatever its subscriptions are called', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    const subscribed = { topic: queue, subscription: 'p1' }
    await adapter.declare(subscribed, { settings: plainSettings, pattern: '#', ifExists: 'take' })
    await adapter.publish(
      Array.from({ length: 20 }, (_, n) => outbound({ queue }, { key: `k${n}` })),
      live,
    )
    expect([await adapter.size({ queue }), await adapter.size(subscribed)]).toEqual([20, 0])
    await adapter.remove({ topic: queue })
    expect(await adapter.size({ queue })).toBe(20)
  })
})
