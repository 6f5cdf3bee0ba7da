import { Buffer, isUtf8 } from 'node:buffer'
import {
  deadLetterHeaders,
  type DeadLetterInfo,
  type Delivery,
  type OutboundMessage,
  parseDeadLetterHeaders,
  WireHeader,
} from '@mq/core/adapter'
import { eachHeader, eachHeaderPlace, type LogRecord } from './log/batch-reader.ts'
import type { RecordParts } from './log/batch-writer.ts'

/**
 * The value of a record is the body, its key the ordering key, its timestamp the message's. All else are headers: standard names for
 * what others know, `mq-…` for what is ours, and the user's own.
 */
const CONTENT_ENCODING = 'content-encoding'
const CONTENT_TYPE = 'content-type'
const CORRELATION_ID = 'correlation-id'
const PRIORITY = 'priority'
const REPLY_TO = 'reply-to'
/** A record without a value: its body is empty. */
const NULL = 'mq-null'
/** The message's own time, where a record cannot have it. */
const TIMESTAMP = 'mq-timestamp'
/** On a record without value: offsets of the same partition that a browser took away, separated by commas. */
export const REMOVED = 'mq-removed'

/** What other stacks call it → ours. Ours wins. */
const ALIASES: Readonly<Record<string, string>> = {
  kafka_correlationId: CORRELATION_ID,
  kafka_replyTopic: REPLY_TO,
  contentType: CONTENT_TYPE,
  ce_id: WireHeader.ID,
}

type Flat = (string | Uint8Array | null)[]

/** A message as a record. `deliverAt` in ms since the epoch; `address` names a requester on a topic that many share. */
export function encodeMessage(
  message: OutboundMessage,
  deliverAt: number | undefined,
  address: string | undefined,
): RecordParts {
  const headers: Flat = [WireHeader.ID, message.id, CONTENT_TYPE, message.contentType]
  if (message.contentEncoding !== undefined) headers.push(CONTENT_ENCODING, message.contentEncoding)
  if (message.correlationId !== undefined) headers.push(CORRELATION_ID, message.correlationId)
  if (message.replyTo !== undefined) headers.push(REPLY_TO, message.replyTo)
  if (message.routingKey !== undefined) headers.push(WireHeader.ROUTING_KEY, message.routingKey)
  if (message.priority > 0) headers.push(PRIORITY, String(message.priority))
  if (message.expiresAt !== undefined)
    headers.push(WireHeader.EXPIRES_AT, String(Math.ceil(message.expiresAt)))
  if (deliverAt !== undefined) headers.push(WireHeader.DELIVER_AT, String(Math.ceil(deliverAt)))
  if (message.deliveryCount > 0) headers.push(WireHeader.ATTEMPT, String(message.deliveryCount))
  if (message.redriven) headers.push(WireHeader.REDRIVEN, '1')
  if (message.deduplicationId !== undefined)
    headers.push(WireHeader.DEDUPLICATION_ID, message.deduplicationId)
  if (address !== undefined) headers.push(WireHeader.QUEUE, address)
  for (const name in message.headers) headers.push(name, message.headers[name] as string)
  let timestamp = message.timestamp
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) {
    headers.push(TIMESTAMP, String(timestamp))
    timestamp = Date.now()
  }
  return { timestamp, key: message.key ?? null, value: message.body, headers }
}

/** A record once more, with one failure more: what the wait of a retry is. Headers that are no text survive as they are. */
export function encodeRetry(
  record: LogRecord,
  deliveryCount: number,
  firstFailedAt: number,
  deliverAt: number,
): RecordParts {
  const headers = copyHeaders(
    record,
    (name) =>
      name !== WireHeader.ATTEMPT && name !== WireHeader.FIRST_FAILED_AT && name !== WireHeader.DELIVER_AT,
  )
  headers.push(WireHeader.ATTEMPT, String(deliveryCount), WireHeader.FIRST_FAILED_AT, String(firstFailedAt))
  headers.push(WireHeader.DELIVER_AT, String(Math.ceil(deliverAt)))
  return copyWith(record, headers)
}

/** A record once more, as it is. */
export function encodeAsIs(record: LogRecord): RecordParts {
  const headers = copyHeaders(record, () => true)
  return copyWith(record, headers)
}

