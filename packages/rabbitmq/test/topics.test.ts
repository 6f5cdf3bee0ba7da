import { describe, expect, it } from '@jest/globals'
import type { Channel } from 'amqplib'
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
import { MessageQueue, subscription } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'
import { rabbitmqAdapter } from '../src/index.ts'
import { adapter, broker, channel, foreign } from './bench.ts'
import { take } from './take.ts'

describe('a topic', () => {
  it('delivers what was delayed by its routing key, and drops what nobody wants', async () => {
    const topic = fresh('topic')
    const target = { topic, subscription: 's' }
    await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    await adapter.declare(target, { settings: plainSettings, pattern: 'a.*', ifExists: 'take' })
    const batch = ['a.x', 'b.x'].map((routingKey) => outbound({ topic }, { routingKey, delayMs: 100 }))
    expect(await adapter.publish(batch, live)).toEqual([{ ok: true }, { ok: true }])
    const receiver = await adapter.open(source(target), () => undefined)
    const [got] = await take(receiver, 1)
    expect([got?.id, got?.routingKey]).toEqual([batch[0]?.id, 'a.x'])
    expect(await receiver.receive(1, live, 200)).toEqual([])
    await receiver.close(live)
  })
})

describe('what the server dead-letters of a subscription', () => {
  it.each([0, 100])(
    'has the routing key that it was published with, tried again too (delay: %d)',
    async (delayMs) => {
      const target = { topic: fresh('topic'), subscription: 's' }
      const deadLetterQueue = `${target.topic}.s.dlq`
      const settings = { ...plainSettings, messageTtl: 50, deadLetterQueue }
      await adapter.declare(target, { settings, pattern: '#', ifExists: 'take' })
      await declare(adapter, deadLetterQueue)
      await adapter.publish([outbound({ topic: target.topic }, { routingKey: 'orders.new', delayMs })], live)
      const receiver = await adapter.open(source({ queue: deadLetterQueue }), () => undefined)
      for (let attempt = 0; attempt < 2; attempt++) {
        const got = await take(receiver, 1)
        expect(got[0]).toMatchObject({
          routingKey: 'orders.new',
          deadLetter: { reason: 'expired', queue: target.topic, subscription: 's' },
        })
        expect(await receiver.retry(got, 0)).toEqual(['settled'])
      }
      await receiver.close(live)
    },
  )

  it('has none where it was sent to the subscription alone', async () => {
    const target = { topic: fresh('topic'), subscription: 's' }
    const deadLetterQueue = `${target.topic}.s.dlq`
    const settings = { ...plainSettings, messageTtl: 50, deadLetterQueue }
    await adapter.declare(target, { settings, pattern: '#', ifExists: 'take' })
    await adapter.publish([outbound(target), outbound(target, { delayMs: 100 })], live)
    const receiver = await adapter.open(source({ queue: deadLetterQueue }), () => undefined)
    expect((await take(receiver, 2)).map(({ routingKey }) => routingKey)).toEqual([undefined, undefined])
    await receiver.close(live)
  })
})

describe('a topic that is made again', () => {
  const declaration = { settings: plainSettings, pattern: '#', ifExists: 'take' } as const

  it.each([
    ['was removed', (topic: string) => adapter.remove({ topic })],
    ['another client deleted', (topic: string) => channel.deleteExchange(topic)],
  ])('after it %s gets what is delayed, by those that knew it before as well', async (_, lose) => {
    const topic = fresh('topic')
    const target = { topic, subscription: 's' }
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const sendAndTake = async (by: BrokerAdapter): Promise<void> => {
      const sent = outbound({ topic }, { delayMs: 100 })
      expect(await by.publish([sent], live)).toEqual([{ ok: true }])
      const receiver = await adapter.open(source(target), () => undefined)
      const got = await take(receiver, 1)
      expect(got.map(({ id }) => id)).toEqual([sent.id])
      await receiver.ack(got)
      await receiver.close(live)
    }
    await adapter.declare(target, declaration)
    for (const by of [adapter, other]) await sendAndTake(by)
    await lose(topic)
    await adapter.declare(target, declaration)
    for (const by of [adapter, other]) await sendAndTake(by)
    await other.disconnect(live)
  })
})

