import { types } from 'node:util'
import { AdapterError, adapterErrorOf, type Classification } from '@mq/core/adapter'

/** AMQP reply codes. https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf section 1.2 */
const REPLIES: Readonly<Record<number, Classification>> = {
  311: { code: 'MQ_MESSAGE_TOO_LARGE', retryable: false },
  320: { code: 'MQ_CONNECTION', retryable: true },
  403: { code: 'MQ_AUTHENTICATION', retryable: false },
  404: { code: 'MQ_QUEUE_NOT_FOUND', retryable: false },
  405: { code: 'MQ_QUEUE_CONFLICT', retryable: false },
  406: { code: 'MQ_QUEUE_CONFLICT', retryable: false },
  501: { code: 'MQ_CONNECTION', retryable: true },
  502: { code: 'MQ_CONFIGURATION', retryable: false },
  504: { code: 'MQ_CONNECTION', retryable: true },
  505: { code: 'MQ_CONNECTION', retryable: true },
  506: { code: 'MQ_UNAVAILABLE', retryable: true },
  530: { code: 'MQ_AUTHENTICATION', retryable: false },
  540: { code: 'MQ_UNSUPPORTED', retryable: false },
  541: { code: 'MQ_UNAVAILABLE', retryable: true },
}

/** What the text of an error without a usable code says. */
const TEXTS: readonly (readonly [RegExp, Classification])[] = [
  [/ACCESS[_-]REFUSED|\b403\b/, { code: 'MQ_AUTHENTICATION', retryable: false }],
  [/NOT[_-]ALLOWED|\b530\b/, { code: 'MQ_AUTHENTICATION', retryable: false }],
  [/consumer_?timeout|delivery acknowledgement on channel/i, { code: 'MQ_CONNECTION', retryable: true }],
  [/message nacked/, { code: 'MQ_UNAVAILABLE', retryable: true }],
  [/channel (closed|ended|closing)/i, { code: 'MQ_CONNECTION', retryable: true }],
  [
    /connection (closed|closing)|heartbeat timeout|unexpected close|socket closed/i,
    { code: 'MQ_CONNECTION', retryable: true },
  ],
  [/ETIMEDOUT|ECONNRESET|ECONNREFUSED/, { code: 'MQ_CONNECTION', retryable: true }],
]

const SYSTEM = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNABORTED',
  'EADDRNOTAVAIL',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
])

/** What a server says, by the code of what is missing, of a queue that is there and out of reach: a classic queue is on one node, which may be down. */
const OUT_OF_REACH = /NOT_FOUND - home node|has crashed|is stopped by supervisor|due to timeout/

/** The AMQP reply code of an error of the client, or `null`. 404: it is missing indeed. */
export function replyCode(error: unknown): number | null {
  if (!types.isNativeError(error)) return null
  const { code } = error as { code?: unknown }
  if (typeof code !== 'number' || (code === 404 && OUT_OF_REACH.test(error.message))) return null
  return code
}

/** Whether a queue or an exchange is not there. */
export function isMissing(error: unknown): boolean {
  return classify(error).code === 'MQ_QUEUE_NOT_FOUND'
}

/** Names an error of the client, the server or the network. */
export function classify(error: unknown): Classification {
  const unknown: Classification = { code: 'MQ_UNKNOWN', retryable: true }
  const own = adapterErrorOf(error)
  if (own !== null) return { code: own.code, retryable: own.retryable }
  // The client's IllegalOperationError is made without `Error`.
  const message = textOf(error)
  if (message === null) return unknown
  const { code, name } = error as { code?: unknown; name?: unknown }
  if (typeof code === 'number') {
    // 406 is also said of messages and of consumers that are too slow.
    if (code === 406 && /message size/i.test(message))
      return { code: 'MQ_MESSAGE_TOO_LARGE', retryable: false }
    if (code === 406 && /limit in .* is reached/.test(message))
      return { code: 'MQ_UNAVAILABLE', retryable: true }
    if (code === 406 && /invalid arg/.test(message)) return { code: 'MQ_CONFIGURATION', retryable: false }
    if (code === 406 && !/inequivalent/.test(message)) return { code: 'MQ_CONNECTION', retryable: true }
    if (code === 404 && OUT_OF_REACH.test(message)) return { code: 'MQ_UNAVAILABLE', retryable: true }
    // By another consumer, who may leave: not a matter of rights.
    if (code === 403 && /in exclusive use/.test(message)) return { code: 'MQ_UNAVAILABLE', retryable: true }
    // A vhost that is down, a user without rights, a limit: said by the same code.
    if (code === 530 && /connection limit|vhost .* is down/i.test(message))
      return { code: 'MQ_UNAVAILABLE', retryable: true }
    const known = REPLIES[code]
    if (known !== undefined) return known
  }
  if (typeof code === 'string') {
    if (SYSTEM.has(code)) return { code: 'MQ_CONNECTION', retryable: true }
    if (/^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_OSSL)/.test(code))
      return { code: 'MQ_CONNECTION', retryable: false }
  }
  if (name === 'AbortError') return { code: 'MQ_ABORTED', retryable: false }
  if (name === 'TimeoutError') return { code: 'MQ_TIMEOUT', retryable: true }
  if (name === 'IllegalOperationError') return { code: 'MQ_CONNECTION', retryable: true }
  for (const [pattern, meaning] of TEXTS) if (pattern.test(message)) return meaning
  const inner = (error as { errors?: unknown }).errors
  if (Array.isArray(inner) && inner.length > 0) return classify(inner[0])
  return unknown
}

