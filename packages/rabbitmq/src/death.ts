import { type DeadLetterInfo, DeadLetterReason, WireHeader } from '@mq/core/adapter'
import { baseOf, isCut, isDelayQueue, own } from './names.ts'

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
  readonly reason: string
  readonly queue: string
  readonly time?: unknown
  readonly exchange?: unknown
  readonly 'routing-keys'?: unknown
}

/** The newest, leaving out the queues where messages only wait. */
function lastDeath(headers: Readonly<Record<string, unknown>>): Death | undefined {
  const deaths = headers['x-death']
  if (!Array.isArray(deaths)) return undefined
  return (deaths as (Partial<Death> | null)[]).find(
    (each): each is Death =>
      typeof each?.queue === 'string' && !isDelayQueue(each.queue) && typeof each.reason === 'string',
  )
}

/** The routing key by which a topic gave a message to the queue where the server dead-lettered it: it left that by the name of another queue. */
export function routingKeyBeforeDeath(headers: Readonly<Record<string, unknown>>): string | undefined {
  const death = lastDeath(headers)
  if (death === undefined || death.exchange === '' || death.exchange === own.due) return undefined
  const keys = death['routing-keys']
  const first: unknown = Array.isArray(keys) ? keys[0] : undefined
  return typeof first === 'string' && first !== '' ? first : undefined
}

/** Why the server itself dead-lettered a message. The handler runs until then are those that the message carries. */
export function brokerDeadLetter(
  headers: Readonly<Record<string, unknown>>,
  control: Readonly<Record<string, unknown>> | undefined,
): DeadLetterInfo | undefined {
  const death = lastDeath(headers)
  if (death === undefined) return undefined
  const { queue, reason: word } = death
  const at = secondsOf(death.time)
  const firstFailed = Number(control?.[WireHeader.FIRST_FAILED_AT])
  // Of two names that were cut it is not known which they are: then it belongs to whoever asks.
  const source = isCut(queue) ? '' : baseOf(queue)
  const colon = source.indexOf(':')
  return {
    reason: REASONS[word] ?? DeadLetterReason.REJECTED,
    queue: colon < 0 ? source : source.slice(0, colon),
    subscription: colon < 0 ? null : source.slice(colon + 1),
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
