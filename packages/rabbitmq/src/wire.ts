import type { ConsumeMessage, GetMessage, Message, Options } from 'amqplib'
import { randomUUID } from 'node:crypto'
import { Buffer, isUtf8 } from 'node:buffer'
import {
  deadLetterHeaders,
  type DeadLetterInfo,
  type Delivery,
  type OutboundMessage,
  parseDeadLetterHeaders,
  WireHeader,
} from '@mq/core/adapter'
import { brokerDeadLetter, isBrokerHeader, routingKeyBeforeDeath } from './death.ts'
import { DIRECT, own } from './names.ts'

/** ms, where AMQP's own timestamp has seconds. The name is that of RabbitMQ's own interceptor. */
const TIMESTAMP_MS = 'timestamp_in_ms'

/** Values for which AMQP has a slot of at most 255 bytes; longer ones travel here. */
const LONG = {
  contentType: 'mq-content-type',
  contentEncoding: 'mq-content-encoding',
  correlationId: 'mq-correlation-id',
  replyTo: 'mq-reply-to',
} as const

/** RabbitMQ acts on these when they are headers: a user's text of that name is carried under another. */
const USER = 'mq-user-'
const ACTED_ON = new Set(['CC', 'BCC'])

/** Longest `expiration` that a server takes. */
const MOST_EXPIRATION_MS = 2 ** 32 - 1

export type Headers = Record<string, unknown>
/** What a message is published with. */
export type Properties = Pick<
  Options.Publish,
  | 'contentType'
  | 'contentEncoding'
  | 'persistent'
  | 'priority'
  | 'correlationId'
  | 'replyTo'
  | 'messageId'
  | 'timestamp'
  | 'type'
  | 'appId'
  | 'mandatory'
> & { headers?: Headers; expiration?: string }

const SHORT = 255

export function isShort(value: string): boolean {
  // Three bytes at most for each unit of UTF-16.
  return value.length * 3 <= SHORT || Buffer.byteLength(value) <= SHORT
}

/**
 * Whether a text can be a property. As the address for an answer the server takes the name of its own place for one that consumes there on the same channel,
 * and ends the channel where nobody does, with all else that is under way on it.
 */
function isProperty(value: string): boolean {
  return value !== DIRECT && isShort(value)
}

function short(value: string | undefined, headers: Headers, name: string): string | undefined {
  if (value === undefined || isProperty(value)) return value
  headers[name] = value
  return undefined
}

/** The name of a header as it can be written. */
function nameOf(name: string): string {
  return isShort(name) ? name : name.slice(0, SHORT / 3)
}

/** A message as AMQP properties. `ready`: it goes to its queue, and not to where it waits first. */
export function encode(message: OutboundMessage, ready: boolean): Properties {
  const headers: Headers = { [TIMESTAMP_MS]: message.timestamp }
  for (const name in message.headers) headers[ACTED_ON.has(name) ? USER + name : name] = message.headers[name]
  const out: Properties = {
    headers,
    persistent: true,
  }
  // There are no negative ones; the header has it all the same.
  if (message.timestamp >= 0) out.timestamp = Math.floor(message.timestamp / 1000)
  const id = short(message.id, headers, WireHeader.ID)
  if (id !== undefined) out.messageId = id
  const contentType = short(message.contentType, headers, LONG.contentType)
  if (contentType !== undefined) out.contentType = contentType
  if (message.contentEncoding !== undefined) {
    const value = short(message.contentEncoding, headers, LONG.contentEncoding)
    if (value !== undefined) out.contentEncoding = value
  }
  if (message.correlationId !== undefined) {
    const value = short(message.correlationId, headers, LONG.correlationId)
    if (value !== undefined) out.correlationId = value
  }
  if (message.replyTo !== undefined) {
    const value = short(message.replyTo, headers, LONG.replyTo)
    if (value !== undefined) out.replyTo = value
  }
  if (message.priority > 0) out.priority = Math.min(255, message.priority)
  if (message.routingKey !== undefined && !isTopic(message))
    headers[WireHeader.ROUTING_KEY] = message.routingKey
  if (message.key !== undefined) headers[WireHeader.KEY] = message.key
  if (message.deduplicationId !== undefined) headers[WireHeader.DEDUPLICATION_ID] = message.deduplicationId
  if (message.deliveryCount > 0) headers[WireHeader.ATTEMPT] = message.deliveryCount
  if (message.redriven) headers[WireHeader.REDRIVEN] = '1'
  if (message.expiresAt !== undefined) {
    headers[WireHeader.EXPIRES_AT] = Math.ceil(message.expiresAt)
    // In a queue where it waits first, the broker would end the wait by it.
    if (ready) expire(out, message.expiresAt)
  }
  return out
}

