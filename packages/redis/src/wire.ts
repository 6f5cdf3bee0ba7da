import { Buffer, isAscii, isUtf8 } from 'node:buffer'
import {
  deadLetterHeaders,
  type DeadLetterInfo,
  type Delivery,
  type OutboundMessage,
  parseDeadLetterHeaders,
} from '@mq/core/adapter'
import type { Argument, Reply } from './link.ts'

/**
 * A message is the flat fields of one stream entry, so that XRANGE shows it and XADD makes one:
 * `id`, `ts` (ms), `body`, `content-type`, then what applies of the fields below in this order, trace context under its own names, user headers as `h:<name>`.
 * The order never changes: streams store names that repeat the previous entry's once.
 */
const CONTENT_TYPE = 'content-type'
const ATTEMPT = 'attempt'
const CONTENT_ENCODING = 'content-encoding'
const CORRELATION_ID = 'correlation-id'
const EXPIRES_AT = 'expires-at'
const KEY = 'key'
const DEDUPLICATION_ID = 'mq-deduplication-id'
const FIRST_FAILED_AT = 'mq-first-failed-at'
const REDRIVEN = 'mq-redriven'
const ROUTING_KEY = 'mq-routing-key'
const PRIORITY = 'priority'
const REDELIVERIES = 'redeliveries'
const REPLY_TO = 'reply-to'
const USER = 'h:'
const TRACE = new Set(['traceparent', 'tracestate', 'baggage'])

/** A delivery with what settles it on Redis. */
export interface Held extends Delivery {
  readonly lane: string
  readonly entryId: string
  /** Deliveries of this entry: a later owner has another count. */
  readonly count: number
  /** Server time in ms until which nobody else can have taken it. */
  leaseEnd: number
}

/** Bodies up to this size that are ASCII go out as text: the client writes text and text in one piece, bytes in a piece each. */
const TEXT_BODY = 8 * 1024

/** Appends the values of a message, in the order of its `layout`. */
export function encodeValues(message: OutboundMessage, out: Argument[]): void {
  out.push(message.id, String(message.timestamp), encodeBody(message.body), message.contentType)
  if (message.deliveryCount > 0) out.push(String(message.deliveryCount))
  if (message.contentEncoding !== undefined) out.push(message.contentEncoding)
  if (message.correlationId !== undefined) out.push(message.correlationId)
  if (message.expiresAt !== undefined) out.push(String(Math.ceil(message.expiresAt)))
  if (message.key !== undefined) out.push(message.key)
  if (message.deduplicationId !== undefined) out.push(message.deduplicationId)
  if (message.redriven) out.push('1')
  if (message.routingKey !== undefined) out.push(message.routingKey)
  if (message.priority > 0) out.push(String(message.priority))
  if (message.replyTo !== undefined) out.push(message.replyTo)
  for (const name of headerNames(message)) out.push(message.headers[name] as string)
}

/** Which fields a message has: equal for messages with equal names, cheap to compare. */
export function layoutOf(message: OutboundMessage): string {
  let bits = 0
  if (message.deliveryCount > 0) bits |= 1
  if (message.contentEncoding !== undefined) bits |= 2
  if (message.correlationId !== undefined) bits |= 4
  if (message.expiresAt !== undefined) bits |= 8
  if (message.key !== undefined) bits |= 16
  if (message.deduplicationId !== undefined) bits |= 32
  if (message.redriven) bits |= 64
  if (message.routingKey !== undefined) bits |= 128
  if (message.priority > 0) bits |= 256
  if (message.replyTo !== undefined) bits |= 512
  const names = headerNames(message)
  return names.length === 0 ? (PLAIN_LAYOUTS[bits] as string) : `${bits} ${names.join('\n')}`
}

const PLAIN_LAYOUTS = Array.from({ length: 1024 }, (_, bits) => String(bits))

/** The names that go with `encodeValues`. */
export function fieldNames(message: OutboundMessage): string[] {
  const out = ['id', 'ts', 'body', CONTENT_TYPE]
  if (message.deliveryCount > 0) out.push(ATTEMPT)
  if (message.contentEncoding !== undefined) out.push(CONTENT_ENCODING)
  if (message.correlationId !== undefined) out.push(CORRELATION_ID)
  if (message.expiresAt !== undefined) out.push(EXPIRES_AT)
  if (message.key !== undefined) out.push(KEY)
  if (message.deduplicationId !== undefined) out.push(DEDUPLICATION_ID)
  if (message.redriven) out.push(REDRIVEN)
  if (message.routingKey !== undefined) out.push(ROUTING_KEY)
  if (message.priority > 0) out.push(PRIORITY)
  if (message.replyTo !== undefined) out.push(REPLY_TO)
  for (const name of headerNames(message)) out.push(TRACE.has(name) ? name : USER + name)
  return out
}

const NO_NAMES: readonly string[] = []

function headerNames(message: OutboundMessage): readonly string[] {
  for (const _ in message.headers) {
    const names = Object.keys(message.headers)
    return names.length > 1 ? names.sort() : names
  }
  return NO_NAMES
}

function encodeBody(body: Uint8Array): Argument {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return bytes.length <= TEXT_BODY && isAscii(bytes) ? bytes.toString('latin1') : bytes
}

