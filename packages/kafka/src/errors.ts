import { types } from 'node:util'
import { AdapterError, adapterErrorOf, type Classification } from '@mq/core/adapter'

/** Type of a protocol error → what it means for the caller. */
const PROTOCOL: Readonly<Record<string, Classification>> = {
  UNKNOWN_TOPIC_OR_PARTITION: { code: 'MQ_QUEUE_NOT_FOUND', retryable: false },
  UNKNOWN_TOPIC_ID: { code: 'MQ_QUEUE_NOT_FOUND', retryable: false },
  INCONSISTENT_TOPIC_ID: { code: 'MQ_QUEUE_NOT_FOUND', retryable: false },
  GROUP_ID_NOT_FOUND: { code: 'MQ_QUEUE_NOT_FOUND', retryable: false },
  MESSAGE_TOO_LARGE: { code: 'MQ_MESSAGE_TOO_LARGE', retryable: false },
  RECORD_LIST_TOO_LARGE: { code: 'MQ_MESSAGE_TOO_LARGE', retryable: false },
  INVALID_TIMESTAMP: { code: 'MQ_VALIDATION', retryable: false },
  INVALID_RECORD: { code: 'MQ_VALIDATION', retryable: false },
  INVALID_TOPIC_EXCEPTION: { code: 'MQ_VALIDATION', retryable: false },
  INVALID_PARTITIONS: { code: 'MQ_VALIDATION', retryable: false },
  INVALID_REPLICATION_FACTOR: { code: 'MQ_VALIDATION', retryable: false },
  INVALID_CONFIG: { code: 'MQ_VALIDATION', retryable: false },
  POLICY_VIOLATION: { code: 'MQ_VALIDATION', retryable: false },
  TOPIC_ALREADY_EXISTS: { code: 'MQ_QUEUE_CONFLICT', retryable: false },
  INCONSISTENT_GROUP_PROTOCOL: { code: 'MQ_QUEUE_CONFLICT', retryable: false },
  NON_EMPTY_GROUP: { code: 'MQ_QUEUE_CONFLICT', retryable: true },
  TOPIC_AUTHORIZATION_FAILED: { code: 'MQ_AUTHENTICATION', retryable: false },
  GROUP_AUTHORIZATION_FAILED: { code: 'MQ_AUTHENTICATION', retryable: false },
  CLUSTER_AUTHORIZATION_FAILED: { code: 'MQ_AUTHENTICATION', retryable: false },
  SASL_AUTHENTICATION_FAILED: { code: 'MQ_AUTHENTICATION', retryable: false },
  UNSUPPORTED_SASL_MECHANISM: { code: 'MQ_AUTHENTICATION', retryable: false },
  ILLEGAL_SASL_STATE: { code: 'MQ_AUTHENTICATION', retryable: false },
  REQUEST_TIMED_OUT: { code: 'MQ_TIMEOUT', retryable: true },
  UNSUPPORTED_VERSION: { code: 'MQ_UNSUPPORTED', retryable: false },
  UNSUPPORTED_FOR_MESSAGE_FORMAT: { code: 'MQ_UNSUPPORTED', retryable: false },
}

/** The broker is there, and will serve again. */
const UNAVAILABLE = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'REBALANCE_IN_PROGRESS',
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'NETWORK_EXCEPTION',
  'KAFKA_STORAGE_ERROR',
  'NOT_CONTROLLER',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'THROTTLING_QUOTA_EXCEEDED',
  'CORRUPT_MESSAGE',
])

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

const CONNECTION = new Set([
  'KafkaConnectionClosed',
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNumberOfRetriesExceeded',
])

/** Type of the protocol error (`NOT_ENOUGH_REPLICAS`), or `null`. */
export function errorType(error: unknown): string | null {
  if (!types.isNativeError(error)) return null
  const type = (error as { type?: unknown }).type
  return typeof type === 'string' ? type : null
}

