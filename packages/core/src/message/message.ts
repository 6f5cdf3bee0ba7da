import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import type { DeadLetterInfo, Delivery } from '../adapter/contract.ts'
import { SerializationError, ValidationError } from '../errors.ts'
import { checkHeaderObject, checkInit, checkMessage, FIELDS, refuseField } from './check-message.ts'
import { adviceFor, isJsonBody } from './json-body.ts'
import { newMessageId } from './message-id.ts'

/** What a message can be made from: any subset of its fields; `queueName` may come from the call that sends it. */
export interface MessageInit<Body = unknown> {
  /** UUID by default; 1-255 bytes. */
  id?: string | undefined
  /** Any JSON value, a string, or bytes. Default `null`. */
  body?: Body | undefined
  headers?: Record<string, string> | undefined
  /** When it was made; ms precision. Default: now. */
  timestamp?: Date | undefined
  queueName?: string | undefined
  /** What subscriptions match their pattern against. */
  routingKey?: string | undefined
  correlationId?: string | undefined
  /** Where the answer of the handler goes. */
  replyTo?: string | undefined
  /** Default: `text/plain` for a string, `application/octet-stream` for bytes, else `application/json`. */
  contentType?: string | undefined
  /** `gzip` or `br`: the body is compressed on its way. */
  contentEncoding?: string | undefined
  /** Earlier failed handler runs: 0 on the first. */
  deliveryCount?: number | undefined
  /** 0-255, higher first. Default 0. */
  priority?: number | undefined
  /** ms from send until it expires. */
  ttl?: number | undefined
  /** ms from send until it can be received. */
  delay?: number | undefined
  /** Ordering key. */
  key?: string | undefined
  deduplicationId?: string | undefined
  /** 32 lower-case hexadecimal digits (W3C Trace Context); anything else is not passed on. */
  traceId?: string | undefined
  /** 16 lower-case hexadecimal digits, as above. */
  spanId?: string | undefined
  /** This and what follows a received message has: a message made from one keeps it, and sending leaves it behind. */
  redeliveries?: number | undefined
  deadLetter?: DeadLetterInfo | undefined
  redriven?: boolean | undefined
  raw?: unknown
}

const BRAND = Symbol.for('@mq/message')

/** What was kept for a received message by `received`; `undefined` for any other. */
export let heldOf: (message: Message) => unknown

/** What a delivery does not say of its message by itself: decoded, inferred, or counted here. */
export interface Received {
  readonly body: unknown
  readonly contentType: string
  readonly contentEncoding: string | undefined
  readonly queueName: string | undefined
  readonly deliveryCount: number
  /** Whatever `heldOf` is to answer. */
  readonly held: unknown
}

/** The message of a delivery: no defaults, no checks, since the sender made it. */
export let received: (delivery: Delivery, parts: Received) => Message

/** A message: what is sent, and what handlers get. */
export class Message<Body = unknown> {
  id: string
  body: Body
  headers: Record<string, string>
  timestamp: Date
  queueName: string | undefined
  routingKey: string | undefined
  correlationId: string | undefined
  replyTo: string | undefined
  contentType: string
  contentEncoding: string | undefined
  deliveryCount: number
  priority: number
  ttl: number | undefined
  delay: number | undefined
  key: string | undefined
  deduplicationId: string | undefined
  traceId: string | undefined
  spanId: string | undefined
  /** The broker's own count of unsettled returns; may over-count. 0 on messages that were not received. */
  readonly redeliveries: number
  /** Why it failed, on messages of a dead-letter queue. */
  readonly deadLetter: DeadLetterInfo | undefined
  /** Whether it was moved back from a dead-letter queue. */
  readonly redriven: boolean
  /** The client's own object, on received messages. */
  readonly raw: unknown

  /** What core knows of a received message: who settles it. Private, so that it is no part of the message's value. */
  readonly #held: unknown

