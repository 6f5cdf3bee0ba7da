import { describe, expect, it } from '@jest/globals'
import type { DeadLetterInfo } from '../../src/adapter/index.ts'
import { Message, type MessageInit } from '../../src/message/message.ts'
import { delivery } from '../fake-adapter.ts'
import { heldOf, received } from '../../src/message/message.ts'

const FULL: MessageInit = {
  id: 'id-1',
  body: { any: ['json', 1, null] },
  headers: { tenant: 'a' },
  timestamp: new Date(1_700_000_000_123),
  queueName: 'orders',
  routingKey: 'orders.created',
  correlationId: 'c-1',
  replyTo: 'answers',
  contentType: 'application/json',
  contentEncoding: 'gzip',
  deliveryCount: 2,
  priority: 7,
  ttl: 5000,
  delay: 100,
  key: 'k',
  deduplicationId: 'd',
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
}

const BODIES: [string, unknown][] = [
  ['null', null],
  ['a number', 0],
  ['false', false],
  ['text', 'Grüße, 世界 🎉'],
  ['empty text', ''],
  ['an array', [1, [2]]],
  ['an object', { a: { b: null } }],
  ['bytes', Uint8Array.of(0, 1, 127, 128, 255)],
  ['no bytes', new Uint8Array(0)],
]