/** A record for a dead-letter queue: it does not wait there, and failed at nothing yet. `until`: how long that queue keeps it, in ms since the epoch. */
export function encodeDead(record: LogRecord, info: DeadLetterInfo, until: number | undefined): RecordParts {
  const gone = new Set<string>([
    WireHeader.EXPIRES_AT,
    WireHeader.DELIVER_AT,
    WireHeader.ATTEMPT,
    WireHeader.FIRST_FAILED_AT,
    WireHeader.QUEUE,
  ])
  const headers = copyHeaders(record, (name) => !gone.has(name) && !name.startsWith('mq-dead-'))
  for (const [name, value] of Object.entries(deadLetterHeaders(info))) headers.push(name, value)
  if (until !== undefined) headers.push(WireHeader.EXPIRES_AT, String(Math.ceil(until)))
  return copyWith(record, headers)
}

/** Whether a dead letter was kept for as long as its queue keeps them. Of other messages core sees to it that they expire. */
export function isOver({ deadLetter, expiresAt }: Delivery): boolean {
  return deadLetter !== undefined && expiresAt !== undefined && expiresAt <= Date.now()
}

/** A record that says that others of its partition are gone. */
export function encodeRemoval(offsets: readonly number[]): RecordParts {
  return { timestamp: Date.now(), key: null, value: null, headers: [REMOVED, offsets.join(',')] }
}

/** The offsets that a record takes away, or `null` for a message. What comes later cannot have been. */
export function removalOf(record: LogRecord): number[] | null {
  if (record.value !== null) return null
  let offsets: number[] | null = null
  eachHeader(record, (name, value) => {
    if (value !== null && name.length === REMOVED.length && name.toString('latin1') === REMOVED) {
      const named = value.toString('latin1').split(',').map(Number)
      offsets = named.filter((offset) => Number.isSafeInteger(offset) && offset < record.offset)
    }
  })
  return offsets
}

/** When a record may be handed out, in ms since the epoch; 0: now. */
export function deliverAtOf(record: LogRecord): number {
  const { headers } = record
  let at = 0
  eachHeaderPlace(headers, (nameAt, nameEnd, valueAt, valueEnd) => {
    if (
      valueEnd >= 0 &&
      nameEnd - nameAt === WireHeader.DELIVER_AT.length &&
      headers.toString('latin1', nameAt, nameEnd) === WireHeader.DELIVER_AT
    ) {
      at = number(headers.toString('latin1', valueAt, valueEnd)) ?? 0
    }
  })
  return at
}

/** A record once more, with these headers in place of its own. */
function copyWith(record: LogRecord, headers: Flat): RecordParts {
  const { timestamp, key, value } = record
  return { timestamp, key, value, headers: withId(record, headers) }
}

function copyHeaders(record: LogRecord, keep: (name: string) => boolean): Flat {
  const out: Flat = []
  eachHeader(record, (name, value) => {
    if (keep(name.toString())) out.push(name, value)
  })
  return out
}

/** A foreign record is known by its place (or its alias); its copies must go on being the same message. */
function withId(record: LogRecord, headers: Flat): Flat {
  let alias: string | Uint8Array | null = null
  for (let i = 0; i < headers.length; i += 2) {
    const name = String(headers[i])
    if (name === WireHeader.ID) return headers
    if (ALIASES[name] === WireHeader.ID) alias = headers[i + 1] ?? null
  }
  headers.push(WireHeader.ID, alias ?? placeOf(record))
  return headers
}

function placeOf(record: LogRecord): string {
  return `${record.topic}/${record.partition}/${record.offset}`
}

/** What `Delivery.raw` shows. */
export class RawRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Of the record, in ms since the epoch. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly #record: LogRecord

  constructor(record: LogRecord) {
    this.topic = record.topic
    this.partition = record.partition
    this.offset = record.offset
    this.timestamp = record.timestamp
    this.key = record.key
    this.value = record.value
    this.#record = record
  }

  /** Every header, repeated ones as a list, bytes as they came. Decoded for whoever looks. */
  get headers(): Readonly<Record<string, Buffer | null | (Buffer | null)[]>> {
    // Not even `constructor` is there before somebody wrote it.
    const all = Object.create(null) as Record<string, Buffer | null | (Buffer | null)[]>
    eachHeader(this.#record, (name, each) => {
      const known = name.toString()
      const before = all[known]
      if (before === undefined) all[known] = each
      else if (Array.isArray(before)) before.push(each)
      else all[known] = [before, each]
    })
    return all
  }
}

