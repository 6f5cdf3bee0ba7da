import { afterEach, describe, expect, it } from '@jest/globals'
import { Type } from 'typebox'
import { MessageQueueFactory } from '../../src/factory.ts'
import { MessageQueue } from '../../src/message-queue.ts'
import { createMemoryBroker, memoryAdapter } from '../../src/memory/index.ts'
import { Message, type MessageInit } from '../../src/message/message.ts'
import type { MessageQueueConfigInput } from '../../src/config/message-queue-config.ts'
import { defineQueue, subscription } from '../../src/message/typed.ts'
import { deferred, lastOf, queueBench, recorder, refusal, until } from '../engine-bench.ts'
import { VirtualClock } from '../memory/virtual-clock.ts'

const open: MessageQueue[] = []

afterEach(async () => {
  for (const queue of open.splice(0)) await queue.disconnect({ timeoutMs: 0 })
})

async function bench(config: MessageQueueConfigInput = {}) {
  const clock = new VirtualClock()
  const adapter = memoryAdapter({ broker: createMemoryBroker({ clock }) })
  const queue = new MessageQueue(adapter, config, { clock, logger: recorder([]) })
  await queue.connect()
  open.push(queue)
  /** Sends and rejects these, in order. */
  const fail = async (name: string, ...ids: string[]) => {
    for (const id of ids) await failOne(name, { id, body: { id } })
  }
  const failOne = async (name: string, init: MessageInit) => {
    await queue.send(new Message({ queueName: name, ...init }))
    const received = await queue.receive(name)
    if (received === null) throw new Error('nothing was received')
    await queue.reject(received, { reason: `no ${received.id}` })
  }
  return { queue, clock, fail, failOne }
}

const ids = (messages: readonly Message[]) => messages.map(({ id }) => id)

describe('looking', () => {
  it('takes nothing, and says why each one failed', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a', 'b', 'c')
    const letters = queue.deadLetters('q')
    for (let i = 0; i < 2; i++) {
      const { messages, cursor } = await letters.list()
      expect([ids(messages), cursor]).toEqual([['a', 'b', 'c'], null])
      expect(messages[0]?.deadLetter).toMatchObject({
        reason: 'rejected',
        queue: 'q',
        subscription: null,
        attempts: 1,
        error: { message: 'no a' },
      })
    }
    await expect(letters.count()).resolves.toBe(3)
    expect((await letters.get('b'))?.body).toEqual({ id: 'b' })
    await expect(letters.get('z')).resolves.toBeNull()
  })

  it('goes on from a cursor, and filters', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a', 'b', 'c', 'd', 'e')
    const letters = queue.deadLetters('q')
    const first = await letters.list({ limit: 2 })
    const second = await letters.list({ limit: 2, cursor: first.cursor })
    const third = await letters.list({ limit: 2, cursor: second.cursor })
    expect([first, second, third].map(({ messages }) => ids(messages))).toEqual([
      ['a', 'b'],
      ['c', 'd'],
      ['e'],
    ])
    expect(third.cursor).toBeNull()
    const some = await letters.list({ filter: async ({ id }) => id > 'c' })
    expect(ids(some.messages)).toEqual(['d', 'e'])
  })

  it('finds nothing where dead-lettering is off', async () => {
    const { queue } = await bench({ enableDeadLetterQueue: false })
    const letters = queue.deadLetters('q')
    await expect(letters.list()).resolves.toEqual({ messages: [], cursor: null })
    await expect(letters.redrive()).resolves.toMatchObject({ moved: 0 })
    await expect(Promise.all([letters.count(), letters.purge(), letters.get('a')])).resolves.toEqual([
      0,
      0,
      null,
    ])
  })

  it('tells apart the sources of a shared dead-letter queue', async () => {
    const { queue, fail } = await bench({ defaultQueueConfig: { deadLetterQueue: 'graveyard' } })
    await fail('q', 'a', 'b')
    await fail('r', 'c')
    await expect(queue.deadLetters('q').count()).resolves.toBe(2)
    expect(ids((await queue.deadLetters('r').list()).messages)).toEqual(['c'])
    await expect(queue.deadLetters('r').purge()).resolves.toBe(1)
    await expect(queue.deadLetters('q').redrive()).resolves.toMatchObject({ moved: 2 })
    await expect(queue.getQueueSize('graveyard')).resolves.toBe(0)
  })
})