describe('a topic that a publisher makes again', () => {
  it('has its subscriptions, by the patterns that they had', async () => {
    const topic = fresh('topic')
    const targets = ['kept', 'passing'].map((subscription) => ({ topic, subscription }))
    for (const [i, target] of targets.entries())
      await adapter.declare(target, {
        settings: { ...plainSettings, autoDelete: i === 1 },
        pattern: 'a.*',
        ifExists: 'take',
      })
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const declaration = { settings: plainSettings, pattern: undefined, ifExists: 'take' } as const
    await other.declare({ topic }, declaration)
    await channel.deleteExchange(topic)
    const batch = ['a.x', 'b.x'].map((routingKey) => outbound({ topic }, { routingKey }))
    expect(await other.publish(batch, live)).toMatchObject([{ ok: false }, { ok: false }])
    await other.declare({ topic }, declaration)
    expect(await other.publish(batch, live)).toEqual([{ ok: true }, { ok: true }])
    for (const target of targets) expect(await adapter.size(target)).toBe(1)
    await other.disconnect(live)
  })
})

describe('the register of a topic', () => {
  it('does not grow with subscriptions that are gone', async () => {
    const topic = fresh('topic')
    const declaring = (subscription: string) =>
      adapter.declare(
        { topic, subscription },
        { settings: { ...plainSettings, autoDelete: true }, pattern: '#', ifExists: 'take' },
      )
    await declaring('kept')
    for (let n = 0; n < 60; n++) {
      await declaring(`passing${n}`)
      await channel.deleteQueue(`${topic}:passing${n}`)
    }
    expect((await channel.checkQueue(`mq:topic:${topic}`)).messageCount).toBeLessThan(40)
    await adapter.remove({ topic })
    const looking = await foreign.createChannel()
    looking.on('error', () => undefined)
    await expect(looking.checkQueue(`${topic}:kept`)).rejects.toMatchObject({ code: 404 })
  }, 60_000)
})

describe('a subscription that goes by itself', () => {
  it.each([['autoDelete'], ['exclusive']])('(%s) has one pattern as long as it is there', async (setting) => {
    const target = { topic: fresh('topic'), subscription: 's' }
    const declaring = (pattern: string, ifExists: 'take' | 'compare') =>
      adapter.declare(target, { settings: { ...plainSettings, [setting]: true }, pattern, ifExists })
    await declaring('a.*', 'compare')
    await expect(declaring('b.*', 'compare')).rejects.toMatchObject({
      code: 'MQ_QUEUE_CONFLICT',
      differences: [{ field: 'pattern', existing: 'a.*', requested: 'b.*' }],
    })
    const receiver = await adapter.open(source(target), () => undefined)
    await receiver.close(live)
    if (setting === 'exclusive') await adapter.remove(target)
    await declaring('b.*', 'take')
    const batch = ['a.x', 'b.x'].map((routingKey) => outbound({ topic: target.topic }, { routingKey }))
    await adapter.publish(batch, live)
    expect(await adapter.size(target)).toBe(1)
  })
})

describe('a topic of which a subscription is exclusive to another connection', () => {
  it('is deleted all the same, with all other subscriptions', async () => {
    const topic = fresh('topic')
    const [theirs, ours] = [
      { topic, subscription: 'theirs' },
      { topic, subscription: 'ours' },
    ]
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const exclusive = { ...plainSettings, exclusive: true }
    await other.declare(theirs, { settings: exclusive, pattern: '#', ifExists: 'take' })
    await adapter.declare(ours, { settings: plainSettings, pattern: '#', ifExists: 'take' })
    await adapter.remove({ topic })
    const look = async (call: (looking: Channel) => Promise<unknown>): Promise<unknown> => {
      const looking = await foreign.createChannel()
      looking.on('error', () => undefined)
      return call(looking).catch((error: unknown) => (error as { code: unknown }).code)
    }
    expect([
      await look((looking) => looking.checkQueue(`${topic}:ours`)),
      await look((looking) => looking.checkExchange(topic)),
      await look((looking) => looking.checkQueue(`mq:topic:${topic}`)),
    ]).toEqual([404, 404, 404])
    await other.disconnect(live)
  })
})

