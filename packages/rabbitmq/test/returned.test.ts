import { describe, expect, it } from '@jest/globals'
import { Buffer } from 'node:buffer'
import { PassThrough } from 'node:stream'
import type { ConsumeMessage, Message } from 'amqplib'
import type { Entry } from '../src/lane.ts'
import { returnedEntry } from '../src/returned.ts'
import type { Properties } from '../src/wire.ts'
import { BaseChannel, Connection, written } from './client.ts'

function entryOf(properties: Properties, body = 'x'): Entry {
  const item = {
    exchange: '',
    routingKey: 'q',
    body: Buffer.from(body),
    properties: { messageId: 'm', persistent: true, headers: {}, ...properties },
    mandatory: true,
    limited: false,
  }
  return { item, returned: false }
}

/** What the client reads when the server sends this message back. */
function sentBack({ item }: Entry): Message {
  const connection = new Connection(new PassThrough())
  const channel = new BaseChannel(connection)
  let got: ConsumeMessage | undefined
  channel.on('delivery', (message: ConsumeMessage) => (got = message))
  const { persistent, ...own } = item.properties
  const properties = { ...own, deliveryMode: persistent === true ? 2 : 1 }
  const fields = { consumerTag: '', deliveryTag: 1, redelivered: false, exchange: '', routingKey: 'q' }
  connection.rest = written.deliver(1, fields, properties, Buffer.from(item.body))
  for (let frame = connection.recvFrame(); frame !== false; frame = connection.recvFrame())
    channel.accept(frame)
  if (got === undefined) throw new Error('nothing was read')
  return got
}

const HEADERS = { a: 'ü', timestamp_in_ms: 1_764_406_000_123, list: [1, { b: 'c' }], bytes: Buffer.from('z') }

describe('of two messages with one id, the one that is returned', () => {
  it.each<[string, Entry, Entry]>([
    ['body', entryOf({}), entryOf({}, 'y')],
    ['length', entryOf({}), entryOf({}, 'xx')],
    ['header', entryOf({ headers: HEADERS }), entryOf({ headers: { ...HEADERS, list: [1, { b: 'd' }] } })],
    ['number of headers', entryOf({ headers: { a: '1' } }), entryOf({ headers: { a: '1', b: '2' } })],
    ['time', entryOf({ timestamp: 1_764_406_000 }), entryOf({ timestamp: 1_764_406_001 })],
    ['expiry', entryOf({}), entryOf({ expiration: '5' })],
    ['priority', entryOf({}), entryOf({ priority: 3 })],
  ])('is told by its %s', (_, one, other) => {
    expect(returnedEntry([one, other], sentBack(one))).toBe(one)
    expect(returnedEntry([one, other], sentBack(other))).toBe(other)
  })

  it('is the first not returned yet where nothing tells them apart', () => {
    const [one, other] = [entryOf({ headers: HEADERS }), entryOf({ headers: HEADERS })]
    one.returned = true
    expect(returnedEntry([one, other], sentBack(other))).toBe(other)
  })

  it('is told by the id alone where the server has added to it', () => {
    const [one, other] = [entryOf({ messageId: 'n' }), entryOf({})]
    const back = sentBack(other)
    back.properties.timestamp = 1_764_406_000
    expect(returnedEntry([one, other], back)).toBe(other)
    expect(returnedEntry([one], back)).toBe(undefined)
  })
})