describe('new Message', () => {
  it('fills in what is not given', () => {
    const message = new Message()
    expect(message).toMatchObject({
      body: null,
      headers: {},
      contentType: 'application/json',
      deliveryCount: 0,
      priority: 0,
    })
    expect(message.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(Math.abs(message.timestamp.getTime() - Date.now())).toBeLessThan(60_000)
    expect(message.id).not.toBe(new Message().id)
  })

  it('keeps every field', () => {
    expect(new Message(FULL)).toMatchObject(FULL)
  })

  it.each([
    ['text', 'text/plain'],
    [Uint8Array.of(1), 'application/octet-stream'],
    [Buffer.from('a'), 'application/octet-stream'],
    [{ a: 1 }, 'application/json'],
  ])('infers the content type of a body', (body, contentType) => {
    expect(new Message({ body }).contentType).toBe(contentType)
  })

  it('copies the headers', () => {
    const headers = { a: '1' }
    const message = new Message({ headers })
    message.headers['a'] = '2'
    expect(headers).toEqual({ a: '1' })
  })

  it.each([[null], ['text'], [7]])('refuses %p', (init) => {
    expect(() => new Message(init as never)).toThrow('object of fields')
  })

  it('refuses a field that it does not know', () => {
    expect(() => new Message({ queue: 'a' } as never)).toThrow('A message has no field "queue"')
  })

  it('is known for a message, as is one of another copy of the package', () => {
    expect(Message.is(new Message())).toBe(true)
    const foreign = Object.create({ [Symbol.for('@mq/message')]: true }) as object
    expect(Message.is(foreign)).toBe(true)
    expect([{}, null, undefined, 'text'].some((value) => Message.is(value))).toBe(false)
  })
})

describe('a round trip', () => {
  it.each([
    ['toJSON', (message: Message) => Message.fromJSON(message.toJSON())],
    ['JSON text', (message: Message) => Message.fromJSON(JSON.stringify(message))],
    ['serialize', (message: Message) => Message.deserialize(message.serialize())],
  ])('through %s keeps every field', (_name, trip) => {
    const back = trip(new Message(FULL))
    expect(back).toEqual(new Message(FULL))
    expect(back.timestamp).toBeInstanceOf(Date)
  })

  it.each(BODIES)('keeps the kind of the body: %s', (_name, body) => {
    const back = Message.deserialize(new Message({ body }).serialize())
    expect(back.body).toEqual(body)
    expect(ArrayBuffer.isView(back.body)).toBe(ArrayBuffer.isView(body))
  })

  it('takes a part of a larger buffer for what it is', () => {
    const body = Uint8Array.of(9, 1, 2, 9).subarray(1, 3)
    expect(Message.fromJSON(new Message({ body }).toJSON()).body).toEqual(Uint8Array.of(1, 2))
  })

  it('leaves out what is not set', () => {
    expect(Object.keys(new Message({ id: 'a' }).toJSON()).sort()).toEqual([
      'body',
      'contentType',
      'deliveryCount',
      'headers',
      'id',
      'priority',
      'timestamp',
    ])
  })

  it('does not carry who settles a received message', () => {
    const message = received(delivery('a', { raw: { client: 1 } }), {
      body: 'body',
      contentType: 'text/plain',
      contentEncoding: undefined,
      queueName: 'q',
      deliveryCount: 0,
      held: { secret: true },
    })
    expect(heldOf(message)).toEqual({ secret: true })
    expect(JSON.stringify(message)).not.toContain('secret')
    expect(heldOf(new Message())).toBeUndefined()
  })
})

describe('Message.fromJSON', () => {
  it('gives back what a received message has besides', () => {
    const deadLetter: DeadLetterInfo = {
      reason: 'max-retries',
      queue: 'orders',
      subscription: null,
      attempts: 4,
      firstFailedAt: new Date(1_700_000_000_123),
      lastFailedAt: new Date(1_700_000_000_456),
      error: { name: 'Error', message: 'no', stack: '' },
      host: 'here',
    }
    const message = new Message({
      ...FULL,
      redeliveries: 3,
      deadLetter,
      redriven: true,
      raw: { of: 'the client' },
    })
    expect(message).toMatchObject({ redeliveries: 3, deadLetter, redriven: true, raw: { of: 'the client' } })
    for (const back of [Message.fromJSON(message.toJSON()), Message.deserialize(message.serialize())]) {
      expect(back).toMatchObject({ ...FULL, redeliveries: 3, deadLetter, redriven: true })
      expect(back.raw).toBeUndefined()
    }
    const fresh = Object.keys(new Message(FULL).toJSON())
    expect(
      fresh.filter((field) => ['redeliveries', 'deadLetter', 'redriven', 'raw'].includes(field)),
    ).toEqual([])
  })

  it('keeps trace ids of any kind', () => {
    const ids = { traceId: 'trace-1', spanId: 'SPAN' }
    expect(Message.fromJSON(new Message(ids).toJSON())).toMatchObject(ids)
  })

  it('takes any subset', () => {
    expect(Message.fromJSON({ body: 1 })).toMatchObject({ body: 1, contentType: 'application/json' })
    expect(Message.fromJSON('{}').body).toBeNull()
  })

  it.each<[string, unknown, string]>([
    ['text that is not JSON', '{', 'MQ_SERIALIZATION'],
    ['an array', [], 'MQ_VALIDATION'],
    ['null', null, 'MQ_VALIDATION'],
    ['an unknown field', { queue: 'a' }, 'MQ_VALIDATION'],
    ['an unknown body encoding', { body: 'a', bodyEncoding: 'hex' }, 'MQ_VALIDATION'],
    ['base64 that is no string', { body: 1, bodyEncoding: 'base64' }, 'MQ_VALIDATION'],
    ['no date', { timestamp: 'yesterday' }, 'MQ_VALIDATION'],
    ['an empty id', { id: '' }, 'MQ_VALIDATION'],
    ['a long id', { id: 'ä'.repeat(128) }, 'MQ_VALIDATION'],
    ['a number as key', { key: 7 }, 'MQ_VALIDATION'],
    ['a long key', { key: 'k'.repeat(256) }, 'MQ_VALIDATION'],
    ['a priority above 255', { priority: 256 }, 'MQ_VALIDATION'],
    ['a fractional priority', { priority: 0.5 }, 'MQ_VALIDATION'],
    ['a negative count', { deliveryCount: -1 }, 'MQ_VALIDATION'],
    ['no ttl', { ttl: 0 }, 'MQ_VALIDATION'],
    ['a negative delay', { delay: -1 }, 'MQ_VALIDATION'],
    ['a ttl within the delay', { ttl: 100, delay: 100 }, 'MQ_VALIDATION'],
    ['a number as trace id', { traceId: 7 }, 'MQ_VALIDATION'],
    ['text as dead letter', { deadLetter: 'a' }, 'MQ_VALIDATION'],
    ['a dead letter without times', { deadLetter: {} }, 'MQ_VALIDATION'],
    ['headers that are text', { headers: 'a' }, 'MQ_VALIDATION'],
    ['no headers', { headers: null }, 'MQ_VALIDATION'],
  ])('refuses %s', (_name, json, code) => {
    expect(() => Message.fromJSON(json)).toThrow(expect.objectContaining({ code }))
  })
})

describe('Message.serialize', () => {
  it('refuses a body that is no JSON value', () => {
    const circular: { self?: unknown } = {}
    circular.self = circular
    for (const body of [circular, 1n, NaN, new Map(), new Set(), () => 1, Symbol('s')]) {
      expect(() => new Message({ body }).serialize()).toThrow(
        expect.objectContaining({ code: 'MQ_SERIALIZATION' }),
      )
    }
  })

  it('is refused bytes that are no message', () => {
    expect(() => Message.deserialize(Uint8Array.of(1, 2))).toThrow(
      expect.objectContaining({ code: 'MQ_SERIALIZATION' }),
    )
  })

  it('is refused what is no bytes: text has fromJSON', () => {
    for (const given of ['{}', null, 5]) {
      expect(() => Message.deserialize(given as never)).toThrow(
        expect.objectContaining({ code: 'MQ_VALIDATION' }),
      )
    }
  })
})
