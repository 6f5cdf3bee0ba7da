import { describe, expect, it } from '@jest/globals'
import { Buffer } from 'node:buffer'
import { PassThrough } from 'node:stream'
import type { ChannelModel, ConsumeMessage } from 'amqplib'
import { readDeliveries } from '../src/deliveries.ts'
import { BaseChannel, Connection, type Frame, written } from './client.ts'

/** A connection of the client with two channels that consume, fed by hand. */
function setUp(ours: boolean) {
  const connection = new Connection(new PassThrough())
  const heard: unknown[] = []
  let byClient = 0
  const channels = [1, 2].map((ch) => {
    const channel = new BaseChannel(connection)
    channel.ch = ch
    channel.registerConsumer('tag', (message: ConsumeMessage) => heard.push([ch, message]))
    channel.on('delivery', (message: ConsumeMessage) => channel.handleDelivery(message))
    connection.channels[ch] = { channel }
    return channel
  })
  if (ours) readDeliveries({ connection } as unknown as ChannelModel)
  const stream = (connection as unknown as { stream: PassThrough }).stream
  const feed = (bytes: Buffer): void => {
    if (bytes.length > 0) stream.write(bytes)
    const next = (): Frame | false => connection.recvFrame()
    for (let frame = next(); frame !== false; frame = next()) {
      byClient++
      if (frame.size === undefined && frame.fields !== undefined && Object.keys(frame.fields).length === 0)
        heard.push('answer')
      else connection.channels[frame.channel]?.channel.accept(frame)
    }
  }
  return { feed, heard, channels, byClient: () => byClient }
}

function deliver(
  ch: number,
  deliveryTag: number,
  properties: object,
  body: Buffer,
  consumerTag = 'tag',
): Buffer {
  const fields = {
    consumerTag,
    deliveryTag,
    redelivered: deliveryTag % 2 === 0,
    exchange: 'ex',
    routingKey: 'grün',
  }
  return written.deliver(ch, fields, properties, body)
}

const PLAIN = { contentType: 'application/json', deliveryMode: 2, messageId: 'm', timestamp: 1_764_406_000 }
const ALL = {
  ...PLAIN,
  contentEncoding: 'gzip',
  headers: {
    text: 'Grüße 🎉',
    empty: '',
    ms: 1_764_406_000_123,
    n: 7,
    less: -129,
    int: -70_000,
    low: -(2 ** 53),
    'x-a': 'b',
  },
  priority: 9,
  correlationId: 'c',
  replyTo: 'r',
  expiration: '1',
  type: 't',
  userId: 'u',
  appId: 'a',
  clusterId: 'l',
}
const RARE = {
  headers: { when: { '!': 'timestamp', value: 1 }, list: ['a', 1], yes: true, none: null, half: 0.5 },
}

/** Messages as they come, among other things. */
const MIXED = [
  deliver(1, 1, PLAIN, Buffer.from('{"i":1}')),
  deliver(2, 1, ALL, Buffer.from('x')),
  written.answer(1),
  deliver(1, 2, RARE, Buffer.from('rare')),
  deliver(1, 2 ** 40 + 3, {}, Buffer.alloc(0)),
  deliver(2, 2, ALL, Buffer.alloc(1200, 7)),
  deliver(1, 3, PLAIN, Buffer.from([0xff, 0xce, 0x00])),
]

describe('messages for consumers', () => {
  it('are what the client makes of them, wherever the stream is cut', () => {
    const bytes = Buffer.concat(MIXED)
    const client = setUp(false)
    client.feed(bytes)
    expect(client.heard.length).toBe(MIXED.length)
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { feed, heard } = setUp(true)
      feed(bytes.subarray(0, cut))
      feed(bytes.subarray(cut))
      if (heard.length !== MIXED.length) expect([cut, heard.length]).toEqual([cut, MIXED.length])
      if (cut % 50 === 0 || cut === bytes.length) expect(heard).toEqual(client.heard)
    }
  })

  it('come byte by byte as well', () => {
    const client = setUp(false)
    client.feed(Buffer.concat(MIXED))
    const { feed, heard } = setUp(true)
    for (const byte of Buffer.concat(MIXED)) feed(Buffer.from([byte]))
    expect(heard).toEqual(client.heard)
  })

  it('are read by the client only where they are rare, large, or something else', () => {
    const { feed, byClient } = setUp(true)
    feed(Buffer.concat(MIXED))
    // The answer; three frames of the rare one; four of the large one.
    expect(byClient()).toBe(1 + 3 + 4)
  })

  it('for a channel that is closing are dropped, as the client drops them', () => {
    const { feed, heard, channels } = setUp(true)
    const closing = channels[0] as unknown as { accept: () => void }
    closing.accept = () => undefined
    feed(Buffer.concat(MIXED))
    expect(heard.filter((each) => Array.isArray(each) && each[0] === 1)).toEqual([])
    expect(heard.filter((each) => Array.isArray(each) && each[0] === 2).length).toBe(2)
  })

  it('for a consumer that nobody knows are the client’s to complain about', () => {
    const { feed, heard, channels } = setUp(true)
    const failed: unknown[] = []
    ;(channels[0] as unknown as { closeWithError: (...more: unknown[]) => void }).closeWithError = (
      ...more
    ) => failed.push(more[1])
    feed(deliver(1, 1, PLAIN, Buffer.from('x'), 'other'))
    expect([heard, failed]).toEqual([[], ['Error while processing message']])
  })
})

it('a connection that ends in the middle of a frame that is none is an error, as ever', () => {
  const { feed } = setUp(true)
  const bytes = deliver(1, 1, PLAIN, Buffer.from('x'))
  bytes[bytes.length - 1] = 0
  expect(() => feed(bytes)).toThrow('Invalid frame')
})

it('a client of another make reads all by itself', () => {
  const connection = { recvFrame: () => false }
  const { recvFrame } = connection
  readDeliveries({ connection } as unknown as ChannelModel)
  expect(connection.recvFrame).toBe(recvFrame)
})