/** A delivery as this package keeps it. */
export interface Decoded extends Omit<Delivery, 'position' | 'redeliveries'> {
  position: string | undefined
  redeliveries: number
  /** Address of the requester that it is for. */
  readonly address: string | undefined
}

const EMPTY = Buffer.alloc(0)

/** A record as a delivery. Total: whatever a foreign client wrote comes out as something. */
export function decodeRecord(record: LogRecord): Decoded {
  const headers: Record<string, string> = {}
  let id: string | undefined
  let timestamp = record.timestamp
  let contentType: string | undefined
  let contentEncoding: string | undefined
  let correlationId: string | undefined
  let replyTo: string | undefined
  let routingKey: string | undefined
  let deduplicationId: string | undefined
  let priority = 0
  let expiresAt: number | undefined
  let deliveryCount = 0
  let firstFailedAt: number | undefined
  let redriven = false
  let address: string | undefined
  let dead: Record<string, string> | undefined
  let aliases: Record<string, string> | undefined

  const bytes = record.headers
  eachHeaderPlace(bytes, (nameAt, nameEnd, valueAt, valueEnd) => {
    const name = text(bytes, nameAt, nameEnd)
    const value = valueEnd < 0 ? '' : text(bytes, valueAt, valueEnd)
    switch (name) {
      case WireHeader.ID:
        id = value
        return
      case CONTENT_TYPE:
        contentType = value
        return
      case CONTENT_ENCODING:
        contentEncoding = value
        return
      case CORRELATION_ID:
        correlationId = value
        return
      case REPLY_TO:
        replyTo = value
        return
      case WireHeader.ROUTING_KEY:
        routingKey = value
        return
      case PRIORITY:
        priority = Math.min(255, number(value) ?? 0)
        return
      case WireHeader.EXPIRES_AT:
        expiresAt = number(value)
        return
      case WireHeader.ATTEMPT:
        deliveryCount = number(value) ?? 0
        return
      case WireHeader.FIRST_FAILED_AT:
        firstFailedAt = number(value)
        return
      case WireHeader.REDRIVEN:
        redriven = true
        return
      case WireHeader.DEDUPLICATION_ID:
        deduplicationId = value
        return
      case WireHeader.QUEUE:
        address = value
        return
      case TIMESTAMP: {
        const own = Number(value)
        if (Number.isFinite(own)) timestamp = own
        return
      }
      case WireHeader.DELIVER_AT:
      case WireHeader.SEND_TOKEN:
      case WireHeader.KEY:
      case REMOVED:
        return
    }
    if (name.startsWith('mq-dead-')) (dead ??= {})[name] = value
    else {
      headers[name] = value
      if (Object.hasOwn(ALIASES, name)) (aliases ??= {})[ALIASES[name] as string] = value
    }
  })
  if (aliases !== undefined) {
    id ??= aliases[WireHeader.ID]
    contentType ??= aliases[CONTENT_TYPE]
    correlationId ??= aliases[CORRELATION_ID]
    replyTo ??= aliases[REPLY_TO]
  }
  if (record.value === null) headers[NULL] = '1'
  if (record.damage !== undefined) contentEncoding = 'damaged'
  return {
    id: id ?? placeOf(record),
    body: record.value ?? EMPTY,
    headers,
    timestamp,
    contentType,
    contentEncoding,
    correlationId,
    replyTo,
    routingKey,
    key: record.key === null ? undefined : text(record.key, 0, record.key.length),
    deduplicationId,
    priority,
    expiresAt,
    deliveryCount,
    redeliveries: 0,
    firstFailedAt,
    redriven,
    deadLetter: dead === undefined ? undefined : parseDeadLetterHeaders(dead),
    position: undefined,
    raw: new RawRecord(record),
    address,
  }
}

/** Text of bytes; base64 of bytes that are none. */
function text(bytes: Buffer, from: number, to: number): string {
  for (let i = from; i < to; i++) {
    if ((bytes[i] as number) > 127)
      return isUtf8(bytes.subarray(from, to))
        ? bytes.toString('utf8', from, to)
        : bytes.toString('base64', from, to)
  }
  // Of ASCII alone, as nearly every header is: without a look by a native call, and without a view for it.
  return bytes.toString('latin1', from, to)
}

function number(value: string): number | undefined {
  if (!/^\d{1,15}$/.test(value)) return undefined
  return Number(value) || undefined
}