/** Failure metadata as further fields. */
export function failureFields(info: DeadLetterInfo): string[] {
  return Object.entries(deadLetterHeaders(info)).flat()
}

const JSON_TYPE = Buffer.from('application/json')
const CONTENT_TYPE_NAME = Buffer.from(CONTENT_TYPE)

/** A stream entry as a delivery. Total: whatever a foreign client wrote comes out as something. */
export function decode(
  lane: string,
  id: Buffer,
  fields: readonly Reply[],
  count: number,
  leaseEnd: number,
  raw: unknown,
  position: boolean,
): Held {
  const entryId = id.toString('latin1')
  const headers: Record<string, string> = {}
  let messageId: string | undefined
  let timestamp = Number.NaN
  let body: Buffer | undefined
  let contentType: string | undefined
  let contentEncoding: string | undefined
  let correlationId: string | undefined
  let replyTo: string | undefined
  let routingKey: string | undefined
  let key: string | undefined
  let deduplicationId: string | undefined
  let priority = 0
  let expiresAt: number | undefined
  let deliveryCount = 0
  let redeliveries = count - 1
  let firstFailedAt: number | undefined
  let redriven = false
  let dead: Record<string, string> | undefined

  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as Buffer
    const value = fields[i + 1] as Buffer
    if (name.length === 2 && name[0] === 0x69 && name[1] === 0x64) messageId = text(value)
    else if (name.length === 2 && name[0] === 0x74 && name[1] === 0x73) timestamp = time(value)
    else if (
      name.length === 4 &&
      name[0] === 0x62 &&
      name[1] === 0x6f &&
      name[2] === 0x64 &&
      name[3] === 0x79
    )
      body = value
    else if (name.length === 12 && CONTENT_TYPE_NAME.equals(name))
      contentType = value.length === 16 && JSON_TYPE.equals(value) ? 'application/json' : text(value)
    else {
      const known = text(name)
      switch (known) {
        case ATTEMPT:
          deliveryCount = digits(value) || 0
          break
        case CONTENT_ENCODING:
          contentEncoding = text(value)
          break
        case CORRELATION_ID:
          correlationId = text(value)
          break
        case EXPIRES_AT:
          expiresAt = digits(value) || undefined
          break
        case KEY:
          key = text(value)
          break
        case DEDUPLICATION_ID:
          deduplicationId = text(value)
          break
        case FIRST_FAILED_AT:
          firstFailedAt = digits(value) || undefined
          break
        case REDRIVEN:
          redriven = true
          break
        case ROUTING_KEY:
          routingKey = text(value)
          break
        case PRIORITY:
          priority = Math.min(255, digits(value) || 0)
          break
        case REDELIVERIES:
          redeliveries += digits(value) || 0
          break
        case REPLY_TO:
          replyTo = text(value)
          break
        default:
          if (known.startsWith(USER)) headers[known.slice(2)] = text(value)
          else if (known.startsWith('mq-dead-')) (dead ??= {})[known] = text(value)
          else if (!known.startsWith('mq-')) headers[known] = text(value)
      }
    }
  }
  if (body === undefined) {
    const foreign = bodyOf(fields)
    body = foreign.body
    if (foreign.json) contentType ??= 'application/json'
    for (const name of foreign.used) delete headers[name]
  }
  return {
    id: messageId ?? entryId,
    body,
    headers,
    timestamp: Number.isNaN(timestamp) ? Number(entryId.slice(0, entryId.indexOf('-'))) : timestamp,
    contentType,
    contentEncoding,
    correlationId,
    replyTo,
    routingKey,
    key,
    deduplicationId,
    priority,
    expiresAt,
    deliveryCount,
    redeliveries,
    firstFailedAt,
    redriven,
    deadLetter: dead === undefined ? undefined : parseDeadLetterHeaders(dead),
    position: position ? `${lane}:${entryId}` : undefined,
    raw,
    lane,
    entryId,
    count,
    leaseEnd,
  }
}

/** An entry without `body`: its only field is the body; several are a JSON object. */
function bodyOf(fields: readonly Reply[]): { body: Buffer; json: boolean; used: readonly string[] } {
  if (fields.length === 2)
    return { body: fields[1] as Buffer, json: false, used: [text(fields[0] as Buffer)] }
  const object: Record<string, string> = {}
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = text(fields[i] as Buffer)
    if (!name.startsWith(USER) && !name.startsWith('mq-')) object[name] = text(fields[i + 1] as Buffer)
  }
  return { body: Buffer.from(JSON.stringify(object)), json: true, used: Object.keys(object) }
}

/** Text of bytes; base64 of bytes that are none. */
function text(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString() : bytes.toString('base64')
}

/** Milliseconds since the epoch, or before it; NaN for anything else. */
function time(bytes: Buffer): number {
  return bytes[0] === 0x2d ? -digits(bytes.subarray(1)) : digits(bytes)
}

/** A decimal number, NaN for anything else. */
export function digits(bytes: Buffer): number {
  if (bytes.length === 0 || bytes.length > 15) return Number.NaN
  let n = 0
  for (let i = 0; i < bytes.length; i++) {
    const d = (bytes[i] as number) - 48
    if (d < 0 || d > 9) return Number.NaN
    n = n * 10 + d
  }
  return n
}
