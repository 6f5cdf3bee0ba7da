import { types } from 'node:util'
import type { Channel } from 'amqplib'
import { AdapterError, adapterErrorOf, type Certainty, type PublishOutcome } from '@mq/core/adapter'
import { closeCause } from './connection.ts'
import { replyCode } from './errors.ts'
import type { Entry, Item } from './lane.ts'

export const STORED: PublishOutcome = { ok: true }

/** The client encodes the properties of a message, headers included, into 64 KiB, and each by itself into what AMQP has for it. */
export function unencodable(error: unknown): unknown {
  if (!types.isNativeError(error)) return error
  const tooLarge =
    error.name === 'RangeError'
      ? 'the headers of a message on RabbitMQ take at most 64 KiB, and the name of one 255 bytes'
      : error.name === 'TypeError'
        ? `AMQP has no room for a part of the message: ${error.message}`
        : null
  return tooLarge === null ? error : new AdapterError('MQ_MESSAGE_TOO_LARGE', tooLarge, { cause: error })
}

export function isRefusal(error: unknown): boolean {
  return types.isNativeError(error) && error.message === 'message nacked'
}

export function noLeader(): PublishOutcome {
  const error = new AdapterError('MQ_UNAVAILABLE', 'the queue has no leader', { retryable: true })
  return { ok: false, error, certainty: 'unknown' }
}

export function full(certainty: Certainty = 'not-stored'): PublishOutcome {
  return { ok: false, error: new AdapterError('MQ_QUEUE_FULL', 'the queue is full'), certainty }
}

/** Refused by a queue of which no limit is known. */
export function isUnexplained(outcome: PublishOutcome | undefined): boolean {
  return outcome?.ok === false && adapterErrorOf(outcome.error)?.code === 'MQ_UNAVAILABLE'
}

export function isFull(outcome: PublishOutcome | undefined): boolean {
  return outcome?.ok === false && adapterErrorOf(outcome.error)?.code === 'MQ_QUEUE_FULL'
}

/** What a confirm, a refusal or the end of the channel says about one message. */
export function outcomeOf(channel: Channel, { item, returned }: Entry, error: unknown): PublishOutcome {
  if (error === null || error === undefined) {
    if (!returned) return STORED
    const missing = `there is no queue "${item.routingKey}"`
    return { ok: false, error: new AdapterError('MQ_QUEUE_NOT_FOUND', missing), certainty: 'not-stored' }
  }
  if (isRefusal(error)) {
    // To a topic, other subscriptions may have taken it.
    if (item.limited === true) return full(item.exchange === '' ? 'not-stored' : 'unknown')
    if (item.limited === undefined && item.exchange === '') {
      const either = 'the queue, which was not declared here, is full or has no leader'
      const full = new AdapterError('MQ_QUEUE_FULL', either, { retryable: true })
      return { ok: false, error: full, certainty: 'unknown' }
    }
    const refused = new AdapterError(
      'MQ_UNAVAILABLE',
      'RabbitMQ could not store the message: a queue has no leader, or is full by a limit that is not known here',
      {
        retryable: true,
      },
    )
    return { ok: false, error: refused, certainty: 'unknown' }
  }
  return { ok: false, error: blame(item, closeCause(channel)), certainty: 'unknown' }
}

/** Whether an ACCESS_REFUSED names where this message goes: `access to [topic 'a.b' in ]exchange 'x' in vhost '/' refused for user 'u'`. */
function isRefusedTo({ exchange, routingKey }: Item, message: string): boolean {
  if (!message.includes(`exchange '${exchange === '' ? 'amq.default' : exchange}' in vhost`)) return false
  const topic = /access to topic '(.*?)' in exchange/.exec(message)?.[1]
  return topic === undefined || topic === routingKey
}

/** The server closes a channel because of one message; the others on it are none the worse. */
export function blame(item: Item, cause: unknown): unknown {
  const code = replyCode(cause)
  const { message } = cause as Error
  if (code === 404 && message.includes(`exchange '${item.exchange}'`))
    return new AdapterError('MQ_QUEUE_NOT_FOUND', `there is no topic "${item.exchange}"`, { cause })
  if (code === 406) {
    const size = /message size (\d+)/.exec(message)?.[1]
    if (size !== undefined && item.body.length >= Number(size)) return cause
  }
  if (code === 403 && isRefusedTo(item, message)) return cause
  return code === null
    ? cause
    : new AdapterError('MQ_CONNECTION', 'the channel was closed', { retryable: true, cause })
}