function expire(out: Properties, expiresAt: number): void {
  const left = Math.ceil(expiresAt - Date.now())
  if (left <= MOST_EXPIRATION_MS) out.expiration = String(Math.max(0, left))
}

function isTopic({ destination }: OutboundMessage): boolean {
  return 'topic' in destination && !('subscription' in destination)
}

/** A delivery with what settles it. */
export interface Held extends Delivery {
  readonly raw: Message
  /** The physical queue it came from: a retry goes back there. */
  readonly queue: string
  state: 'open' | 'settling' | 'settled'
}

/** A message as a delivery. Total: whatever a foreign client wrote comes out as something. */
export function decode(raw: ConsumeMessage | GetMessage, queue: string, position: string | undefined): Held {
  const { properties, fields } = raw
  const given = (properties.headers ?? NOTHING) as Headers
  const headers: Record<string, string> = {}
  let dead: Record<string, string> | undefined
  let control = NOTHING
  for (const name in given) {
    if (name === TIMESTAMP_MS) continue
    if (!name.startsWith('mq-')) {
      if (!isBrokerHeader(name)) headers[name] = text(given[name])
    } else if (name.startsWith('mq-dead-')) (dead ??= {})[name] = text(given[name])
    else if (CONTROL.has(name)) {
      if (control === NOTHING) control = {}
      control[name] = given[name]
    } else headers[name.startsWith(USER) ? name.slice(USER.length) : name] = text(given[name])
  }
  // Foreign clients' own: AMQP has properties for them, other brokers have headers.
  if (properties.type !== undefined) headers['type'] ??= text(properties.type)
  if (properties.appId !== undefined) headers['app-id'] ??= text(properties.appId)
  const deadByBroker = dead === undefined ? brokerDeadLetter(given, control) : undefined
  const toQueue = fields.exchange === '' || fields.exchange === own.due
  const byTopic =
    toQueue || fields.routingKey === '' ? deadByBroker && routingKeyBeforeDeath(given) : fields.routingKey
  return {
    id: either(properties.messageId, control[WireHeader.ID]) || randomUUID(),
    body: raw.content,
    headers,
    timestamp: timestamp(given[TIMESTAMP_MS], properties.timestamp),
    contentType: either(properties.contentType, control[LONG.contentType]),
    contentEncoding: either(properties.contentEncoding, control[LONG.contentEncoding]),
    correlationId: either(properties.correlationId, control[LONG.correlationId]),
    replyTo: either(properties.replyTo, control[LONG.replyTo]),
    routingKey: either(control[WireHeader.ROUTING_KEY], byTopic),
    key: either(control[WireHeader.KEY], undefined),
    deduplicationId: either(control[WireHeader.DEDUPLICATION_ID], undefined),
    priority: Math.min(255, count(properties.priority)),
    // What the broker dead-lettered starts anew, as what core dead-letters does.
    expiresAt: deadByBroker === undefined ? expiresAt(control[WireHeader.EXPIRES_AT]) : undefined,
    deliveryCount: deadByBroker === undefined ? count(control[WireHeader.ATTEMPT]) : 0,
    redeliveries: redeliveries(given, fields.redelivered),
    firstFailedAt:
      deadByBroker === undefined ? count(control[WireHeader.FIRST_FAILED_AT]) || undefined : undefined,
    redriven: control[WireHeader.REDRIVEN] !== undefined,
    deadLetter: deadByBroker ?? (dead === undefined ? undefined : parseDeadLetterHeaders(dead)),
    position,
    raw,
    queue,
    state: 'open',
  }
}

