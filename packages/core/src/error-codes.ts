/**
 * Every code that an error of this library can carry, with the class that carries it.
 * Codes are stable across releases; messages may improve. `docs/errors.md` has one heading per code.
 */
export const ErrorCode = {
  /** `ConfigurationError`: a configuration, an environment variable or an option is wrong. */
  CONFIGURATION: 'MQ_CONFIGURATION',
  /** `ConfigurationError`: the package of the chosen broker (or codec) is not installed. */
  PACKAGE_MISSING: 'MQ_PACKAGE_MISSING',
  /** `ConnectionError`: the broker cannot be reached, or the connection was lost. */
  CONNECTION: 'MQ_CONNECTION',
  /** `ConnectionError`: the broker refused the credentials. Trying again cannot help. */
  AUTHENTICATION: 'MQ_AUTHENTICATION',
  /** `NotConnectedError`: a call before `connect()` or after `disconnect()`. */
  NOT_CONNECTED: 'MQ_NOT_CONNECTED',
  /** `PublishError`: the broker did not take a message; see `certainty` and `failures`. */
  PUBLISH: 'MQ_PUBLISH',
  /** `PublishError`: the queue is at its `maxLength` or `maxLengthBytes`. */
  QUEUE_FULL: 'MQ_QUEUE_FULL',
  /** `PublishError`: the body or the headers are above the limit, which the message names. */
  MESSAGE_TOO_LARGE: 'MQ_MESSAGE_TOO_LARGE',
  /** `PublishError` (of a send) or `MessageQueueError`: the caller's `AbortSignal` ended the call. */
  ABORTED: 'MQ_ABORTED',
  /** `PublishError` (of a send) or `MessageQueueError`: a deadline passed before the broker answered. */
  TIMEOUT: 'MQ_TIMEOUT',
  /** `UnsupportedError`: this broker cannot honour an option; the message names the alternative. */
  UNSUPPORTED: 'MQ_UNSUPPORTED',
  /** `SerializationError`: a body cannot be encoded or decoded. */
  SERIALIZATION: 'MQ_SERIALIZATION',
  /** `ValidationError`: an argument or a body is not what it must be. */
  VALIDATION: 'MQ_VALIDATION',
  /** `QueueNotFoundError`: the queue, topic or subscription does not exist and may not be declared. */
  QUEUE_NOT_FOUND: 'MQ_QUEUE_NOT_FOUND',
  /** `QueueConflictError`: it exists with another configuration; both values are named. */
  QUEUE_CONFLICT: 'MQ_QUEUE_CONFLICT',
  /** `HandlerNotFoundError`: a queue is to be consumed for which no handler is registered. */
  HANDLER_NOT_FOUND: 'MQ_HANDLER_NOT_FOUND',
  /** `AlreadySettledError`: a message was acknowledged or rejected a second time. */
  ALREADY_SETTLED: 'MQ_ALREADY_SETTLED',
  /** `LeaseLostError`: the message no longer belongs to this receiver. */
  LEASE_LOST: 'MQ_LEASE_LOST',
  /** `RequestTimeoutError`: no reply came in time. */
  REQUEST_TIMEOUT: 'MQ_REQUEST_TIMEOUT',
  /** `RemoteError`: the handler of a request failed. */
  REMOTE: 'MQ_REMOTE',
  /** `RejectError`: thrown by a handler to dead-letter a message at once. */
  REJECT: 'MQ_REJECT',
  /** `RetryError`: thrown by a handler to retry a message after a delay of its own. */
  RETRY: 'MQ_RETRY',
  /** `MessageQueueError`: a handler ran longer than its `timeoutMs`. */
  HANDLER_TIMEOUT: 'MQ_HANDLER_TIMEOUT',
  /** `MessageQueueError`: the broker is up but cannot serve now (loading, out of memory or disk, no leader). */
  UNAVAILABLE: 'MQ_UNAVAILABLE',
  /** `MessageQueueError`: the broker's client failed in a way that no other code names; see `cause`. */
  UNKNOWN: 'MQ_UNKNOWN',
} as const
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]