describe('redriving', () => {
  it('ends although what it moves fails again at once', async () => {
    const queue = MessageQueueFactory.createForTesting()
    await queue.connect()
    open.push(queue)
    let runs = 0
    await queue.consume(
      'q',
      () => {
        runs++
        throw new Error('still')
      },
      { retry: { maxRetries: 0 } },
    )
    for (let n = 0; n < 250; n++) await queue.send('q', n)
    const letters = queue.deadLetters('q')
    while ((await letters.count()) < 250) await new Promise((resolve) => setTimeout(resolve, 5))
    await expect(letters.redrive({ ratePerSecond: 1_000 })).resolves.toMatchObject({ moved: 250, failed: [] })
    while ((await letters.count()) < 250) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(runs).toBe(500)
  })

  it('moves all back as they were, counts anew, marked', async () => {
    const { queue, failOne } = await bench()
    await failOne('q', {
      id: 'a',
      body: Uint8Array.of(0, 255),
      headers: { tenant: 't' },
      key: 'k',
      correlationId: 'c',
      deliveryCount: 0,
    })
    await expect(queue.deadLetters('q').redrive()).resolves.toEqual({
      moved: 1,
      scanned: 1,
      failed: [],
      dryRun: false,
    })
    await expect(queue.deadLetters('q').count()).resolves.toBe(0)
    const back = await queue.receive('q')
    expect(back).toMatchObject({
      id: 'a',
      headers: { tenant: 't' },
      key: 'k',
      correlationId: 'c',
      deliveryCount: 0,
      redriven: true,
    })
    expect(back?.body).toEqual(Uint8Array.of(0, 255))
    expect(back?.deadLetter).toBeUndefined()
  })

  it('starts the ttl anew', async () => {
    const { queue, clock, failOne } = await bench()
    await failOne('q', { id: 'a', ttl: 1000 })
    await clock.advance(5000)
    await queue.deadLetters('q').redrive()
    await clock.advance(900)
    expect((await queue.receive('q'))?.ttl).toBe(1000)
  })

  it('can be limited, filtered and rehearsed', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a', 'b', 'c', 'd')
    const letters = queue.deadLetters('q')
    await expect(letters.redrive({ dryRun: true, filter: ({ id }) => id !== 'a' })).resolves.toMatchObject({
      moved: 3,
      dryRun: true,
    })
    await expect(letters.count()).resolves.toBe(4)
    await expect(letters.redrive({ limit: 1, filter: ({ id }) => id > 'b' })).resolves.toMatchObject({
      moved: 1,
    })
    expect((await queue.receive('q'))?.id).toBe('c')
    expect(ids((await letters.list()).messages)).toEqual(['a', 'b', 'd'])
  })

  it('can edit, and go elsewhere', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a')
    await queue.deadLetters('q').redrive({
      to: 'other',
      edit: (message) => {
        message.body = { fixed: true }
        message.headers['edited'] = 'yes'
      },
    })
    expect(await queue.receive('other')).toMatchObject({
      id: 'a',
      body: { fixed: true },
      headers: { edited: 'yes' },
    })
    await expect(queue.receive('q')).resolves.toBeNull()
  })

  it('is checked as by send where the queue is another one: what it refuses stays', async () => {
    const { queue, clock, failOne } = await bench()
    await queue.createQueue({ name: 'q', maxPriority: 9 })
    await queue.createQueue({ name: 'brief', messageTtl: 1000 })
    await failOne('q', { id: 'urgent', priority: 5 })
    await failOne('q', { id: 'usual' })
    const result = await queue.deadLetters('q').redrive({ to: 'brief' })
    expect(result).toMatchObject({ moved: 1, failed: [{ id: 'urgent', error: { code: 'MQ_UNSUPPORTED' } }] })
    await clock.advance(1001)
    await expect(queue.receive('brief')).resolves.toBeNull()
  })

  it('moves each once where it is asked for twice at the same time', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a', 'b')
    const letters = queue.deadLetters('q')
    const refused = letters.redrive({ filter: () => Promise.reject(new Error('no')) })
    const asked = [letters.redrive({ limit: 1 }), queue.deadLetters('q').redrive(), letters.redrive()]
    await expect(refused).rejects.toThrow('no')
    expect((await Promise.all(asked)).map(({ moved }) => moved)).toEqual([1, 1, 0])
    await expect(queue.getQueueSize('q')).resolves.toBe(2)
  })

  it('takes an edit of any field', async () => {
    const { queue, clock, failOne } = await bench()
    const trace = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }
    await failOne('q', { id: 'a', ttl: 60_000, correlationId: 'old', ...trace })
    const fields = { ttl: 1000, routingKey: 'r', correlationId: 'c', deduplicationId: 'd', key: 'k' }
    const timestamp = new Date(5)
    await queue
      .deadLetters('q')
      .redrive({ edit: (message) => void Object.assign(message, fields, { timestamp }) })
    const back = await queue.receive('q')
    expect(back).toMatchObject({ ...fields, ...trace, timestamp, headers: {} })
    await queue.reject(back as Message, { requeue: true, delayMs: 2000 })
    await clock.advance(3000)
    await expect(queue.receive('q')).resolves.toBeNull()
  })

  it('refuses an edit that it cannot honour', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a')
    const edit = (field: object) => (message: Message) => void Object.assign(message, field)
    for (const field of [{ delay: 100 }, { priority: 256 }, { ttl: -1 }]) {
      const { moved, failed } = await queue.deadLetters('q').redrive({ edit: edit(field) })
      expect([moved, failed]).toEqual([
        0,
        [{ id: 'a', error: expect.objectContaining({ code: 'MQ_VALIDATION' }) }],
      ])
    }
  })

  it('keeps what cannot be sent, and says so', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a', 'b')
    const result = await queue.deadLetters('q').redrive({
      edit: ({ id, headers }) => {
        if (id === 'a') headers['mq-mine'] = 'refused'
      },
    })
    expect(result).toMatchObject({ moved: 1, failed: [{ id: 'a', error: { code: 'MQ_VALIDATION' } }] })
    expect(ids((await queue.deadLetters('q').list()).messages)).toEqual(['a'])
  })

  it('keeps to a rate', async () => {
    const { queue, clock, fail } = await bench()
    await fail('q', 'a', 'b', 'c', 'd')
    const moving = queue.deadLetters('q').redrive({ ratePerSecond: 2 })
    const size = () => queue.getQueueSize('q')
    await until(async () => (await size()) === 2)
    await clock.advance(100)
    await expect(size()).resolves.toBe(2)
    await clock.advance(1000)
    await expect(size()).resolves.toBe(4)
    await clock.advance(1000)
    await expect(moving).resolves.toMatchObject({ moved: 4 })
  })

  it('goes back to the subscription that failed, and to no other', async () => {
    const { queue } = await bench()
    for (const name of ['billing', 'mail']) await queue.createSubscription('orders', name)
    await queue.publish('orders', { n: 1 })
    for (const name of ['billing', 'mail']) {
      const message = await queue.receive(subscription('orders', name))
      if (message === null) throw new Error('nothing was received')
      if (name === 'billing') await queue.reject(message)
      else await queue.acknowledge(message)
    }
    await expect(queue.deadLetters(subscription('orders', 'billing')).redrive()).resolves.toMatchObject({
      moved: 1,
    })
    expect(await queue.receive(subscription('orders', 'billing'))).toMatchObject({ body: { n: 1 } })
    await expect(queue.receive(subscription('orders', 'mail'))).resolves.toBeNull()
  })
})

