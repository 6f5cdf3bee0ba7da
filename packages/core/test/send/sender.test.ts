import { getEventListeners } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import { Type } from 'typebox'
import {
  createMemoryBroker,
  defineQueue,
  defineTopic,
  memoryAdapter,
  Message,
  MessageMiddleware,
  MessageQueue,
  MessageQueueFactory,
  MessageQueueManager,
  subscription,
  ValidationError,
} from '../../src/index.ts'
import type { StandardSchemaV1 } from '../../src/message/standard-schema.ts'
import { refusal, until } from '../engine-bench.ts'
import { recordingLogger } from '../middleware/recording-logger.ts'

async function watched() {
  const queue = new MessageQueue(memoryAdapter({ broker: createMemoryBroker() }))
  const seen: Message[] = []
  queue.addMiddleware({
    name: 'watch',
    send(message, next) {
      seen.push(message)
      return next()
    },
  })
  await queue.connect()
  return { queue, seen, names: () => seen.map(({ queueName }) => queueName) }
}

describe('middleware of sends', () => {
  it('sees where a message goes, whichever way the call says it', async () => {
    const { queue, names } = await watched()
    await queue.send('short', 1)
    await queue.send({ body: 1, queueName: 'own' })
    await queue.send({ body: 1 }, { queueName: 'option' })
    await queue.send({ body: 1, queueName: 'own' }, { queueName: 'wins' })
    await queue.publish('topic', 1)
    expect(names()).toEqual(['short', 'own', 'option', 'wins', 'topic'])
    await queue.disconnect()
  })

  it('leaves the message that was given as it is', async () => {
    const { queue, names, seen } = await watched()
    const message = new Message({ body: { a: 1 }, headers: { b: '2' } })
    await queue.send(message, { queueName: 'one' })
    await queue.send(message, { queueName: 'two' })
    expect(names()).toEqual(['one', 'two'])
    expect(message.queueName).toBeUndefined()
    for (const each of seen) {
      expect(Message.is(each)).toBe(true)
      expect(each.toJSON()).toEqual({ ...message.toJSON(), queueName: each.queueName })
    }
    const own = new Message({ queueName: 'own' })
    await queue.send(own)
    expect(seen[2]).toBe(own)
    await queue.disconnect()
  })

  it('can pass on a received message, which keeps its name and can still be settled', async () => {
    const { queue, names } = await watched()
    await queue.send('first', 'body')
    const received = (await queue.receive('first')) as Message
    await queue.send(received, { queueName: 'second' })
    expect(names()).toEqual(['first', 'second'])
    expect(received.queueName).toBe('first')
    await queue.acknowledge(received)
    expect(await queue.getQueueSize('second')).toBe(1)
    await queue.disconnect()
  })
})

it('a received message is passed on by its fields, with and without middleware', async () => {
  const plain = MessageQueueFactory.createForTesting()
  await plain.connect()
  const { queue: watchedQueue } = await watched()
  for (const queue of [plain, watchedQueue]) {
    const fields = { key: 'k', correlationId: 'c', contentEncoding: 'gzip', headers: { a: 'b' } }
    const id = await queue.send('from', { n: 1 }, fields)
    const received = (await queue.receive('from')) as Message
    await queue.send({ ...received, queueName: 'to' })
    await queue.acknowledge(received)
    expect(await queue.receive('to')).toMatchObject({ id, body: { n: 1 }, queueName: 'to', ...fields })
    await queue.disconnect()
  }
})

describe('a veto', () => {
  it('may be any value: a batch says what it was', async () => {
    const queue = MessageQueueFactory.createForTesting()
    queue.addMiddleware({
      name: 'veto',
      send: async () => {
        throw 'no'
      },
    })
    await queue.connect()
    await expect(queue.sendBatch([{ body: 1 }], { queueName: 'q' })).rejects.toMatchObject({
      message: expect.stringMatching(/the first: non-error thrown: no$/),
      failures: [{ index: 0, certainty: 'not-stored', cause: 'no' }],
    })
    await queue.disconnect()
  })
})

describe('middleware that fails once the message is stored', () => {
  it('leaves the fate of the message unknown, on its own and in a batch', async () => {
    await using queue = MessageQueueFactory.createForTesting()
    let failure: unknown = new ValidationError('too late')
    queue.addMiddleware({
      name: 'late',
      send: async (message, next) => {
        if (message.body !== 'early') await next()
        throw failure
      },
    })
    await queue.connect()
    const fate = (certainty: string) => expect.objectContaining({ certainty })
    await expect(queue.send('q', 'late')).rejects.toEqual(fate('unknown'))
    for (failure of [new Error('too late'), 'too late']) {
      await expect(queue.send('q', 'late')).rejects.toBe(failure)
      const batch = queue.sendBatch([{ body: 'late' }, { body: 'early' }], { queueName: 'q' })
      await expect(batch).rejects.toMatchObject({
        certainty: 'unknown',
        failures: [fate('unknown'), fate('not-stored')],
      })
    }
    failure = new ValidationError('in time')
    await expect(queue.send('q', 'early')).rejects.toEqual(fate('not-stored'))
    expect(await queue.getQueueSize('q')).toBe(5)
  })

  it('may throw one and the same error for all: each send has the certainty of its own message', async () => {
    await using queue = MessageQueueFactory.createForTesting()
    class Closed extends ValidationError {
      readonly shop = 'ours'
    }
    const closed = new Closed('closed')
    queue.addMiddleware({
      name: 'outer',
      send: (_message, next) => next(),
    })
    queue.addMiddleware({
      name: 'constant',
      send: async (message, next) => {
        if (message.body === 'late') await next()
        throw closed
      },
    })
    await queue.connect()
    const early = await refusal(queue.send('q', 'early'))
    const late = await refusal(queue.send('q', 'late'))
    expect(early).toBe(closed)
    expect(early.certainty).toBe('not-stored')
    expect(late).toMatchObject({ certainty: 'unknown', shop: 'ours', message: 'closed', code: closed.code })
    expect(late).toBeInstanceOf(Closed)
    expect(late.stack).toBe(closed.stack)
    const batch = queue.sendBatch([{ body: 'late' }, { body: 'early' }], { queueName: 'q' })
    await expect(batch).rejects.toMatchObject({
      failures: [{ certainty: 'unknown' }, { certainty: 'not-stored' }],
    })
    expect(early.certainty).toBe('not-stored')
  })

  it('changes nothing as an afterSend, and is logged', async () => {
    const { logger, lines } = recordingLogger()
    await using queue = MessageQueueFactory.createForTesting({ logger })
    class Late extends MessageMiddleware {
      override async afterSend() {
        throw new Error('too late')
      }
    }
    queue.addMiddleware(new Late())
    await queue.connect()
    const id = await queue.send('q', 1)
    expect(lines).toContainEqual({
      level: 'error',
      fields: { id, middleware: 'Late', error: new Error('too late') },
      text: 'afterSend of a middleware failed',
    })
  })
})

