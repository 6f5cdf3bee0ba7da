import { Buffer } from 'node:buffer'
import type { Writable } from 'node:stream'
import type { Channel } from 'amqplib'
import { AdapterError } from '@mq/core/adapter'
import type { Item } from './lane.ts'
import { type Headers, isShort } from './wire.ts'

/**
 * Frames of messages, written here. The client encodes each message into four buffers, copies them into a fifth and passes that through two streams; what
 * a call publishes on one channel is encoded into one buffer here, which goes through the client's streams once. On the wire it is the same.
 */
export interface Frames {
  /**
   * Adds a message. False, with nothing added: the client must write it, for it is large, or has values that only the client knows how to write. Throws when
   * the server takes no frame of the length of its headers.
   */
  add(item: Item): boolean
  /** Writes what was added. False: a 'drain' of the channel follows. */
  flush(): boolean
}

/** What the client's channel stands on. */
interface Internals {
  readonly ch: number
  readonly pushConfirmCallback: unknown
  readonly connection: {
    /** Longest frame, in bytes, that the server agreed to. */
    readonly frameMax: number
    sentSinceLastCheck: boolean
    readonly channels: readonly ({ readonly buffer: Writable } | null | undefined)[]
  }
}

/** A larger message is the client's: it would fill a slab by itself. So is one that the server takes in several frames only. */
const LARGEST = 64 * 1024

const SLAB_BYTES = 128 * 1024

const [METHOD, HEADER, BODY, END] = [1, 2, 3, 206]

/** Class 60, method 40. */
const BASIC_PUBLISH = 3_932_200

/** Which properties there are: a bit for each, in the order in which they are written. */
const FLAG = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  appId: 0x0008,
} as const

/** Null when the client is another than this was written for: then it writes all by itself. */
export function createFrames(channel: Channel): Frames | null {
  const { ch, connection, pushConfirmCallback } = channel as unknown as Partial<Internals>
  const stream = connection?.channels?.[ch ?? 0]?.buffer
  if (typeof connection?.frameMax !== 'number' || stream === undefined) return null
  if (typeof pushConfirmCallback !== 'function') return null
  return new Slab(ch as number, connection, stream)
}

class Slab implements Frames {
  readonly #channel: number
  readonly #connection: Internals['connection']
  readonly #stream: Writable
  readonly #largest: number
  #bytes = Buffer.alloc(0)
  /** From here on it is not written yet, up to `#at`. */
  #start = 0
  #at = 0
  /** The frame that names the destination is the same for all messages of a call. */
  #method = Buffer.alloc(0)
  #exchange: string | null = null
  #routingKey = ''
  #mandatory = false
  #room = true

  constructor(channel: number, connection: Internals['connection'], stream: Writable) {
    this.#channel = channel
    this.#connection = connection
    this.#stream = stream
    this.#largest = Math.min(LARGEST, connection.frameMax)
  }

