import { describe, expect, it } from '@jest/globals'
import { Buffer } from 'node:buffer'
import { PassThrough } from 'node:stream'
import type { Channel } from 'amqplib'
import { createFrames, type Frames } from '../src/frames.ts'
import type { Item } from '../src/lane.ts'
import type { Properties } from '../src/wire.ts'
import { Connection, type Frame, written } from './client.ts'

/** A channel of the client whose buffer takes so many writes before it is full. */
function setUp(room = 100, frameMax = 131_072) {
  const chunks: Buffer[] = []
  const buffer = { write: (chunk: Buffer) => chunks.push(Buffer.from(chunk)) < room }
  const connection = { frameMax, sentSinceLastCheck: false, channels: [null, null, { buffer }] }
  const channel = { ch: 2, connection, pushConfirmCallback: () => undefined } as unknown as Channel
  return { frames: createFrames(channel) as Frames, chunks, connection }
}

function item(
  properties: Properties,
  body: Uint8Array = Buffer.from('{"i":1}'),
  routingKey = 'orders',
): Item {
  return {
    exchange: '',
    routingKey,
    body,
    properties: { persistent: true, headers: {}, ...properties },
    mandatory: true,
    limited: false,
  }
}

/** What the client reads from these bytes. */
function read(bytes: Buffer): Frame[] {
  const connection = new Connection(new PassThrough())
  connection.rest = bytes
  const frames: Frame[] = []
  for (let frame = connection.recvFrame(); frame !== false; frame = connection.recvFrame()) frames.push(frame)
  return frames
}

const ALL: Properties = {
  contentType: 'application/json',
  contentEncoding: 'gzip',
  priority: 255,
  correlationId: 'c',
  replyTo: 'r',
  expiration: '60000',
  messageId: 'ü'.repeat(127),
  timestamp: 1_764_406_000,
  type: 't',
  appId: 'a',
  headers: {
    text: 'Grüße 🎉',
    empty: '',
    nämé: 'x'.repeat(5000),
    timestamp_in_ms: 1_764_406_000_123,
    small: 7,
    negative: -1,
    lowest: -(2 ** 53 - 1),
    highest: 2 ** 53 - 1,
    wide: 2 ** 32,
    absent: undefined,
  },
}

describe('a message', () => {
  it.each<[string, Properties, Buffer]>([
    ['with everything', ALL, Buffer.from('{"i":1}')],
    ['with next to nothing', {}, Buffer.from('x')],
    ['without a body', { messageId: 'm' }, Buffer.alloc(0)],
    ['of bytes', {}, Buffer.from(Array.from({ length: 256 }, (_, n) => n))],
  ])('%s is read by the client as one of its own', (_, properties, body) => {
    const { frames, chunks, connection } = setUp()
    const given = item(properties, body)
    expect(frames.add(given)).toBe(true)
    expect([frames.flush(), connection.sentSinceLastCheck]).toEqual([true, true])
    const { persistent, ...own } = given.properties
    const fields = { exchange: '', routingKey: 'orders', mandatory: true, ticket: 0 }
    const expected = written.publish(
      2,
      fields,
      { ...own, deliveryMode: persistent === true ? 2 : 1 },
      Buffer.from(body),
    )
    expect(read(Buffer.concat(chunks))).toEqual(read(expected))
  })

  it.each<[string, Item]>([
    ['a table in a header', item({ headers: { a: { b: 1 } } })],
    ['a fraction', item({ headers: { a: 0.5 } })],
    ['a number beyond what is exact', item({ headers: { a: 2 ** 60 } })],
    ['the name of a header too long', item({ headers: { ['n'.repeat(256)]: '1' } })],
    ['a text too long for its place', item({ messageId: 'é'.repeat(128) })],
    ['the name of a queue too long', item({}, Buffer.from('x'), 'q'.repeat(256))],
    ['a large body', item({}, Buffer.alloc(64 * 1024))],
    ['large headers', item({ headers: { a: 'x'.repeat(64 * 1024) } })],
  ])('with %s is left to the client, and nothing of it written', (_, given) => {
    const { frames, chunks } = setUp()
    frames.add(item({ messageId: 'before' }))
    expect(frames.add(given)).toBe(false)
    frames.add(item({ messageId: 'after' }))
    frames.flush()
    const ids = read(Buffer.concat(chunks)).flatMap(({ fields }) => fields?.['messageId'] ?? [])
    expect(ids).toEqual(['before', 'after'])
  })

  it.each<[string, Item]>([
    ['body', item({}, Buffer.alloc(8_192))],
    ['headers, in three bytes for each letter,', item({ headers: { a: 'x'.repeat(8_000) } })],
  ])('whose %s may be longer than a frame that the server takes is left to the client', (_, given) => {
    const { frames } = setUp(100, 8_192)
    expect([frames.add(given), frames.add(item({}))]).toEqual([false, true])
  })

  it.each<[string, Item]>([
    ['text', item({ headers: { a: 'ü'.repeat(4_096) } })],
    ['tables', item({ headers: { a: { b: ['x'.repeat(4_096), 'x'.repeat(4_096)] } } })],
  ])('whose headers, %s, are longer than a frame that the server takes is refused', (_, given) => {
    const { frames } = setUp(100, 8_192)
    expect(() => frames.add(given)).toThrow('at most 8192 bytes')
    expect(frames.add(item({}))).toBe(true)
  })
})

describe('messages of one call', () => {
  it('leave in one piece, in order, whatever each is addressed to', () => {
    const { frames, chunks } = setUp()
    for (const queue of ['a', 'a', 'b', 'a'])
      frames.add(item({ messageId: queue }, Buffer.from(queue), queue))
    frames.flush()
    expect(chunks.length).toBe(1)
    const keys = read(Buffer.concat(chunks)).flatMap(({ fields }) => fields?.['routingKey'] ?? [])
    expect(keys).toEqual(['a', 'a', 'b', 'a'])
    expect(frames.flush()).toBe(true)
    expect(chunks.length).toBe(1)
  })

  it('that are more than fit one piece are all written, and each is whole', () => {
    const { frames, chunks } = setUp()
    const bodies = Array.from({ length: 100 }, (_, n) => Buffer.alloc(20_000, n))
    for (const body of bodies) frames.add(item({}, body))
    frames.flush()
    const arrived = read(Buffer.concat(chunks)).flatMap(({ content }) => content ?? [])
    expect(arrived.map((body) => [body.length, body[0], body.at(-1)])).toEqual(
      bodies.map((body, n) => [body.length, n, n]),
    )
  })

  it('say when the channel is full, once', () => {
    const { frames } = setUp(1)
    frames.add(item({}))
    expect(frames.flush()).toBe(false)
    expect(frames.flush()).toBe(true)
  })
})

it('a client of another make writes all by itself', () => {
  expect(createFrames({} as Channel)).toBe(null)
})