describe('names that meet in one dead-letter queue', () => {
  it('keep to their own: that of a queue with a dot, and that of a subscription', async () => {
    const { queue, fail } = await bench()
    await queue.createSubscription('orders', 'billing')
    await queue.publish('orders', new Message({ id: 'of the subscription', body: 1 }))
    await queue.reject((await queue.receive(subscription('orders', 'billing'))) as Message)
    await fail('orders.billing', 'of the queue')
    const both = [queue.deadLetters('orders.billing'), queue.deadLetters(subscription('orders', 'billing'))]
    const [first, second] = both
    expect(ids((await first?.list())?.messages ?? [])).toEqual(['of the queue'])
    await expect(first?.purge()).resolves.toBe(1)
    expect(ids((await second?.list())?.messages ?? [])).toEqual(['of the subscription'])
    await expect(second?.redrive()).resolves.toMatchObject({ moved: 1 })
    await expect(queue.getQueueSize(subscription('orders', 'billing'))).resolves.toBe(1)
  })
})

describe('a source that is not there', () => {
  it('is not made by a look at the dead letters of a subscription, nor by moving them back', async () => {
    const { queue } = await bench()
    const target = subscription('orders', 'billing')
    await queue.createSubscription('orders', 'billing', { pattern: 'orders.*' })
    await queue.publish('orders', 1, { routingKey: 'orders.new' })
    await queue.reject((await queue.receive(target)) as Message)
    await queue.deleteSubscription('orders', 'billing')
    const letters = queue.deadLetters(target)
    await expect(letters.count()).resolves.toBe(1)
    const result = await letters.redrive()
    expect(result.moved).toBe(0)
    expect(result.failed[0]?.error).toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
    await queue.publish('orders', 2, { routingKey: 'other' })
    await queue.createSubscription('orders', 'billing', { pattern: 'orders.*' })
    await expect(queue.getQueueSize(target)).resolves.toBe(0)
    await expect(letters.redrive()).resolves.toMatchObject({ moved: 1 })
  })

  it('is made as its type says, should this be its first use', async () => {
    const { queue } = await bench()
    const urgent = defineQueue('urgent', { schema: Type.String(), maxPriority: 5 })
    await expect(queue.deadLetters(urgent).count()).resolves.toBe(0)
    await queue.send(urgent, 'x', { priority: 5 })
  })
})

