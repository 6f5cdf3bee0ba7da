import { type DeadLetterInfo, DeadLetterReason, WireHeader } from '@mq/core/adapter'
import { isDelayQueue } from './names.ts'

/** Headers that the server writes by itself. */
export function isBrokerHeader(name: string): boolean {
  return (
    name.startsWith('x-') &&
    (name === 'x-death' ||
      name === 'x-delivery-count' ||
      name === 'x-acquired-count' ||
      name === 'x-stream-offset' ||
      name.startsWith('x-first-death-') ||
      name.startsWith('x-last-death-'))
  )
}

/** The server's words for why it moved a message. https://www.rabbitmq.com/docs/dlx#effects */
const REASONS: Readonly<Record<string, DeadLetterReason>> = {
  rejected: DeadLetterReason.REJECTED,
  expired: DeadLetterReason.EXPIRED,
  maxlen: DeadLetterReason.MAX_LENGTH,
  delivery_limit: DeadLetterReason.DELIVERY_LIMIT,
}

const WORDS: Readonly<Record<string, string>> = {
  rejected: 'A consumer rejected the message',
  expired: 'The message expired while it waited',
  maxlen: 'The queue was full, and drops its oldest messages',
  delivery_limit: 'The message was delivered too often without being settled',
}

interface Death {
  readonly reason?: unknown
  readonly queue?: unknown
  readonly time?: unknown
}

/**
 * Why the server itself dead-lettered a message, newest first, leaving out the queues where messages only wait. The handler runs until
 * then are those that the message carries.
 */
export function brokerDeadLetter(
  headers: Readonly<Record<string, unknown>>,
  control: Readonly<Record<string, unknown>> | undefined,
): DeadLetterInfo | undefined {
  const deaths = headers['x-death']
  if (!Array.isArray(deaths)) return undefined
  const death = (deaths as (Death | null)[]).find(
    (each) => typeof each?.queue === 'string' && !isDelayQueue(each.queue) && typeof each.reason === 'string',
  )
  if (death === undefined || death === null) return undefined
  const word = death.reason as string
  const at = secondsOf(death.time)
  const firstFailed = Number(control?.[WireHeader.FIRST_FAILED_AT])
  const colon = (death.queue as string).indexOf(':')
  const queue = death.queue as string
  const partition = /::p\d+$/.test(queue)
  return {
    reason: REASONS[word] ?? DeadLetterReason.REJECTED,
    queue: colon < 0 ? queue : queue.slice(0, colon),
    subscription: colon < 0 || partition ? null : queue.slice(colon + 1),
    attempts: Math.max(0, Math.trunc(Number(control?.[WireHeader.ATTEMPT] ?? 0)) || 0),
    firstFailedAt: new Date(Number.isFinite(firstFailed) && firstFailed > 0 ? firstFailed : at),
    lastFailedAt: new Date(at),
    error: { name: 'Error', message: WORDS[word] ?? word, stack: '' },
    host: '',
  }
}

function secondsOf(time: unknown): number {
  const seconds =
    typeof time === 'object' && time !== null ? Number((time as { value?: unknown }).value) : Number(time)
  return Number.isFinite(seconds) ? seconds * 1000 : 0
}
