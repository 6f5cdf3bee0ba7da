import { types } from 'node:util'
import { AdapterError, adapterErrorOf, type Classification, type Target } from '@mq/core/adapter'

/** First word of an error reply → what it means for the caller. */
const REPLIES: Readonly<Record<string, Classification>> = {
  NOAUTH: { code: 'MQ_AUTHENTICATION', retryable: false },
  WRONGPASS: { code: 'MQ_AUTHENTICATION', retryable: false },
  NOPERM: { code: 'MQ_AUTHENTICATION', retryable: false },
  NOGROUP: { code: 'MQ_QUEUE_NOT_FOUND', retryable: false },
  UNBLOCKED: { code: 'MQ_QUEUE_NOT_FOUND', retryable: false },
  WRONGTYPE: { code: 'MQ_QUEUE_CONFLICT', retryable: false },
  CROSSSLOT: { code: 'MQ_UNSUPPORTED', retryable: false },
  LOADING: { code: 'MQ_UNAVAILABLE', retryable: true },
  OOM: { code: 'MQ_UNAVAILABLE', retryable: true },
  MISCONF: { code: 'MQ_UNAVAILABLE', retryable: true },
  READONLY: { code: 'MQ_UNAVAILABLE', retryable: true },
  MASTERDOWN: { code: 'MQ_UNAVAILABLE', retryable: true },
  CLUSTERDOWN: { code: 'MQ_UNAVAILABLE', retryable: true },
  TRYAGAIN: { code: 'MQ_UNAVAILABLE', retryable: true },
  MOVED: { code: 'MQ_UNAVAILABLE', retryable: true },
  ASK: { code: 'MQ_UNAVAILABLE', retryable: true },
  BUSY: { code: 'MQ_UNAVAILABLE', retryable: true },
  MAXCLIENTS: { code: 'MQ_UNAVAILABLE', retryable: true },
  NOREPLICAS: { code: 'MQ_UNAVAILABLE', retryable: true },
}

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
])

const CLIENT = new Set([
  'ConnectionTimeoutError',
  'SocketTimeoutError',
  'ClientClosedError',
  'ClientOfflineError',
  'DisconnectsClientError',
  'SocketClosedUnexpectedlyError',
  'ReconnectStrategyError',
  'RootNodesUnavailableError',
])

const REPLY_CLASSES = new Set(['SimpleError', 'BlobError'])

/** The first word of an error reply of the server (or one of ours, where there is only `ERR`), or `null` for any other error. Inside a script's error it is looked for as well. */
export function replyCode(error: unknown): string | null {
  if (!types.isNativeError(error)) return null
  if (/invalid (username-)?password|AUTH <password> called without any password/i.test(error.message))
    return 'WRONGPASS'
  const word = /^(?:-?ERR )?([A-Z]{3,})\b/.exec(error.message)?.[1]
  if (word !== undefined && word !== 'ERR') return word
  if (error.message.includes("command not allowed when used memory > 'maxmemory'")) return 'OOM'
  if (error.message.includes('-OOM ')) return 'OOM'
  if (error.message.includes('max number of clients')) return 'MAXCLIENTS'
  return null
}

/** Whether the server itself answered with an error: the call is over then, and is not going to run. */
export function isReply(error: unknown): boolean {
  return types.isNativeError(error) && REPLY_CLASSES.has(error.constructor.name)
}

/** Whether the server answered that it serves nobody for now. The connection is none the worse for it. */
export function isPassing(error: unknown): boolean {
  return isReply(error) && classify(error).code === 'MQ_UNAVAILABLE'
}

/** Names an error of the client, the server or the network. */
export function classify(error: unknown): Classification {
  const own = adapterErrorOf(error)
  if (own !== null) return { code: own.code, retryable: own.retryable }
  if (!types.isNativeError(error)) return { code: 'MQ_UNKNOWN', retryable: true }
  // A waiting read ends with this when its stream is gone, and when the server becomes a replica.
  if (error.message.includes('instance state changed')) return { code: 'MQ_UNAVAILABLE', retryable: true }
  // Amid a script, which may have written before.
  if (error.message.includes("user executing the script can't run"))
    return { code: 'MQ_AUTHENTICATION', retryable: false }
  const word = replyCode(error)
  const known = word === null ? undefined : REPLIES[word]
  if (known !== undefined) return known
  const system = (error as NodeJS.ErrnoException).code
  if (system !== undefined && SYSTEM.has(system)) return { code: 'MQ_CONNECTION', retryable: true }
  if (
    system !== undefined &&
    /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(system)
  ) {
    return { code: 'MQ_CONNECTION', retryable: false }
  }
  if (CLIENT.has(error.constructor.name)) return { code: 'MQ_CONNECTION', retryable: true }
  if (error.name === 'AbortError' || error.constructor.name === 'AbortError')
    return { code: 'MQ_ABORTED', retryable: false }
  if (error.name === 'TimeoutError') return { code: 'MQ_TIMEOUT', retryable: true }
  const inner = (error as { errors?: unknown }).errors
  if (Array.isArray(inner) && inner.length > 0) return classify(inner[0])
  return { code: 'MQ_UNKNOWN', retryable: true }
}

/** Whether the command never reached a socket. */
export function neverSent(error: unknown): boolean {
  return (
    types.isNativeError(error) &&
    (error.constructor.name === 'ClientClosedError' || error.constructor.name === 'ClientOfflineError')
  )
}

/** Why the server accepts nothing for now, if that is what the error says. */
export function blockedReason(error: unknown): string | null {
  switch (replyCode(error)) {
    case 'OOM':
      return 'Redis is out of memory (maxmemory)'
    case 'MISCONF':
      return 'Redis cannot persist (MISCONF)'
    case 'READONLY':
      return 'Redis is a read-only replica'
    case 'LOADING':
      return 'Redis is loading its data'
    case 'NOREPLICAS':
      return 'Redis has fewer replicas than min-replicas-to-write'
    default:
      return null
  }
}

/** A queue or subscription as errors name it. */
export function nameOf(target: Target): string {
  return 'queue' in target
    ? `queue "${target.queue}"`
    : `subscription "${target.subscription}" of "${target.topic}"`
}

export function notFound(target: Target): AdapterError {
  return new AdapterError('MQ_QUEUE_NOT_FOUND', `${nameOf(target)} does not exist`)
}