describe('a schema that changes bodies', () => {
  const length: StandardSchemaV1<unknown, number> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) =>
        typeof value === 'string' ? { value: value.length } : { issues: [{ message: 'no string' }] },
    },
  }

  it('changes them for the receiver, and only checks what is sent', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const typed = defineQueue('texts', { schema: length })
    await queue.connect()
    await queue.send(typed, 'hello')
    expect((await queue.receive(typed))?.body).toBe(5)
    await expect(queue.send(typed, 5)).rejects.toMatchObject({
      code: 'MQ_VALIDATION',
      certainty: 'not-stored',
    })
    expect(await queue.deadLetters(typed).count()).toBe(0)
    await queue.disconnect()
  })

  it('has senders give what it takes, and handlers get what it makes', async () => {
    const text = length as StandardSchemaV1<string, number>
    const [typed, topic] = [defineQueue('texts', { schema: text }), defineTopic('topic', { schema: text })]
    await using queue = MessageQueueFactory.createForTesting()
    await queue.connect()
    const bodies: number[] = []
    await queue.consume(typed, ({ body }) => bodies.push(body))
    await queue.subscribe(topic, 's', ({ body }) => bodies.push(body))
    await queue.send(typed, 'a')
    await queue.publish(topic, 'ab')
    await queue.sendBatch([{ body: 'abc' }], { queueName: typed })
    expect((await queue.request<number, number, string>(typed, 'abcd', { timeoutMs: 5000 })).body).toBe(4)
    await until(() => bodies.length === 4)
    expect(bodies.sort()).toEqual([1, 2, 3, 4])
    const refused = [
      // @ts-expect-error what the schema makes of it
      () => queue.send(typed, 5),
      // @ts-expect-error as above
      () => queue.publish(topic, 5),
      // @ts-expect-error as above
      () => queue.sendBatch([{ body: 5 }], { queueName: typed }),
    ]
    for (const call of refused) await expect(call()).rejects.toThrow('no string')
  })
})

describe('a typed queue among the options', () => {
  const typed = defineQueue('numbers', { schema: Type.Number(), maxPriority: 5 })

  it('has its schema checked, and its configuration used', async () => {
    const broker = createMemoryBroker()
    await using queue = new MessageQueue(memoryAdapter({ broker }))
    await queue.connect()
    await queue.sendBatch([{ body: 1, priority: 3 }, { body: 2 }], { queueName: typed })
    await expect(queue.send({ body: 'x' }, { queueName: typed })).rejects.toThrow('does not match the schema')
    await queue.send({ body: 3, queueName: 'elsewhere' }, { queueName: typed, routingKey: 'k' })
    expect(await queue.getQueueSize('numbers')).toBe(3)
    await expect(
      queue.sendBatch([{ body: 1 }], { queueName: subscription('t', 's') as never }),
    ).rejects.toThrow('not to a subscription')
    const manager = new MessageQueueManager()
    manager.addQueue('main', queue)
    await expect(manager.sendToQueue('main', { body: 'x' }, { queueName: typed })).rejects.toThrow('schema')
  })
})

describe('an encoding of the user’s own that fails', () => {
  it('refuses the message with a code, and nothing is stored', async () => {
    const encode = () => {
      throw new Error('no key')
    }
    const codecs = { encodings: { locked: { encode, decode: encode } } }
    await using queue = MessageQueueFactory.createForTesting({ codecs })
    await queue.connect()
    const sent = queue.send({ queueName: 'q', body: 1, contentEncoding: 'locked' })
    await expect(sent).rejects.toMatchObject({ code: 'MQ_SERIALIZATION', certainty: 'not-stored' })
  })
})

describe('one signal for many messages', () => {
  const batch = Array.from({ length: 20 }, (_, body) => ({ queueName: 'q', body }))

  it('is none of which Node warns', async () => {
    const { queue } = await watched()
    const { signal } = new AbortController()
    const sent = queue.sendBatch(batch, { signal })
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await sent
    await queue.disconnect()
  })

  it('may be one that Node does not know', async () => {
    const { queue } = await watched()
    const nothing = () => undefined
    const signal = { aborted: false, addEventListener: nothing, removeEventListener: nothing } as never
    expect(await queue.sendBatch(batch, { signal })).toHaveLength(20)
    await queue.disconnect()
  })
})
