import { Buffer } from 'node:buffer'
import { ValidationError } from '../errors.ts'

// The dead letters of a queue with the longest name can be consumed as well.
const QUEUE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}(\.dlq)?$/

/** Whether a name may be given to a queue, topic or subscription, on every broker. */
export function isQueueName(name: unknown): name is string {
  return typeof name === 'string' && QUEUE_NAME.test(name)
}

/** Refuses what no broker should be asked for. */
export function checkQueueName(name: unknown, what = 'queue name'): string {
  if (isQueueName(name)) return name
  throw new ValidationError(
    `${JSON.stringify(name) ?? String(name)} is not a ${what}: 1-200 letters, digits, dots, underscores or hyphens, ` +
      'the first a letter or digit',
  )
}

/**
 * Refuses a subscription's pattern that no broker should be asked for. Words are separated by dots; `*` and `#` are whole words: within
 * one they would match themselves alone. Patterns are short strings on AMQP: 255 bytes.
 */
export function checkPattern(pattern: unknown): string {
  if (typeof pattern === 'string' && pattern !== '' && Buffer.byteLength(pattern) <= 255) {
    const mixed = pattern.split('.').some((word) => word.length > 1 && /[*#]/.test(word))
    if (!mixed) return pattern
  }
  throw new ValidationError(
    `${JSON.stringify(pattern) ?? String(pattern)} is not a pattern: 1-255 bytes of words separated by dots, ` +
      'such as orders.* (one more word) or orders.# (any number of words)',
  )
}

const INTERNAL_SUFFIX = /\.(retry|delay)$/

/** Queues that the library alone makes and sends to. One that ends in `.dlq` may be created by hand, for a retention of its own. */
export function isInternalName(name: string): boolean {
  return INTERNAL_SUFFIX.test(name)
}

/** The dead-letter queue of a queue or subscription unless another one is named. */
export function deadLetterQueueName(queue: string, subscription: string | null): string {
  return subscription === null ? `${queue}.dlq` : `${queue}.${subscription}.dlq`
}

/** Header names that a broker or this library uses for itself, on any broker: refused from users on all of them. */
const RESERVED = new Set([
  'content-type',
  'content-encoding',
  'correlation-id',
  'reply-to',
  'message-id',
  'priority',
  'expiration',
  'timestamp_in_ms',
  'x-death',
  'x-delivery-count',
  'x-acquired-count',
  'x-first-death-queue',
  'x-first-death-reason',
  'x-first-death-exchange',
  'x-last-death-queue',
  'x-last-death-reason',
  'x-last-death-exchange',
  'x-delay',
  'x-stream-offset',
  'kafka_correlationid',
  'kafka_replytopic',
  // Setting it on an object does nothing.
  '__proto__',
])

// Printable ASCII without control characters. https://www.rfc-editor.org/rfc/rfc9110#name-field-names is narrower; brokers are not.
const HEADER_NAME = /^[\x20-\x7e]{1,128}$/

/** All headers together, names and values in UTF-8: AMQP's table must fit one frame. */
export const MAX_HEADER_BYTES = 32 * 1024

/** Refuses headers that some broker could not carry. */
export function checkHeaders(headers: Readonly<Record<string, unknown>>): void {
  let bytes = 0
  for (const name in headers) {
    const value = headers[name]
    if (typeof value !== 'string') {
      throw new ValidationError(
        `Header ${JSON.stringify(name)} must be a string; it is ${value === null ? 'null' : typeof value}: convert it first`,
      )
    }
    if (!HEADER_NAME.test(name)) {
      throw new ValidationError(
        `Header name ${JSON.stringify(name)} must be 1-128 characters of printable ASCII`,
      )
    }
    const lower = name.toLowerCase()
    if (lower.startsWith('mq-') || RESERVED.has(lower)) {
      throw new ValidationError(
        `Header ${JSON.stringify(name)} is used by brokers, by this library or by JavaScript itself: choose another name`,
      )
    }
    bytes += name.length + Buffer.byteLength(value)
  }
  if (bytes > MAX_HEADER_BYTES) {
    throw new ValidationError(`Headers are ${bytes} bytes; all together may be at most ${MAX_HEADER_BYTES}`)
  }
}
