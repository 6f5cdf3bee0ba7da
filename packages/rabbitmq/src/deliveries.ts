import { Buffer } from 'node:buffer'
import type { ChannelModel, ConsumeMessage } from 'amqplib'
import type { Readable } from 'node:stream'

/** What the client's connection stands on. */
interface Internals {
  /** Arrived and not read. */
  rest: Buffer
  recvSinceLastCheck: boolean
  readonly stream: Readable
  readonly channels: readonly ({ readonly channel: Subscribed } | null | undefined)[]
  recvFrame(): unknown
}

/** A channel of it. One that closes has an `accept` of its own, which drops what still comes. */
interface Subscribed {
  readonly consumers?: ReadonlyMap<string, (message: ConsumeMessage) => void>
}

const [METHOD, HEADER, BODY, END] = [1, 2, 3, 206]

/** Class 60, method 60. */
const BASIC_DELIVER = 3_932_220

/** Type, channel and size come before the payload of a frame. */
const BEFORE = 7

/** Not all of it has arrived. */
const INCOMPLETE = -1

/** It is the client's to read. */
const OTHER = -2

/**
 * Reads messages for consumers here: of each the client makes three frames, with a view of every part, before it is one message. Whatever else comes,
 * and messages of several frames or with headers of rare types, the client reads as ever. Does nothing when the client is another than this was
 * written for.
 */
export function readDeliveries(model: ChannelModel): void {
  const connection = model.connection as unknown as Internals
  const { recvFrame, rest, channels, stream } = connection
  if (
    typeof recvFrame !== 'function' ||
    !Buffer.isBuffer(rest) ||
    !Array.isArray(channels) ||
    stream === undefined
  )
    return
  connection.recvFrame = () => {
    for (;;) {
      const bytes = connection.rest
      let at = 0
      let end = deliver(bytes, 0, channels)
      for (; end >= 0; end = deliver(bytes, at, channels)) at = end
      if (at > 0) connection.rest = bytes.subarray(at)
      if (end === OTHER) return recvFrame.call(connection)
      const more = connection.stream.read() as Buffer | null
      if (more === null) return false
      connection.recvSinceLastCheck = true
      connection.rest = at === bytes.length ? more : Buffer.concat([connection.rest, more])
    }
  }
}

/** Hands the message that begins here to its consumer. Answers where it ends, or INCOMPLETE, or OTHER. */
function deliver(bytes: Buffer, at: number, channels: Internals['channels']): number {
  const headerAt = frameEnd(bytes, at, METHOD)
  if (headerAt < 0) return headerAt
  if (bytes.readUInt32BE(at + BEFORE) !== BASIC_DELIVER) return OTHER
  const number = bytes.readUInt16BE(at + 1)
  const bodyAt = frameEnd(bytes, headerAt, HEADER)
  if (bodyAt < 0) return bodyAt
  const size = bytes.readUInt32BE(headerAt + BEFORE + 8)
  if (bytes.readUInt16BE(headerAt + 1) !== number || bytes.readUInt32BE(headerAt + BEFORE + 4) !== 0)
    return OTHER
  const end = size === 0 ? bodyAt : frameEnd(bytes, bodyAt, BODY)
  if (end < 0) return end
  if (size > 0 && (bytes.readUInt16BE(bodyAt + 1) !== number || bytes.readUInt32BE(bodyAt + 3) !== size))
    return OTHER
  const channel = channels[number]?.channel
  if (channel === undefined || Object.hasOwn(channel, 'accept')) return OTHER
  const fields = new Reader(bytes, at + BEFORE + 4).fields()
  const consumer = channel.consumers?.get(fields.consumerTag)
  if (consumer === undefined) return OTHER
  const properties = new Reader(bytes, headerAt + BEFORE + 12).properties()
  if (properties === null) return OTHER
  const content = bytes.subarray(bodyAt + BEFORE, bodyAt + BEFORE + size)
  consumer({ fields, properties, content })
  return end
}

/** The end of the frame that begins here, or INCOMPLETE, or OTHER for one of another type, or that is none. */
function frameEnd(bytes: Buffer, at: number, type: number): number {
  if (bytes.length < at + BEFORE) return at < bytes.length && bytes[at] !== type ? OTHER : INCOMPLETE
  if (bytes[at] !== type) return OTHER
  const end = at + BEFORE + bytes.readUInt32BE(at + 3)
  if (end >= bytes.length) return end - at > LARGEST ? OTHER : INCOMPLETE
  return bytes[end] === END ? end + 1 : OTHER
}

/** Longer frames are none of these; the client says what is wrong with one. */
const LARGEST = 1024 * 1024

/** Reads the payload of frames whose ends are known. */
class Reader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  byte(): number {
    return this.#bytes[this.#at++] as number
  }

  /** At most 255 bytes of text. */
  short(): string {
    return this.text(this.byte())
  }

  text(length: number): string {
    return this.#bytes.toString('utf8', this.#at, (this.#at += length))
  }

  /** A whole number of 16 or 32 bits, without a sign. */
  number(size: 2 | 4): number {
    const value = size === 2 ? this.#bytes.readUInt16BE(this.#at) : this.#bytes.readUInt32BE(this.#at)
    this.#at += size
    return value
  }

  /** 64 bits without a sign, as near as a number comes. */
  long(): number {
    return this.number(4) * 2 ** 32 + this.number(4)
  }

  /** 64 bits in two's complement. */
  signed(): number {
    return (this.number(4) | 0) * 2 ** 32 + this.number(4)
  }

  fields(): ConsumeMessage['fields'] {
    const consumerTag = this.short()
    const deliveryTag = this.long()
    const redelivered = (this.byte() & 1) === 1
    const exchange = this.short()
    return { consumerTag, deliveryTag, redelivered, exchange, routingKey: this.short() }
  }

  /** Null: there is something that the client must read. */
  properties(): ConsumeMessage['properties'] | null {
    const flags = this.number(2)
    const contentType = flags & 0x8000 ? this.short() : undefined
    const contentEncoding = flags & 0x4000 ? this.short() : undefined
    const headers = flags & 0x2000 ? this.table() : undefined
    if (headers === null) return null
    return {
      contentType,
      contentEncoding,
      headers,
      deliveryMode: flags & 0x1000 ? this.byte() : undefined,
      priority: flags & 0x0800 ? this.byte() : undefined,
      correlationId: flags & 0x0400 ? this.short() : undefined,
      replyTo: flags & 0x0200 ? this.short() : undefined,
      expiration: flags & 0x0100 ? this.short() : undefined,
      messageId: flags & 0x0080 ? this.short() : undefined,
      timestamp: flags & 0x0040 ? this.long() : undefined,
      type: flags & 0x0020 ? this.short() : undefined,
      userId: flags & 0x0010 ? this.short() : undefined,
      appId: flags & 0x0008 ? this.short() : undefined,
      clusterId: flags & 0x0004 ? this.short() : undefined,
    }
  }

  table(): Record<string, unknown> | null {
    const end = this.number(4) + this.#at
    const headers: Record<string, unknown> = {}
    while (this.#at < end) {
      const name = this.short()
      switch (this.byte()) {
        case 83: // S
          headers[name] = this.text(this.number(4))
          break
        case 108: // l
          headers[name] = this.signed()
          break
        case 73: // I
          headers[name] = this.number(4) | 0
          break
        case 115: // s
          headers[name] = (this.number(2) << 16) >> 16
          break
        case 98: // b
          headers[name] = (this.byte() << 24) >> 24
          break
        default:
          return null
      }
    }
    return headers
  }
}
