import { Buffer } from 'node:buffer'
import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import type { Duplex } from 'node:stream'
import type { ConsumeMessage } from 'amqplib'

/** A frame as the client reads it. */
export interface Frame {
  readonly id?: number
  readonly channel: number
  readonly size?: number
  readonly fields?: Readonly<Record<string, unknown>>
  readonly content?: Buffer
}

export interface ClientChannel extends EventEmitter {
  ch: number
  registerConsumer(tag: string, consumer: (message: ConsumeMessage) => void): void
  handleDelivery(message: ConsumeMessage): void
  accept(frame: Frame): void
}

export interface ClientConnection {
  rest: Buffer
  readonly channels: ({ readonly channel: ClientChannel } | null | undefined)[]
  recvFrame(): Frame | false
}

const own = createRequire(createRequire(import.meta.url).resolve('amqplib'))

/** Parts of the client that are not its interface: what we write and read by ourselves is held against them. */
const { encodeMethod, encodeProperties, BasicDeliver, BasicPublish, BasicProperties, ConfirmSelectOk } = own(
  './lib/defs.js',
) as {
  encodeMethod(method: number, channel: number, fields: object): Buffer
  encodeProperties(kind: number, channel: number, size: number, fields: object): Buffer
  BasicDeliver: number
  BasicPublish: number
  BasicProperties: number
  ConfirmSelectOk: number
}
const { makeBodyFrame } = own('./lib/frame.js') as {
  makeBodyFrame(channel: number, payload: Buffer): Buffer
}
export const { Connection } = own('./lib/connection.js') as {
  Connection: new (stream: Duplex) => ClientConnection
}
export const { BaseChannel } = own('./lib/channel.js') as {
  BaseChannel: new (connection: ClientConnection) => ClientChannel
}

const MOST_BODY = 1000

/** What the client makes of a message, in body frames that are short. */
function content(channel: number, properties: object, body: Buffer): Buffer[] {
  const frames = [encodeProperties(BasicProperties, channel, body.length, properties)]
  for (let at = 0; at < body.length; at += MOST_BODY)
    frames.push(makeBodyFrame(channel, body.subarray(at, at + MOST_BODY)))
  return frames
}

export const written = {
  publish: (channel: number, fields: object, properties: object, body: Buffer): Buffer =>
    Buffer.concat([encodeMethod(BasicPublish, channel, fields), ...content(channel, properties, body)]),
  deliver: (channel: number, fields: object, properties: object, body: Buffer): Buffer =>
    Buffer.concat([encodeMethod(BasicDeliver, channel, fields), ...content(channel, properties, body)]),
  /** An answer, as those that come between messages. */
  answer: (channel: number): Buffer => encodeMethod(ConfirmSelectOk, channel, {}),
}
