import { performance } from 'node:perf_hooks'
import { describe, expect, it, jest } from '@jest/globals'
import { failure, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { Declaration, Delivery, Receiver, Target } from '@mq/core/adapter'
import { connect as connectTo } from '../src/connection.ts'
import { parseOptions } from '../src/options.ts'
import type { Registry } from '../src/registry.ts'
import { configOf, createTopics } from '../src/topics.ts'
import { createTopology } from '../src/topology.ts'
import { testOptions } from './harness.ts'
import { counting, hold } from './requests.ts'
import { consuming, declaration, onServer, take, until } from './support.ts'

const { connect, url } = onServer()

describe('a subscription', () => {
  it('loses nothing when another declares it more slowly at the same time', async () => {
    const [quick, slow] = [await connect({ clientId: 'quick' }), await connect({ clientId: 'slow' })]
    const topic = fresh()
    const target: Target = { topic, subscription: 's' }
    await quick.declare({ topic }, declaration)
    const held = hold('slow', 'ListOffsets')
    const declared = slow.declare(target, { ...declaration, pattern: '#' })
    await held.reached
    await quick.declare(target, { ...declaration, pattern: '#' })
    await quick.publish([outbound({ topic }), outbound({ topic })], live)
    held.letGo()
    await declared
    expect(await quick.size(target)).toBe(2)
    await take(await consuming(slow, target), 2)
  })

  it('that two declare differently at the same time is what the first one said', async () => {
    const [quick, slow] = [await connect({ clientId: 'quick' }), await connect({ clientId: 'slow' })]
    const topic = fresh()
    const target: Target = { topic, subscription: 's' }
    await quick.declare({ topic }, declaration)
    const held = hold('slow', 'ListOffsets')
    const declared = slow.declare(target, { ...declaration, pattern: 'b.*', ifExists: 'compare' })
    const refused = expect(declared).rejects.toMatchObject({ code: 'MQ_QUEUE_CONFLICT' })
    await held.reached
    await quick.declare(target, { ...declaration, pattern: 'a.*' })
    held.letGo()
    await refused
    await quick.publish([outbound({ topic }, { routingKey: 'a.1' })], live)
    expect(await quick.size(target)).toBe(1)
  })

  it('that is removed while it is read begins anew at the end', async () => {
    const clientId = fresh()
    const adapter = await connect({ clientId })
    const topic = fresh()
    const target: Target = { topic, subscription: 's' }
    await adapter.declare({ topic }, declaration)
    await adapter.declare(target, { ...declaration, pattern: '#' })
    await adapter.publish([outbound({ topic })], live)
    await take(await consuming(adapter, target), 1)
    const deletions = counting(clientId, 'DeleteGroups')
    const leaving = hold(clientId, 'LeaveGroup')
    const removed = adapter.remove(target)
    await leaving.reached
    await until(() => deletions.count() > 0)
    leaving.letGo()
    deletions.end()
    await removed
    await adapter.publish([outbound({ topic })], live)
    await adapter.declare(target, { ...declaration, pattern: '#' })
    expect(await adapter.size(target)).toBe(0)
  })

  it('that is removed with its topic begins anew at the end', async () => {
    const adapter = await connect()
    const topic = fresh()
    const target: Target = { topic, subscription: 's' }
    for (let round = 0; round < 2; round++) {
      await adapter.declare({ topic }, declaration)
      await adapter.publish([outbound({ topic })], live)
      await adapter.declare(target, { ...declaration, pattern: '#' })
      expect(await adapter.size(target)).toBe(0)
      await adapter.publish([outbound({ topic })], live)
      expect(await adapter.size(target)).toBe(1)
      await adapter.remove({ topic })
      await expect(adapter.size(target)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
    }
  })
})

describe('names', () => {
  it('of subscriptions that read alike keep their retries apart', async () => {
    const adapter = await connect()
    const topic = fresh()
    const one: Target = { topic, subscription: 'b.c' }
    const two: Target = { topic: `${topic}.b`, subscription: 'c' }
    for (const target of [one, two]) {
      await adapter.declare({ topic: target.topic }, declaration)
      await adapter.declare(target, { ...declaration, pattern: '#' })
    }
    await adapter.publish([outbound({ topic })], live)
    const receiver = await consuming(adapter, one)
    const [delivery] = await take(receiver, 1)
    expect(await receiver.retry(delivery ? [delivery] : [], 0)).toEqual(['settled'])
    const [again] = await take(receiver, 1)
    expect(again?.deliveryCount).toBe(1)
    expect(await adapter.size(two)).toBe(0)
  })
})

describe('long names of a topic and a subscription', () => {
  it('leave room for what waits and for dead letters, and keep them apart', async () => {
    const adapter = await connect()
    const topic = fresh('t'.repeat(160)).padEnd(200, 't')
    const subscriptions = ['a', 'b'].map((end) => 's'.repeat(199) + end)
    const targets = subscriptions.map((subscription) => ({ topic, subscription }))
    const settings = { ...declaration.settings, arguments: { 'max.message.bytes': '20000' } }
    await adapter.declare({ topic }, { ...declaration, settings })
    for (const target of targets) await adapter.declare(target, { ...declaration, pattern: '#' })
    await adapter.publish([outbound({ topic })], live)
    for (const target of targets) {
      const dead = { queue: `${topic}.${target.subscription}.dlq` }
      await adapter.declare(dead, declaration)
      const receiver = await consuming(adapter, target)
      expect(await receiver.retry(await take(receiver, 1), 1)).toEqual(['settled'])
      const again = await take(receiver, 1)
      expect(again[0]?.deliveryCount).toBe(1)
      expect(await receiver.deadLetter(again, [failure()], dead)).toEqual(['settled'])
      const [letter] = await take(await consuming(adapter, dead), 1)
      expect(letter?.deadLetter?.reason).toBe(failure().reason)
      expect(await adapter.size(target)).toBe(0)
    }
    await adapter.remove({ topic })
  }, 60_000)
})

describe('a name that Kafka takes for that of another topic', () => {
  it('is refused with a word on which one that is, also where it is only made for dead letters', async () => {
    const adapter = await connect()
    const queue = fresh()
    await adapter.declare({ queue: `${queue}_dlq` }, declaration)
    await adapter.declare({ queue: `${queue}_delay` }, declaration)
    await adapter.declare({ queue }, declaration)
    await expect(adapter.declare({ queue: `${queue}.dlq` }, declaration)).rejects.toMatchObject({
      code: 'MQ_VALIDATION',
      message: expect.stringContaining(`"${queue}_dlq"`) as unknown,
    })
    const [outcome] = await adapter.publish([outbound({ queue }, { delayMs: 1 })], live)
    expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
    expect(outcome).toHaveProperty('error.message', expect.stringContaining(`"${queue}_delay"`))
  })
})

describe('a groupId', () => {
  it('ties no queue to another: one that is removed leaves what others have done', async () => {
    const adapter = await connect({ groupId: fresh('group'), trim: false })
    const [queue, other] = [fresh(), fresh()]
    for (const each of [queue, other]) await adapter.declare({ queue: each }, declaration)
    await adapter.publish([outbound({ queue }), outbound({ queue })], live)
    const receiver = await consuming(adapter, { queue })
    await receiver.ack(await take(receiver, 2))
    await receiver.close(live)
    expect(await adapter.size({ queue })).toBe(0)
    await adapter.remove({ queue: other })
    expect(await adapter.size({ queue })).toBe(0)
  })

  it('that is not the first to read a queue is refused: what the first has done is deleted, and what it retries is its own', async () => {
    const [first, second] = [fresh('group'), fresh('group')]
    const [one, other] = [await connect({ groupId: first }), await connect({ groupId: second })]
    const [topic, queue] = [fresh(), fresh()]
    // Its group is named as one of the queue is: that alone says nothing.
    const alike = `${first}.${queue}`
    await one.declare({ queue }, declaration)
    await one.declare({ queue: alike }, declaration)
    await one.declare({ topic }, declaration)
    await one.declare({ topic, subscription: 's' }, { ...declaration, pattern: '#' })
    for (const target of [{ queue }, { topic, subscription: 's' }]) {
      await one.publish([outbound('queue' in target ? target : { topic })], live)
      await take(await consuming(one, target), 1)
      await expect(consuming(other, target)).rejects.toMatchObject({
        code: 'MQ_QUEUE_CONFLICT',
        message: expect.stringContaining(`"${first}.`) as unknown,
      })
    }
    const third = await connect({ groupId: second })
    await third.publish([outbound({ queue: alike })], live)
    await take(await consuming(third, { queue: alike }), 1)
  })

  it('that begins at the same time as another is found out before anything is deleted', async () => {
    const [one, other] = [
      await connect({ groupId: fresh('group') }),
      await connect({ groupId: fresh('group'), clientId: 'slow' }),
    ]
    const target = { queue: fresh() }
    await one.declare(target, declaration)
    await one.publish([outbound(target), outbound(target)], live)
    const receivers = [await consuming(one, target)]
    const taken = [await take(receivers[0] as Receiver, 2)]
    // It looks before the first one is there, so to speak.
    const held = hold('slow', 'ListGroups')
    receivers.push(await consuming(other, target))
    taken.push(await take(receivers[1] as Receiver, 2))
    held.letGo()
    for (const [i, receiver] of receivers.entries()) await receiver.ack(taken[i] as Delivery[])
    for (const receiver of receivers)
      await expect(until(() => receiver.receive(1, live).then(() => false))).rejects.toMatchObject({
        code: 'MQ_QUEUE_CONFLICT',
      })
    const reader = await connect({ groupId: fresh('group') })
    expect(await reader.size(target)).toBe(2)
  }, 60_000)
})

describe('a queue of dead letters with a name of its own', () => {
  it('counts no more those that were taken out of it, and hands none of them out', async () => {
    const [adapter, other] = [await connect(), await connect()]
    const target = { queue: fresh('graveyard') }
    await adapter.declare(target, declaration)
    await adapter.publish([outbound(target), outbound(target), outbound(target)], live)
    const browser = await other.open({ ...source(target), mode: 'browse' }, () => undefined)
    const [, second, third] = await take(browser, 3)
    expect(await browser.ack([second as Delivery, third as Delivery])).toEqual(['settled', 'settled'])
    expect(await adapter.size(target)).toBe(1)
    const receiver = await consuming(adapter, target)
    const [first] = await take(receiver, 1)
    expect(await receiver.ack([first as Delivery])).toEqual(['settled'])
    expect(await receiver.receive(1, live, 0)).toEqual([])
    expect(await adapter.size(target)).toBe(0)
    await adapter.remove(target)
  })
})

describe('how long a dead-letter queue keeps what it takes', () => {
  it('is asked again where nobody answered, and for ever where one may not ask', async () => {
    let error = Object.assign(new Error('no'), { type: 'LEADER_NOT_AVAILABLE' })
    const topology = createTopology({
      connection: () => undefined as never,
      registry: () => ({ get: () => Promise.reject(error) }) as unknown as Registry,
      consumerOf: () => undefined,
      made: () => undefined,
    })
    await expect(topology.retentionMs({ queue: 'q.dlq' })).rejects.toBe(error)
    error = Object.assign(new Error('no'), { type: 'TOPIC_AUTHORIZATION_FAILED' })
    expect(await topology.retentionMs({ queue: 'q.dlq' })).toBeNull()
  })
})

describe('whether a topic keeps everything for ever', () => {
  it('is asked again: somebody may set it otherwise', async () => {
    let value = '-1'
    const answer = () => ({
      resources: [{ configEntries: [{ configName: 'retention.ms', configValue: value }] }],
    })
    const topology = createTopology({
      connection: () =>
        ({ controller: () => Promise.resolve({ call: () => Promise.resolve(answer()) }) }) as never,
      registry: () => undefined as never,
      consumerOf: () => undefined,
      made: () => undefined,
    })
    expect(await topology.keepsForEver('t')).toBe(true)
    value = '60000'
    const now = performance.now()
    const clock = jest.spyOn(performance, 'now').mockReturnValue(now + 60_000)
    try {
      expect(await topology.keepsForEver('t')).toBe(false)
    } finally {
      clock.mockRestore()
    }
  })
})

describe('a topic that has least partitions, and no entry', () => {
  it('is no other than what was declared', async () => {
    const queue = fresh()
    const [maker, other] = [await connect({ minPartitions: 3 }), await connect()]
    const over = await connectTo(
      parseOptions(testOptions(url())),
      { lost: () => undefined, blocked: () => undefined },
      live,
    )
    await createTopics(over, [{ name: queue, partitions: 3, replicas: 1, config: {} }])
    over.close(undefined)
    const compared: Declaration = { ...declaration, ifExists: 'compare' }
    await maker.declare({ queue }, compared)
    await expect(other.declare({ queue }, compared)).rejects.toMatchObject({ code: 'MQ_QUEUE_CONFLICT' })
    const settings = { ...declaration.settings, partitions: 2 }
    await maker.declare({ queue }, { ...compared, settings })
    await expect(
      maker.declare({ queue }, { ...compared, settings: { ...settings, partitions: 4 } }),
    ).rejects.toMatchObject({ code: 'MQ_QUEUE_CONFLICT' })
  })
})

describe('settings in another order', () => {
  it('are the same settings', async () => {
    const adapter = await connect()
    const queue = fresh()
    const declare = (arguments_: Readonly<Record<string, string>>) =>
      adapter.declare(
        { queue },
        { ...declaration, settings: { ...declaration.settings, arguments: arguments_ }, ifExists: 'compare' },
      )
    await declare({ 'segment.ms': '600000', 'max.message.bytes': '20000' })
    await declare({ 'max.message.bytes': '20000', 'segment.ms': '600000' })
    await expect(declare({ 'max.message.bytes': '20000', 'segment.ms': '600001' })).rejects.toMatchObject({
      code: 'MQ_QUEUE_CONFLICT',
    })
  })
})

describe('what is set on a topic', () => {
  it('holds for what waits and for its dead letters as well, unless that asks for more replicas than there are', async () => {
    const adapter = await connect()
    const [queue, topic] = [fresh(), fresh()]
    const arguments_ = { 'max.message.bytes': '20000', 'min.insync.replicas': '1', 'segment.ms': '600000' }
    const settings = { ...declaration.settings, arguments: arguments_ }
    await adapter.declare({ queue }, { ...declaration, settings })
    await adapter.declare(
      { topic },
      { ...declaration, settings: { ...settings, arguments: { ...arguments_, 'min.insync.replicas': '2' } } },
    )
    await adapter.declare({ topic, subscription: 's.t' }, { ...declaration, pattern: '#' })
    for (const name of [`${queue}.dlq`, `${topic}.s.t.dlq`])
      await adapter.declare({ queue: name }, declaration)
    await adapter.publish([outbound({ queue }, { delayMs: 60_000 })], live)
    const over = await connectTo(
      parseOptions(testOptions(url())),
      { lost: () => undefined, blocked: () => undefined },
      live,
    )
    const set = async (name: string) => {
      const config = await configOf(over, name)
      return [...Object.keys(arguments_), 'retention.ms'].map((each) => config.get(each))
    }
    const week = String(7 * 86_400_000)
    expect(await set(queue)).toEqual(['20000', '1', '600000', '-1'])
    // Copies of what is as large as it may be are larger.
    const larger = String(20_000 + 32 * 1024)
    expect(await set(`${queue}.delay`)).toEqual([larger, '1', week, '-1'])
    expect(await set(`${queue}.dlq`)).toEqual([larger, '1', week, '-1'])
    expect(await set(`${topic}.s.t.dlq`)).toEqual([larger, '1', week, '-1'])
    over.close(undefined)
  })
})
