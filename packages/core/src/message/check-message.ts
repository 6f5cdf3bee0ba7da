import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { didYouMean } from '../config/suggest.ts'
import { ValidationError } from '../errors.ts'
import type { MessageInit } from './message.ts'

/** The fields that a message has. */
export const FIELDS: ReadonlySet<string> = new Set([
  'id',
  'body',
  'headers',
  'timestamp',
  'queueName',
  'routingKey',
  'correlationId',
  'replyTo',
  'contentType',
  'contentEncoding',
  'deliveryCount',
  'priority',
  'ttl',
  'delay',
  'key',
  'deduplicationId',
  'traceId',
  'spanId',
  'redeliveries',
  'deadLetter',
  'redriven',
  'raw',
])

/** Refuses what no message can be made from, fields that none has included: one that is misspelled must not be ignored. */
export function checkInit(init: unknown): void {
  if (typeof init !== 'object' || init === null) {
    throw new ValidationError('A message is made from an object of fields, such as { body, queueName }')
  }
  for (const field in init) {
    if (!FIELDS.has(field))
      throw new ValidationError(
        `A message has no field ${JSON.stringify(field)}${didYouMean(field, [...FIELDS])}`,
      )
  }
}

/** Refuses a message of which some field is not what its type says. Headers are checked apart. */
export function checkMessage(message: MessageInit): void {
  const { id } = message
  if (
    id !== undefined &&
    (typeof id !== 'string' ||
      id === '' ||
      id.length > 255 ||
      (id.length > 63 && Buffer.byteLength(id) > 255))
  ) {
    refuseField('id', 'a string of 1-255 bytes', id)
  }
  checkText(message.queueName, 'queueName')
  checkText(message.routingKey, 'routingKey')
  checkText(message.correlationId, 'correlationId')
  checkText(message.replyTo, 'replyTo')
  checkText(message.contentType, 'contentType')
  checkText(message.contentEncoding, 'contentEncoding')
  checkText(message.key, 'key')
  checkText(message.deduplicationId, 'deduplicationId')
  checkText(message.traceId, 'traceId')
  checkText(message.spanId, 'spanId')
  const { priority = 0, ttl, delay, deliveryCount = 0, timestamp, headers } = message
  if (!(Number.isInteger(priority) && priority >= 0 && priority <= 255))
    refuseField('priority', 'a whole number, 0-255', priority)
  if (!(Number.isInteger(deliveryCount) && deliveryCount >= 0))
    refuseField('deliveryCount', 'a whole number, 0 or more', deliveryCount)
  if (ttl !== undefined && !(Number.isFinite(ttl) && ttl > 0))
    refuseField('ttl', 'milliseconds, above 0', ttl)
  if (delay !== undefined && !(Number.isFinite(delay) && delay >= 0))
    refuseField('delay', 'milliseconds, 0 or more', delay)
  if (ttl !== undefined && delay !== undefined) checkTtl(ttl, delay)
  if (timestamp !== undefined && (!types.isDate(timestamp) || Number.isNaN(timestamp.getTime())))
    refuseField('timestamp', 'a valid Date', timestamp)
  if (headers !== undefined) checkHeaderObject(headers)
}

/** Refuses a ttl that ends before the delay does. Both in ms. */
export function checkTtl(ttl: number, delay: number): void {
  if (ttl > delay) return
  throw new ValidationError(
    `ttl (${ttl} ms) must be longer than delay (${delay} ms): the message would expire before it is due`,
  )
}

/** A `Map`, `Headers` of fetch or an array has no fields of its own: they would be lost without a word. */
export function checkHeaderObject(headers: unknown): void {
  if (typeof headers !== 'object' || headers === null || Symbol.iterator in headers)
    refuseField('headers', 'a plain object of strings', headers)
}

// Properties of AMQP are short strings: 255 bytes at most, on every broker.
function checkText(value: unknown, field: string): void {
  if (value === undefined) return
  if (typeof value !== 'string') refuseField(field, 'a string', value)
  else if (value.length > 63 && Buffer.byteLength(value) > 255)
    refuseField(field, 'a string of at most 255 bytes', value)
}

/** Throws `ValidationError`, saying what a field must be and what it is. */
export function refuseField(field: string, expected: string, value: unknown): never {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    // A value that JSON cannot show is shown by its type.
  }
  throw new ValidationError(
    `${field} of a message must be ${expected}; it is ${text?.slice(0, 100) ?? typeof value}`,
  )
}