/** Names an error of the client, the broker or the network. */
export function classify(error: unknown): Classification {
  const own = adapterErrorOf(error)
  if (own !== null) return { code: own.code, retryable: own.retryable }
  if (!types.isNativeError(error)) return { code: 'MQ_UNKNOWN', retryable: true }
  const type = errorType(error)
  if (type !== null) {
    const known = PROTOCOL[type]
    if (known !== undefined) return known
    if (UNAVAILABLE.has(type)) return { code: 'MQ_UNAVAILABLE', retryable: true }
  }
  const { name, message } = error
  if (/^KafkaJSSASL/.test(name) || /SASL .*(fail|invalid|unsupported)|Authentication failed/i.test(message)) {
    return { code: 'MQ_AUTHENTICATION', retryable: false }
  }
  const system = (error as NodeJS.ErrnoException).code
  if (isTls(system) || /certificate|SSL routines|wrong version number|altname/i.test(message))
    return { code: 'MQ_CONNECTION', retryable: false }
  if (system !== undefined && SYSTEM.has(system)) return { code: 'MQ_CONNECTION', retryable: true }
  if (CONNECTION.has(name)) return { code: 'MQ_CONNECTION', retryable: true }
  if (name === 'KafkaConnectTimeout') return { code: 'MQ_CONNECTION', retryable: true }
  if (name === 'KafkaJSRequestTimeoutError' || name === 'TimeoutError')
    return { code: 'MQ_TIMEOUT', retryable: true }
  if (name === 'AbortError') return { code: 'MQ_ABORTED', retryable: false }
  return { code: 'MQ_UNKNOWN', retryable: true }
}

function isTls(system: string | undefined): boolean {
  return (
    system !== undefined && /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(system)
  )
}

/** Whether the way to the broker is what failed: worth another look at who leads and where. */
export function isConnectionError(error: unknown): boolean {
  const { code } = classify(error)
  return (
    code === 'MQ_CONNECTION' || (types.isNativeError(error) && error.name === 'KafkaJSRequestTimeoutError')
  )
}

const unsent = new WeakSet<object>()

/** Remembers that the request of this error never reached a socket. */
export function markUnsent<E>(error: E): E {
  if (typeof error === 'object' && error !== null) unsent.add(error)
  return error
}

export function neverSent(error: unknown): boolean {
  return typeof error === 'object' && error !== null && unsent.has(error)
}

/** Answers of a broker that prove that it stored nothing, or that what it stored went with its topic. */
const REFUSALS = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'NOT_ENOUGH_REPLICAS',
  'INVALID_TIMESTAMP',
  'INVALID_RECORD',
  'INVALID_REQUIRED_ACKS',
  'INVALID_TOPIC_EXCEPTION',
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'CORRUPT_MESSAGE',
])

/** The same, unless the broker waited for others: one that ceases to lead meanwhile says so of what it has written, too. */
const REFUSALS_AT_ONCE = new Set(['LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION'])

/** Whether an answer to a produce request says that nothing was stored. */
export function isRefusal(error: unknown, acks: 'all' | 'leader' | 'none'): boolean {
  const type = errorType(error)
  return type !== null && (REFUSALS.has(type) || (acks !== 'all' && REFUSALS_AT_ONCE.has(type)))
}

const LEADER_MOVES = new Set([
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
  'REPLICA_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
])

/**
 * A leader is being chosen, does not know yet that it is one, or its followers are not back: the same will succeed soon, if the topic is there at all. May
 * have been written all the same: for what can be written twice.
 */
export function leaderMoves(error: unknown): boolean {
  return LEADER_MOVES.has(errorType(error) ?? '')
}

/** What was asked for, which is not there any more, as an error that says so of brokers. */
export function goneAfter(what: string, cause: unknown): AdapterError {
  const error = new AdapterError('MQ_QUEUE_NOT_FOUND', `${what} does not exist`, { cause })
  return Object.assign(error, { type: 'UNKNOWN_TOPIC_OR_PARTITION' })
}