describe('a handler with a dead-letter queue of its own', () => {
  it('has its dead letters found, and put there by hand as well', async () => {
    const { queue, failOne } = await bench()
    queue.registerFunctionHandler('q', () => undefined, { deadLetterQueue: 'kept' })
    await failOne('q', { id: 'a', body: 1 })
    await expect(queue.getQueueSize('kept')).resolves.toBe(1)
    const letters = queue.deadLetters('q')
    expect(ids((await letters.list()).messages)).toEqual(['a'])
    await expect(letters.redrive()).resolves.toMatchObject({ moved: 1 })
    await expect(queue.getQueueSize('q')).resolves.toBe(1)
  })
})

describe('purging', () => {
  it('removes all, or what matches', async () => {
    const { queue, fail } = await bench()
    await fail('q', 'a', 'b', 'c')
    const letters = queue.deadLetters('q')
    await expect(letters.purge({ filter: ({ id }) => id === 'b' })).resolves.toBe(1)
    expect(ids((await letters.list()).messages)).toEqual(['a', 'c'])
    await expect(letters.purge()).resolves.toBe(2)
    await expect(letters.count()).resolves.toBe(0)
  })
})

describe('bad input', () => {
  it('is refused with a coded error', async () => {
    const { queue } = await bench()
    const letters = queue.deadLetters('q')
    for (const call of [
      () => letters.list({ limit: 0 }),
      () => letters.list({ limit: 1.5 }),
      () => letters.redrive({ limit: -1 }),
      () => letters.redrive({ ratePerSecond: 0 }),
      () => letters.redrive({ to: 'a b' }),
      () => letters.redrive({ to: 'q.retry' }),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: 'MQ_VALIDATION' })
    }
    await queue.disconnect()
    expect(await refusal(letters.count())).toMatchObject({ code: 'MQ_NOT_CONNECTED' })
  })
})

it('a look that opens after its time is closed', async () => {
  const { queue, adapter, clock } = queueBench()
  await queue.connect()
  const gate = deferred()
  adapter.onOpen = () => gate.promise
  const failed = refusal(queue.deadLetters('q').list())
  await clock.advance(60_000)
  expect(await failed).toMatchObject({ code: 'MQ_TIMEOUT' })
  gate.resolve()
  await until(() => adapter.receivers.length === 1 && lastOf(adapter.receivers).closed)
})