  add(item: Item): boolean {
    const most = mostBytes(item)
    if (most > this.#largest) return this.#leave(item)
    if (this.#at + most > this.#bytes.length) {
      this.#write()
      this.#bytes = Buffer.allocUnsafe(SLAB_BYTES)
      this.#start = this.#at = 0
    }
    const before = this.#at
    this.#address(item)
    this.#at += this.#method.copy(this.#bytes, this.#at)
    if (this.#properties(item)) {
      if (item.body.length > 0) this.#body(item.body)
      return true
    }
    this.#at = before
    return this.#leave(item)
  }

  flush(): boolean {
    this.#write()
    const room = this.#room
    this.#room = true
    return room
  }

  /** To the client, unless the server would end the connection for it, and again for every attempt. */
  #leave(item: Item): false {
    if (this.#largest < LARGEST && headerBytes(item) > this.#largest) throw tooLong(this.#largest)
    return false
  }

  #write(): void {
    if (this.#at === this.#start) return
    // What the client's heartbeats go by.
    this.#connection.sentSinceLastCheck = true
    if (!this.#stream.write(this.#bytes.subarray(this.#start, this.#at))) this.#room = false
    this.#start = this.#at
  }

  #address({ exchange, routingKey, mandatory }: Item): void {
    if (exchange === this.#exchange && routingKey === this.#routingKey && mandatory === this.#mandatory)
      return
    this.#exchange = exchange
    this.#routingKey = routingKey
    this.#mandatory = mandatory
    const start = this.#begin(METHOD)
    this.#at = this.#bytes.writeUInt32BE(BASIC_PUBLISH, this.#at)
    this.#at = this.#bytes.writeUInt16BE(0, this.#at)
    this.#short(exchange)
    this.#short(routingKey)
    this.#bytes[this.#at++] = mandatory ? 1 : 0
    this.#end(start)
    this.#method = Buffer.from(this.#bytes.subarray(start, this.#at))
    this.#at = start
  }

  /** False: the client must write it. */
  #properties({ properties: p, body }: Item): boolean {
    const bytes = this.#bytes
    const start = this.#begin(HEADER)
    // Class 60, and a weight that is always 0; then the size, of 64 bits.
    bytes.writeUInt32BE(60 << 16, this.#at)
    bytes.writeUInt32BE(0, this.#at + 4)
    bytes.writeUInt32BE(body.length, this.#at + 8)
    const flagsAt = this.#at + 12
    this.#at += 14
    let flags: number = FLAG.headers | FLAG.deliveryMode
    if (this.#text(p.contentType)) flags |= FLAG.contentType
    if (this.#text(p.contentEncoding)) flags |= FLAG.contentEncoding
    if (!this.#table(p.headers ?? NONE)) return false
    bytes[this.#at++] = p.persistent === true ? 2 : 1
    if (p.priority !== undefined) {
      flags |= FLAG.priority
      bytes[this.#at++] = p.priority
    }
    if (this.#text(p.correlationId)) flags |= FLAG.correlationId
    if (this.#text(p.replyTo)) flags |= FLAG.replyTo
    if (this.#text(p.expiration)) flags |= FLAG.expiration
    if (this.#text(p.messageId)) flags |= FLAG.messageId
    if (p.timestamp !== undefined) {
      flags |= FLAG.timestamp
      this.#long(p.timestamp)
    }
    if (this.#text(p.type)) flags |= FLAG.type
    if (this.#text(p.appId)) flags |= FLAG.appId
    bytes.writeUInt16BE(flags, flagsAt)
    this.#end(start)
    return true
  }

  #body(body: Uint8Array): void {
    const start = this.#begin(BODY)
    this.#bytes.set(body, this.#at)
    this.#at += body.length
    this.#end(start)
  }

  /** Answers where the frame begins. */
  #begin(type: number): number {
    const start = this.#at
    this.#bytes[start] = type
    this.#bytes.writeUInt16BE(this.#channel, start + 1)
    this.#at = start + 7
    return start
  }

  #end(start: number): void {
    this.#bytes.writeUInt32BE(this.#at - start - 7, start + 3)
    this.#bytes[this.#at++] = END
  }

  #text(value: string | undefined): boolean {
    if (value === undefined) return false
    this.#short(value)
    return true
  }

  /** Of at most 255 bytes, as `mostBytes` made sure. */
  #short(value: string): void {
    const length = this.#bytes.write(value, this.#at + 1)
    this.#bytes[this.#at] = length
    this.#at += 1 + length
  }

  /** Headers: text and whole numbers. False: there is something else. */
  #table(headers: Headers): boolean {
    const bytes = this.#bytes
    const start = this.#at
    this.#at += 4
    for (const name in headers) {
      const value = headers[name]
      if (value === undefined) continue
      this.#short(name)
      if (typeof value === 'string') {
        bytes[this.#at] = 83 // S
        const length = bytes.write(value, this.#at + 5)
        bytes.writeUInt32BE(length, this.#at + 1)
        this.#at += 5 + length
      } else if (Number.isSafeInteger(value)) {
        bytes[this.#at++] = 108 // l
        this.#long(value as number)
      } else return false
    }
    bytes.writeUInt32BE(this.#at - start - 4, start)
    return true
  }

  /** 64 bits, in two's complement. */
  #long(value: number): void {
    this.#bytes.writeInt32BE(Math.floor(value / 2 ** 32), this.#at)
    this.#bytes.writeUInt32BE(value >>> 0, this.#at + 4)
    this.#at += 8
  }
}

const NONE: Headers = Object.freeze({})

/** Of a message without its headers and its body: both names, and nine properties of text. */
const MOST_BESIDES = 4096

/** At least what the frames of a message take; infinite if one of its texts is too long for what it is to be. */
function mostBytes({ exchange, routingKey, properties, body }: Item): number {
  const { contentType, contentEncoding, correlationId, replyTo, messageId, type, appId } = properties
  if (!(isShort(exchange) && isShort(routingKey) && fits(contentType) && fits(contentEncoding)))
    return Infinity
  if (!(fits(correlationId) && fits(replyTo) && fits(messageId) && fits(type) && fits(appId))) return Infinity
  let most = MOST_BESIDES + body.length
  const headers: Headers = properties.headers ?? NONE
  for (const name in headers) {
    if (!isShort(name)) return Infinity
    const value = headers[name]
    // Three bytes at most for each unit of UTF-16.
    most += 3 * name.length + (typeof value === 'string' ? 3 * value.length + 6 : 10)
  }
  return most
}

/** Of the frame with the properties, which is never cut. Values that only the client knows how to write count as their JSON. */
function headerBytes({ properties: { headers = NONE, ...texts } }: Item): number {
  let bytes = 36
  for (const value of Object.values(texts))
    if (typeof value === 'string') bytes += 1 + Buffer.byteLength(value)
  for (const name in headers) {
    const value = headers[name]
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
    bytes += 6 + Buffer.byteLength(name) + Buffer.byteLength(text)
  }
  return bytes
}

function tooLong(frameMax: number): AdapterError {
  const text = `the headers of a message take at most ${frameMax} bytes on this server (frame_max)`
  return new AdapterError('MQ_MESSAGE_TOO_LARGE', text)
}

function fits(value: string | undefined): boolean {
  return value === undefined || isShort(value)
}
