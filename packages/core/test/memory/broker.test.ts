import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it } from '@jest/globals'
import { createMemoryBroker, memoryAdapter } from '../../src/memory/index.ts'
import {
  bench,
  codeOf,
  connect,
  connected,
  consume,
  declare,
  disconnectAll,
  drain,
  failure,
  ids,
  message,
  NEVER,
  only,
  publish,
  Q,
  rejection,
  settings,
  take,
} from './fixture.ts'

afterEach(disconnectAll)

const on = { lost: () => undefined, blocked: () => undefined }
const SUB = { topic: 't', subscription: 's' }

describe('a broker', () => {
  it('is shared by url, and private without', async () => {
    const url = `memory://${randomUUID()}`
    const [one, two, other] = [
      memoryAdapter({ url }),
      memoryAdapter({ url }),
      memoryAdapter({ url: `${url}-2` }),
    ]
    for (const adapter of [one, two, other]) await connect(adapter)
    await declare(one)
    await publish(one, message('a'))
    expect(await drain(two)).toEqual(['a'])
    expect((await rejection(other.size(Q))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })

  it('shares a clock and a url alike, so that two queues talk in virtual time', async () => {
    const { clock } = await bench()
    const url = `memory://${randomUUID()}`
    const [one, two] = [memoryAdapter({ url, clock }), memoryAdapter({ url, clock })]
    for (const adapter of [one, two]) await connect(adapter)
    await declare(one)
    await publish(one, message('a', { delayMs: 10 }))
    await clock.advance(10)
    expect(await drain(two)).toEqual(['a'])
  })

  it('refuses an option that neither it nor its adapter has', () => {
    const refused = expect.objectContaining({ code: 'MQ_CONFIGURATION' })
    expect(() => memoryAdapter({ urls: 'memory://a' } as object)).toThrow(refused)
    expect(() => createMemoryBroker({ clocks: 1 } as object)).toThrow(refused)
  })

  it('keeps its messages while no connection is open', async () => {
    const { adapter, broker } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'))
    await adapter.disconnect(NEVER)
    expect(await drain(await connected(broker))).toEqual(['a'])
  })

  it('refuses everything on a closed connection with a coded error, and opens again', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await adapter.disconnect(NEVER)
    await adapter.disconnect(NEVER)
    expect((await adapter.publish([message('a')], NEVER)).map(codeOf)).toEqual(['MQ_CONNECTION'])
    expect((await rejection(adapter.size(Q))).code).toBe('MQ_CONNECTION')
    await adapter.connect(on, NEVER)
    expect(await adapter.size(Q)).toBe(0)
  })

  it('refuses what goes to a missing queue, message by message', async () => {
    const { adapter } = await bench()
    const outcomes = await adapter.publish([message('a'), message('b')], NEVER)
    expect(outcomes.map(codeOf)).toEqual(['MQ_QUEUE_NOT_FOUND', 'MQ_QUEUE_NOT_FOUND'])
    expect((await rejection(consume(adapter))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })

  it('stores nothing when the call was aborted before it began', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    const [outcome] = await adapter.publish([message('a')], AbortSignal.abort())
    expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
    expect(await adapter.size(Q)).toBe(0)
  })
})

describe('topics', () => {
  it('copy to each subscription that matches; the copies share nothing but their bytes', async () => {
    const { adapter } = await bench()
    const to = async (subscription: string, pattern: string) =>
      adapter.declare({ topic: 't', subscription }, { settings: settings(), pattern, ifExists: 'compare' })
    await to('all', '#')
    await to('orders', 'orders.*')
    const destination = { topic: 't' }
    await publish(
      adapter,
      message('a', { destination, routingKey: 'orders.new', headers: { h: '1' } }),
      message('b', { destination, routingKey: 'users' }),
      message('c', { destination, routingKey: 'orders.old' }),
    )
    const all = await consume(adapter, { target: { topic: 't', subscription: 'all' } })
    const orders = await consume(adapter, { target: { topic: 't', subscription: 'orders' } })
    const [mine, theirs] = [await take(all), await take(orders)]
    expect([ids(mine), ids(theirs)]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'c'],
    ])
    ;(mine[0]?.headers as Record<string, string>)['h'] = 'changed'
    expect(theirs[0]?.headers).toEqual({ h: '1' })
    await all.ack(mine)
    expect(await orders.ack(theirs)).toEqual(['settled', 'settled'])
  })

  it('take what nobody subscribed to, and reach one subscription alone by its name', async () => {
    const { adapter } = await bench()
    await publish(adapter, message('a', { destination: { topic: 't' } }))
    await declare(adapter, {}, SUB)
    await declare(adapter, {}, { topic: 't', subscription: 'other' })
    await publish(adapter, message('b', { destination: SUB }))
    expect(await drain(adapter, SUB)).toEqual(['b'])
    expect(await adapter.size({ topic: 't', subscription: 'other' })).toBe(0)
  })

  it('store a message in no subscription when one of them is full, so that not-stored is the truth', async () => {
    const { adapter } = await bench()
    await declare(adapter, {}, SUB)
    await declare(adapter, { maxLength: 1 }, { topic: 't', subscription: 'small' })
    const outcomes = await adapter.publish(
      ['a', 'b'].map((id) => message(id, { destination: { topic: 't' } })),
      NEVER,
    )
    expect(outcomes.map(codeOf)).toEqual([undefined, 'MQ_QUEUE_FULL'])
    expect(await drain(adapter, SUB)).toEqual(['a'])
  })

  it('give a subscription nothing that lasts longer than its own ttl', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, {}, SUB)
    const brief = { topic: 't', subscription: 'brief' }
    await declare(adapter, { messageTtl: 100, deadLetterQueue: 'dead' }, brief)
    const destination = { topic: 't' }
    const ends = (ms: number) => ({ expiresAt: clock.now() + ms })
    await publish(
      adapter,
      message('plain', { destination }),
      message('longer', { destination, ...ends(9_000) }),
      message('shorter', { destination, ...ends(50) }),
      message('delayed', { destination, delayMs: 80 }),
    )
    await publish(adapter, message('alone', { destination: brief }))
    await clock.advance(60)
    expect(await adapter.size(brief)).toBe(3)
    await clock.advance(60)
    expect(await drain(adapter, brief)).toEqual(['delayed'])
    expect((await drain(adapter, { queue: 'dead' })).sort()).toEqual(['alone', 'longer', 'plain', 'shorter'])
    expect((await drain(adapter, SUB)).sort()).toEqual(['delayed', 'longer', 'plain'])
  })

  it('go with their subscriptions', async () => {
    const { adapter } = await bench()
    await declare(adapter, {}, SUB)
    await adapter.remove({ topic: 't' })
    await adapter.remove({ topic: 't' })
    expect((await rejection(adapter.size(SUB))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })
})