describe('a subscription of long names', () => {
  it.each([
    ['orders.*', 'orders.*'],
    [`orders.*.${'x'.repeat(90)}`, `orders.*.${'x'.repeat(90)}`],
    // More than the server says.
    [`orders.*.${'x'.repeat(190)}`, undefined],
  ])('keeps its pattern %s whatever it is taken by', async (pattern, existing) => {
    const target = { topic: fresh('topic').padEnd(70, 't'), subscription: 's'.repeat(40) }
    const declaring = (by: BrokerAdapter, asked: string, ifExists: 'take' | 'compare') =>
      by.declare(target, { settings: plainSettings, pattern: asked, ifExists })
    await declaring(adapter, pattern, 'compare')
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    await declaring(other, '#', 'take')
    await expect(declaring(other, '#.a', 'compare')).rejects.toMatchObject({
      code: 'MQ_QUEUE_CONFLICT',
      differences: [{ field: 'pattern', existing, requested: '#.a' }],
    })
    const keys = ['bills.a', pattern.replace('*', 'a')]
    await other.publish(
      keys.map((routingKey) => outbound({ topic: target.topic }, { routingKey })),
      live,
    )
    expect(await other.size(target)).toBe(1)
    await other.disconnect(live)
  })
})

describe('a subscription whose names are as long as they may be', () => {
  it('has shown what the server dead-letters of it', async () => {
    const [topic, name] = [fresh('topic').padEnd(150, 't'), 's'.repeat(150)]
    const deadLetterQueue = `${topic}.${name}.dlq`
    const settings = { ...plainSettings, messageTtl: 50, deadLetterQueue }
    await adapter.declare({ topic, subscription: name }, { settings, pattern: '#', ifExists: 'take' })
    await adapter.publish([outbound({ topic })], live)
    const looking = new MessageQueue(rabbitmqAdapter({ url: broker.url }))
    await looking.connect()
    const letters = looking.deadLetters(subscription(topic, name))
    await until(async () => (await letters.count()) === 1)
    expect((await letters.list()).messages).toMatchObject([{ deadLetter: { reason: 'expired' } }])
    expect(await letters.redrive({ dryRun: true })).toMatchObject({ moved: 1, failed: [] })
    await looking.disconnect()
  })

  it('keeps its dead letters, which are found by the name of their queue', async () => {
    const target = { topic: fresh('topic').padEnd(200, 't'), subscription: 's'.repeat(200) }
    const deadLetterQueue = `${target.topic}.${target.subscription}.dlq`
    const settings = { ...plainSettings, deadLetterQueue }
    for (const ifExists of ['take', 'compare'] as const)
      await adapter.declare(target, { settings, pattern: '#', ifExists })
    await declare(adapter, deadLetterQueue)
    await adapter.publish([outbound({ topic: target.topic })], live)
    const receiver = await adapter.open(source(target), () => undefined)
    const failed = [failure({ queue: target.topic, subscription: target.subscription })]
    const got = await take(receiver, 1)
    expect(await receiver.deadLetter(got, failed, { queue: deadLetterQueue })).toEqual(['settled'])
    expect(await adapter.size({ queue: deadLetterQueue })).toBe(1)
    await receiver.close(live)
    await adapter.remove({ queue: deadLetterQueue })
    await expect(adapter.size({ queue: deadLetterQueue })).rejects.toThrow()
    await adapter.remove({ topic: target.topic })
  })
})

describe('a topic with a full subscription', () => {
  it('is full for who declared that, and cannot be served for others', async () => {
    const topic = fresh('topic')
    const limited = { ...plainSettings, maxLength: 1 }
    await adapter.declare({ topic, subscription: 's' }, { settings: limited, pattern: '#', ifExists: 'take' })
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const code = async (by: BrokerAdapter): Promise<unknown> => {
      for (let i = 0; i < 20; i++) {
        const [outcome] = await by.publish([outbound({ topic })], live)
        if (outcome?.ok === false) return by.classify(outcome.error).code
      }
      return null
    }
    expect([await code(adapter), await code(other)]).toEqual(['MQ_QUEUE_FULL', 'MQ_UNAVAILABLE'])
    await other.disconnect(live)
  })
})