const NOTHING: Headers = Object.freeze({})

/** The first that is there, as text. */
function either(value: unknown, otherwise: unknown): string | undefined {
  const found = value ?? otherwise
  return typeof found === 'string' ? found : found === undefined || found === null ? undefined : text(found)
}

const CONTROL = new Set<string>([...Object.values(WireHeader), ...Object.values(LONG)])

function timestamp(ms: unknown, seconds: unknown): number {
  if (typeof ms === 'number' && Number.isFinite(ms)) return ms
  if (typeof seconds === 'number' && Number.isFinite(seconds)) return seconds * 1000
  return Date.now()
}

function expiresAt(value: unknown): number | undefined {
  if (value === undefined) return undefined
  const n = Number(value)
  return Number.isFinite(n) ? n : undefined
}

/** Classic queues only say whether; quorum queues count, of late also what was handed out and given back without a fault. */
function redeliveries(headers: Headers, redelivered: boolean): number {
  // Whoever moves messages from queue to queue, a shovel for example, moves the count of the queue before with them.
  if (!redelivered) return 0
  const counted = headers['x-delivery-count'] ?? headers['x-acquired-count']
  if (counted === undefined) return 1
  return Math.max(count(headers['x-delivery-count']), count(headers['x-acquired-count']))
}

function count(value: unknown): number {
  if (value === undefined) return 0
  const n = Math.trunc(Number(value))
  return Number.isFinite(n) && n > 0 ? n : 0
}

/** Any value of an AMQP table as text; base64 of bytes that are none. */
function text(value: unknown): string {
  if (typeof value === 'string') return value
  if (Buffer.isBuffer(value)) return isUtf8(value) ? value.toString() : value.toString('base64')
  if (value === null || value === undefined) return ''
  if (typeof value === 'object') {
    const tagged = value as { '!'?: unknown; value?: unknown }
    if ('!' in tagged && 'value' in tagged) return text(tagged.value)
    return json(value)
  }
  return typeof value === 'symbol' || typeof value === 'function' ? '' : (value as number).toString()
}

/** The largest number of 64 bits that is one of JavaScript's. */
const LARGEST_UNSIGNED = 2 ** 64 - 2048

/** Levels of tables in tables that a copy keeps as such. */
const DEEPEST = 32

/** Empty for what is nested too deeply. */
function json(value: object): string {
  try {
    return JSON.stringify(value)
  } catch {
    return ''
  }
}

/** A value of a foreign client's as this one writes it. Total: it writes less than it reads, and a copy must not fail for that. */
function writable(value: unknown, depth = 0): unknown {
  if (typeof value === 'number') {
    const long = Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63
    return long ? value : { '!': 'double', value }
  }
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value
  if (depth === DEEPEST) return json(value)
  if (Array.isArray(value)) return value.map((each) => writable(each, depth + 1))
  if (!Object.hasOwn(value, '!'))
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => [nameOf(name), writable(each, depth + 1)]),
    )
  const tagged = value as { '!': unknown; value?: unknown }
  if (tagged['!'] === 'decimal') return value
  // Anything else of this form is a table that happens to look like it, and cannot be written at all.
  if (tagged['!'] !== 'timestamp' || typeof tagged.value !== 'number') return json(value)
  return { '!': 'timestamp', value: Math.min(tagged.value, LARGEST_UNSIGNED) }
}

