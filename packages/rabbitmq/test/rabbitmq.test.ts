import { getEventListeners, getMaxListeners } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import type { Message } from 'amqplib'
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
import { onAbort, type Delivery, type Receiver } from '@mq/core/adapter'
import { rabbitmqAdapter } from '../src/index.ts'
import { adapter, broker, channel } from './bench.ts'
import { take } from './take.ts'

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

  it('that expire still do after a retry', async () => {
    const { queue } = await declare(adapter, fresh())
    channel.sendToQueue(queue, Buffer.from('x'), { expiration: '600000' })
    const receiver = await adapter.open(source({ queue }), () => undefined)
    const before = Date.now()
    expect(await receiver.retry(await take(receiver, 1), 0)).toEqual(['settled'])
    const [again] = await take(receiver, 1)
    expect((again?.raw as Message).properties.expiration).toMatch(/^(600000|59\d{4})$/)
    expect(again?.expiresAt).toBeGreaterThanOrEqual(before + 600_000)
    await receiver.close(live)
  })

  it('that were moved here from another queue bring none of its redeliveries', async () => {
    const { queue } = await declare(adapter, fresh())
    channel.sendToQueue(queue, Buffer.from('x'), { headers: { 'x-delivery-count': 50 } })
    const receiver = await adapter.open(source({ queue }), () => undefined)
    for (const redeliveries of [0, 1, 2]) {
      const got = await take(receiver, 1)
      expect(got).toMatchObject([{ redeliveries, headers: {} }])
      await receiver.release(got)
    }
    await receiver.close(live)
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

  it('may be from before 1970', async () => {
    const { queue } = await declare(adapter, fresh())
    expect(await adapter.publish([outbound({ queue }, { timestamp: -5_000 })], live)).toEqual([{ ok: true }])
    const [got] = await take(await adapter.open(source({ queue }), () => undefined), 1)
    expect(got?.timestamp).toBe(-5_000)
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

describe('a look at a queue', () => {
  it('that is ended before it has seen anything says so, and not that there is nothing', async () => {
    const { queue } = await declare(adapter, fresh())
    await adapter.publish([outbound({ queue })], live)
    const looking = await adapter.open(source({ queue }, { mode: 'browse' }), () => undefined)
    const reason = new Error('too slow')
    await expect(looking.receive(1, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await looking.receive(1, live)).toHaveLength(1)
    expect(await looking.receive(1, live)).toEqual([])
    await looking.close(live)
  })
})

describe('calls that wait for messages one after another', () => {
  it('leave nothing at a signal that outlives them', async () => {
    const { queue } = await declare(adapter, fresh())
    const receiver = await adapter.open(source({ queue }, { mode: 'pull' }), () => undefined)
    const { signal } = new AbortController()
    for (let n = 0; n < 3; n++) expect(await receiver.receive(1, signal, 10)).toEqual([])
    // Signals for which nothing waits are let go of once there are many.
    for (let n = 0; n < 65; n++) onAbort(new AbortController().signal, () => undefined)()
    expect(getEventListeners(signal, 'abort')).toEqual([])
    // Where Node 20 keeps what it never lets go of.
    const dependants = Object.getOwnPropertySymbols(signal).find(
      ({ description }) => description === 'kDependantSignals',
    )
    const kept = signal as unknown as Readonly<Record<symbol, { size: number } | undefined>>
    expect(dependants === undefined ? 0 : (kept[dependants]?.size ?? 0)).toBe(0)
    await receiver.close(live)
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

describe('many receivers that are open still', () => {
  it('end with the connection, and make Node warn of no leak', async () => {
    const busy = rabbitmqAdapter({ url: broker.url })
    await connected(busy)
    const target = await declare(busy, fresh())
    for (let n = 0; n < 12; n++) await busy.open(source(target), () => undefined)
    const { signal } = new AbortController()
    await busy.disconnect(signal)
    expect(getMaxListeners(signal)).toBe(Infinity)
  })
})

describe('a queue that another client consumes alone', () => {
  it('cannot be consumed for now, which is no matter of rights', async () => {
    const { queue } = await declare(adapter, fresh(), { durable: false })
    const { consumerTag } = await channel.consume(queue, () => undefined, { exclusive: true })
    const error = await adapter.open(source({ queue }), () => undefined).catch((reason: unknown) => reason)
    expect(adapter.classify(error)).toEqual({ code: 'MQ_UNAVAILABLE', retryable: true })
    await channel.cancel(consumerTag)
    await (await adapter.open(source({ queue }), () => undefined)).close(live)
  })
})

describe('a server whose frames are short', () => {
  it('takes messages that are longer, and is told of none whose headers are', async () => {
    await broker.run('eval', 'application:set_env(rabbit, frame_max, 8192).')
    const narrow = rabbitmqAdapter({ url: broker.url })
    try {
      await connected(narrow)
    } finally {
      await broker.run('eval', 'application:set_env(rabbit, frame_max, 131072).')
    }
    const target = await declare(narrow, fresh())
    const sent = [Buffer.alloc(20_000, 1), Buffer.alloc(10, 2)].map((body) => outbound(target, { body }))
    expect(await narrow.publish(sent, live)).toEqual([{ ok: true }, { ok: true }])
    const headed = [7_900, 8_200].map((length) => outbound(target, { headers: { h: 'h'.repeat(length) } }))
    const [short, long] = await narrow.publish(headed, live)
    expect(short).toEqual({ ok: true })
    expect(long).toMatchObject({ error: { code: 'MQ_MESSAGE_TOO_LARGE' }, certainty: 'not-stored' })
    const got = await take(await narrow.open(source(target), () => undefined), 3)
    expect(got.slice(0, 2).map(({ body }) => [body.length, body[0]])).toEqual([
      [20_000, 1],
      [10, 2],
    ])
    await narrow.disconnect(live)
  }, 60_000)
})

describe('more receivers than a connection has channels', () => {
  it('are refused, saying what else can be done', async () => {
    await broker.run('eval', 'application:set_env(rabbit, channel_max, 9).')
    const crowded = rabbitmqAdapter({ url: broker.url })
    try {
      await connected(crowded)
    } finally {
      await broker.run('eval', 'application:set_env(rabbit, channel_max, 2047).')
    }
    const target = await declare(crowded, fresh())
    const receivers: Receiver[] = []
    const more = async (): Promise<unknown> =>
      receivers.push(await crowded.open(source(target), () => undefined))
    let error: unknown = null
    while (error === null && receivers.length < 12) await more().catch((reason: unknown) => (error = reason))
    expect(crowded.classify(error)).toEqual({ code: 'MQ_UNAVAILABLE', retryable: true })
    expect((error as Error).message).toMatch(/^all 9 channels of this connection .* another MessageQueue/)
    await receivers[0]?.close(live)
    await more()
    await crowded.disconnect(live)
  }, 60_000)
})