describe('dead letters', () => {
  it('make their queue, keep what the message was, and carry why', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, message('a', { key: 'k', headers: { h: '1' }, expiresAt: 9e15 }))
    const receiver = await consume(adapter)
    const why = failure({ attempts: 4 })
    expect(await receiver.deadLetter(await take(receiver), [why], { queue: 'dead' })).toEqual(['settled'])
    const dead = only(await take(await consume(adapter, { target: { queue: 'dead' } })))
    expect(dead).toMatchObject({ id: 'a', key: 'k', headers: { h: '1' }, deadLetter: why })
    expect(dead.expiresAt).toBeUndefined()
    expect(Buffer.from(dead.body).toString()).toBe('a')
  })

  it('that do not fit stay leased, one by one', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await declare(adapter, { maxLength: 1 }, { queue: 'dead' })
    await publish(adapter, message('a'), message('b'))
    const receiver = await consume(adapter)
    const deliveries = await take(receiver)
    const outcomes = await receiver.deadLetter(deliveries, [failure(), failure()], { queue: 'dead' })
    expect(outcomes[0]).toBe('settled')
    expect(outcomes[1]).toMatchObject({ error: { code: 'MQ_QUEUE_FULL' } })
    expect(await receiver.ack(deliveries)).toEqual(['lost', 'settled'])
  })
})

describe('replies', () => {
  it('reach their address, and vanish when it is gone', async () => {
    const { adapter, broker } = await bench()
    const other = await connected(broker)
    const { address, receiver } = await adapter.openReplies()
    expect(address).toMatch(/^memory-reply:[0-9a-f-]{36}$/)
    const receiving = receiver.receive(1, NEVER)
    await publish(other, message('a', { destination: { reply: address } }))
    expect(ids(await receiving)).toEqual(['a'])
    await adapter.disconnect(NEVER)
    await publish(other, message('b', { destination: { reply: address } }))
  })
})

describe('the lives of queues', () => {
  it('exclusive: refused to others, gone with its connection', async () => {
    const { adapter, broker } = await bench()
    const other = await connected(broker)
    await declare(adapter, { exclusive: true })
    expect((await rejection(declare(other, { exclusive: true }))).code).toBe('MQ_QUEUE_CONFLICT')
    expect((await rejection(consume(other))).code).toBe('MQ_QUEUE_CONFLICT')
    await declare(adapter, { exclusive: true })
    await adapter.disconnect(NEVER)
    expect((await rejection(other.size(Q))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })

  it('an exclusive queue that was deleted and made by somebody else outlives its first owner', async () => {
    const { adapter, broker } = await bench()
    const other = await connected(broker)
    await declare(adapter, { exclusive: true })
    await adapter.remove(Q)
    await declare(other)
    await adapter.disconnect(NEVER)
    expect(await other.size(Q)).toBe(0)
  })

  it('auto-delete: gone with its last receiver; browsing is none', async () => {
    const { adapter } = await bench()
    await declare(adapter, { autoDelete: true })
    const browse = await consume(adapter, { mode: 'browse' })
    await browse.close(NEVER)
    const [one, two] = await Promise.all([consume(adapter), consume(adapter)])
    await one.close(NEVER)
    expect(await adapter.size(Q)).toBe(0)
    await two.close(NEVER)
    expect((await rejection(adapter.size(Q))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })

  it('auto-delete: who pulls now and then is no consumer, and leaves what waits', async () => {
    const { adapter } = await bench()
    await declare(adapter, { autoDelete: true })
    const pull = await consume(adapter, { mode: 'pull' })
    await publish(adapter, message('a'))
    await pull.close(NEVER)
    expect(await adapter.size(Q)).toBe(1)
    const consumer = await consume(adapter)
    await consumer.close(NEVER)
    expect((await rejection(adapter.size(Q))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })

  it('expires: gone after so long without use, and not while a receiver is open', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { expires: 1000 })
    await clock.advance(900)
    const receiver = await consume(adapter)
    await clock.advance(5000)
    await receiver.close(NEVER)
    await clock.advance(999)
    expect(await adapter.size(Q)).toBe(0)
    await clock.advance(1)
    expect((await rejection(adapter.size(Q))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })
})