/** The properties of a copy: as they came, a foreign client's types included, without what the broker added. */
function copyOf(held: Held, drop: (name: string) => boolean): Properties & { headers: Headers } {
  const { properties } = held.raw
  const headers: Headers = {}
  const given = (properties.headers ?? {}) as Headers
  for (const name in given)
    if (!isBrokerHeader(name) && !drop(name))
      // They have been acted on when it was published, and its copies are for one queue.
      headers[ACTED_ON.has(name) ? USER + name : nameOf(name)] = writable(given[name])
  const out: Properties & { headers: Headers } = { headers, persistent: true }
  const kept = out as unknown as Headers
  for (const name of KEPT) {
    const value: unknown = properties[name]
    if (value === undefined || value === null) continue
    // Bytes that are no UTF-8 are read as text of three times the length.
    const elsewhere = ELSEWHERE[name]
    if (elsewhere !== undefined && typeof value === 'string' && !isProperty(value))
      headers[elsewhere] ??= value
    else kept[name] = value
  }
  // The client reads numbers of 64 bits that it cannot write again.
  if (out.timestamp !== undefined && out.timestamp > LARGEST_UNSIGNED) delete out.timestamp
  if (out.messageId === undefined && headers[WireHeader.ID] === undefined) {
    const id = short(held.id, headers, WireHeader.ID)
    if (id !== undefined) out.messageId = id
  }
  if (held.routingKey !== undefined) headers[WireHeader.ROUTING_KEY] = held.routingKey
  return out
}

const KEPT = [
  'contentType',
  'contentEncoding',
  'priority',
  'correlationId',
  'replyTo',
  'messageId',
  'timestamp',
  'type',
  'appId',
] as const

/** The header that is read where a property of text is missing. */
const ELSEWHERE: Readonly<Partial<Record<(typeof KEPT)[number], string>>> = {
  ...LONG,
  messageId: WireHeader.ID,
  type: 'type',
  appId: 'app-id',
}

/** A copy for another attempt. */
export function retryCopy(held: Held, now: number, ready: boolean): Properties {
  const out = returnCopy(held, now, ready)
  out.headers[WireHeader.ATTEMPT] = held.deliveryCount + 1
  out.headers[WireHeader.FIRST_FAILED_AT] = held.firstFailedAt ?? now
  return out
}

/** A copy that stands for the message as it is, without the server's count. */
export function returnCopy(held: Held, now: number, ready: boolean): Properties & { headers: Headers } {
  // What the broker itself dead-lettered says so by headers that a copy does not have, and its time is over no more.
  const out = copyOf(held, (name) => name === WireHeader.EXPIRES_AT && held.expiresAt === undefined)
  const { headers } = out
  if (held.deadLetter !== undefined)
    for (const [name, value] of Object.entries(deadLetterHeaders(held.deadLetter))) headers[name] ??= value
  const expiresAt = held.expiresAt ?? foreignExpiry(held, now)
  if (expiresAt === undefined) return out
  headers[WireHeader.EXPIRES_AT] ??= expiresAt
  if (ready) expire(out, expiresAt)
  return out
}

/** When a message expires that its sender gave AMQP's own time alone. How long it waited until now is not known, so that it begins once more, and only once. */
function foreignExpiry({ raw }: Held, now: number): number | undefined {
  const { expiration } = raw.properties as { expiration?: unknown }
  if (typeof expiration !== 'string' || expiration === '') return undefined
  const ms = Number(expiration)
  return Number.isFinite(ms) ? now + ms : undefined
}

const ENDS_WITH_DEATH = new Set<string>([
  WireHeader.ATTEMPT,
  WireHeader.FIRST_FAILED_AT,
  WireHeader.EXPIRES_AT,
])

/** A copy for a dead-letter queue, with why. */
export function deadCopy(held: Held, failure: DeadLetterInfo): Properties {
  const out = copyOf(held, (name) => ENDS_WITH_DEATH.has(name) || name.startsWith('mq-dead-'))
  Object.assign(out.headers, deadLetterHeaders(failure))
  return out
}