  static {
    heldOf = (message) => (#held in message ? message.#held : undefined)
    // Not for users, who see the constructor's one documented form.
    const OfDelivery = Message as unknown as new (delivery: Delivery, parts: Received) => Message
    received = (delivery, parts) => new OfDelivery(delivery, parts)
  }

  /** Throws `ValidationError` for a field that no message has, and for headers that are no plain object. */
  constructor(init?: MessageInit<Body>)
  constructor(init: MessageInit<Body> = {}, parts?: Received) {
    if (parts !== undefined) {
      const delivery = init as unknown as Delivery
      this.id = delivery.id
      this.body = parts.body as Body
      // A copy: another run of the same delivery begins with what came.
      this.headers = { ...delivery.headers }
      this.timestamp = arrivedAt(delivery.timestamp)
      this.queueName = parts.queueName
      this.routingKey = delivery.routingKey
      this.correlationId = delivery.correlationId
      this.replyTo = delivery.replyTo
      this.contentType = parts.contentType
      this.contentEncoding = parts.contentEncoding
      this.deliveryCount = parts.deliveryCount
      this.priority = delivery.priority
      this.ttl = undefined
      this.delay = undefined
      this.key = delivery.key
      this.deduplicationId = delivery.deduplicationId
      this.traceId = undefined
      this.spanId = undefined
      this.redeliveries = delivery.redeliveries
      this.deadLetter = delivery.deadLetter
      this.redriven = delivery.redriven
      this.raw = delivery.raw
      this.#held = parts.held
      return
    }
    checkInit(init)
    this.id = init.id ?? newMessageId()
    this.body = (init.body === undefined ? null : init.body) as Body
    if (init.headers !== undefined) checkHeaderObject(init.headers)
    this.headers = { ...init.headers }
    this.timestamp = init.timestamp ?? new Date()
    this.queueName = init.queueName
    this.routingKey = init.routingKey
    this.correlationId = init.correlationId
    this.replyTo = init.replyTo
    this.contentType = init.contentType ?? inferContentType(init.body)
    this.contentEncoding = init.contentEncoding
    this.deliveryCount = init.deliveryCount ?? 0
    this.priority = init.priority ?? 0
    this.ttl = init.ttl
    this.delay = init.delay
    this.key = init.key
    this.deduplicationId = init.deduplicationId
    this.traceId = init.traceId
    this.spanId = init.spanId
    this.redeliveries = init.redeliveries ?? 0
    this.deadLetter = init.deadLetter
    this.redriven = init.redriven ?? false
    this.raw = init.raw
    this.#held = undefined
  }

  /**
   * Every field as JSON but `raw`, which only the client knows to read; bytes as base64 with `bodyEncoding: 'base64'`, the timestamp as an ISO string. What
   * only a received message has is there where it says something.
   */
  toJSON(): Record<string, unknown> {
    const json: Record<string, unknown> = {}
    for (const field of FIELDS) {
      const value = this[field as keyof this]
      if (value !== undefined) json[field] = value
    }
    delete json['raw']
    if (!this.redriven) delete json['redriven']
    if (this.redeliveries === 0) delete json['redeliveries']
    json['timestamp'] = this.timestamp.toISOString()
    if (isBytes(this.body)) {
      json['body'] = Buffer.from(this.body.buffer, this.body.byteOffset, this.body.byteLength).toString(
        'base64',
      )
      json['bodyEncoding'] = 'base64'
    }
    return json
  }

  /** The inverse of `toJSON`, and of `JSON.stringify` of it; takes any subset of the fields. Throws `ValidationError`. */
  static fromJSON<Body = unknown>(json: unknown): Message<Body> {
    const fields: unknown = typeof json === 'string' ? parseJson(json) : json
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
      throw new ValidationError('Message.fromJSON takes an object of fields, or its JSON text')
    }
    const { bodyEncoding, timestamp, deadLetter, ...init } = fields as Record<string, unknown>
    if (bodyEncoding === 'base64') {
      if (typeof init['body'] !== 'string') throw new ValidationError('A base64 body must be a string')
      init['body'] = new Uint8Array(Buffer.from(init['body'], 'base64'))
    } else if (bodyEncoding !== undefined) {
      throw new ValidationError(
        `bodyEncoding ${JSON.stringify(bodyEncoding)} is unknown: 'base64' is the only one`,
      )
    }
    const { headers = {} } = init
    checkHeaderObject(headers)
    if (timestamp !== undefined) init['timestamp'] = parseTimestamp(timestamp)
    if (deadLetter !== undefined) init['deadLetter'] = parseDeadLetter(deadLetter)
    const message = new Message<Body>(init)
    checkMessage(message)
    return message
  }

  /** Every field, as UTF-8 bytes of JSON. Throws `SerializationError` when the body is no JSON value. */
  serialize(): Uint8Array {
    const text = `The body of message ${this.id} is not JSON, text or bytes`
    if (!isJsonBody(this.body)) {
      const advice = adviceFor(this.body)
      throw new SerializationError(advice === null ? text : `${text}; ${advice}`)
    }
    try {
      return new TextEncoder().encode(JSON.stringify(this))
    } catch (cause) {
      throw new SerializationError(text, { cause })
    }
  }

  /** The inverse of `serialize`. Throws `SerializationError` or `ValidationError`. */
  static deserialize<Body = unknown>(bytes: Uint8Array): Message<Body> {
    if (!isBytes(bytes)) throw new ValidationError('Message.deserialize takes the bytes of serialize()')
    return Message.fromJSON<Body>(parseJson(new TextDecoder().decode(bytes)))
  }

  /** Whether a value is a message, of whichever copy of this package. */
  static is(value: unknown): value is Message {
    return typeof value === 'object' && value !== null && (value as { [BRAND]?: true })[BRAND] === true
  }
}
// On the prototype: nothing per message, and two copies of the package know each other's.
Object.defineProperty(Message.prototype, BRAND, { value: true })

/** Whether a body counts as bytes: a `Uint8Array`, Buffers included, of any realm. */
export function isBytes(body: unknown): body is Uint8Array {
  return types.isUint8Array(body)
}

export function inferContentType(body: unknown): string {
  if (typeof body === 'string') return 'text/plain'
  return isBytes(body) ? 'application/octet-stream' : 'application/json'
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SerializationError('The text is not the JSON of a message', { cause })
  }
}

/** Furthest from the epoch that a date can be, in ms. */
const MOST_MS = 8.64e15

/** A foreign client may write any number: one that is no date counts as now. */
function arrivedAt(ms: number): Date {
  return new Date(Math.abs(ms) <= MOST_MS ? ms : Date.now())
}

/** Its times back into dates. */
function parseDeadLetter(value: unknown): DeadLetterInfo {
  if (typeof value !== 'object' || value === null) refuseField('deadLetter', 'an object', value)
  const info = value as DeadLetterInfo
  return {
    ...info,
    firstFailedAt: parseTimestamp(info.firstFailedAt),
    lastFailedAt: parseTimestamp(info.lastFailedAt),
  }
}

function parseTimestamp(value: unknown): Date {
  const date = types.isDate(value) ? value : new Date(value as string | number)
  if (Number.isNaN(date.getTime()))
    throw new ValidationError(`timestamp ${JSON.stringify(value)} is not a date`)
  return date
}