/**
 * The server knows the user and does not open the virtual host: it is missing, closed to this user or at its limit of connections, and the client does not
 * say which. `before`: it was open once, so that it may well be again.
 */
export function refusedVirtualHost(error: unknown, name: string, before: boolean): unknown {
  if (!/Expected ConnectionOpenOk; got <ConnectionClose/.test(textOf(error) ?? '')) return error
  return new AdapterError(
    before ? 'MQ_UNAVAILABLE' : 'MQ_AUTHENTICATION',
    `RabbitMQ does not open the virtual host "${name}": it is missing, closed to this user or at its limit of connections`,
    { retryable: before, cause: error },
  )
}

/** A queue that only its owner may use. */
export function locked(queue: string, cause: unknown): AdapterError {
  return new AdapterError('MQ_QUEUE_CONFLICT', `${queue} is exclusive to another connection`, { cause })
}

/** The client has no number for another channel; anything else as it is. `most`: how many one connection has. */
export function outOfChannels(error: unknown, most: number): unknown {
  if (!/no channels left/i.test(textOf(error) ?? '')) return error
  return new AdapterError(
    'MQ_UNAVAILABLE',
    `all ${most} channels of this connection are taken: each consumer, receive and look at dead letters has one. Consume with another MessageQueue, or in another process, or raise the server's channel_max`,
    { retryable: true, cause: error },
  )
}

function textOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null) return null
  try {
    const { message } = error as { message?: unknown }
    return typeof message === 'string' ? message : null
  } catch {
    return null
  }
}

/** What a refused redeclaration names: `inequivalent arg 'x' for queue 'q' in vhost '/': received … but current is …`. */
export interface Inequivalence {
  readonly argument: string
  readonly received: unknown
  readonly current: unknown
}

/** Stands for both values where the server cut its text, which has at most 255 bytes: the queue's name, or a value, was too long. */
export const CUT: unique symbol = Symbol('cut')

/** `undefined` stands for an argument that is not there. Null when the error says nothing of the kind. */
export function inequivalence(error: unknown): Inequivalence | null {
  if (replyCode(error) !== 406) return null
  const { message } = error as Error
  const argument = /inequivalent arg '([^']+)' for /.exec(message)?.[1]
  if (argument === undefined) return null
  if (/\.\.\."?$/.test(message)) return { argument, received: CUT, current: CUT }
  const found = /: received (.*) but current is (.*?)"?$/s.exec(message)
  if (found === null) return null
  const numeric = !TEXT_ARGUMENTS.test(argument)
  return {
    argument,
    received: value(found[1] as string, numeric),
    current: value(found[2] as string, numeric),
  }
}

/** Where digits are text all the same. */
const TEXT_ARGUMENTS = /^(alternate-exchange|x-dead-letter-|x-queue-type|x-overflow|x-queue-.*-locator)/

/** Forms seen on 3.10 and 4.0: `none`, `'true'`, `'600000'`, `the value '5' of type 'signedint'`. */
function value(text: string, numeric: boolean): unknown {
  if (text === 'none') return undefined
  const typed = /^the value '(.*)' of type '(\w+)'$/s.exec(text)
  const raw = typed?.[1] ?? /^'(.*)'$/s.exec(text)?.[1] ?? text
  if (typed?.[2] === 'longstr') return raw
  if (raw === 'true' || typed?.[2] === 'bool') return raw === 'true'
  if (raw === 'false') return false
  return numeric && /^-?\d+(\.\d+)?$/.test(raw) ? Number(raw) : raw
}
