import { types } from 'node:util'
import type { Certainty } from './adapter/contract.ts'
import type { Difference } from './adapter/adapter-error.ts'
import { ErrorCode } from './error-codes.ts'

const BRAND = Symbol.for('@mq/error')

interface ErrorDetails {
  code?: ErrorCode
  cause?: unknown
  /** On errors of a send: whether the broker may hold the message. */
  certainty?: Certainty | undefined
}

/** Every error that this library makes. `code` is stable; `cause` holds the client's own error, if there is one. */
export class MessageQueueError extends Error {
  readonly code: ErrorCode
  /** Set on every rejection of a send: `not-stored`, or `unknown` when the broker may hold the message. */
  certainty?: Certainty

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = details.code ?? ErrorCode.UNKNOWN
    if (details.certainty !== undefined) this.certainty = details.certainty
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** Whether a value is an error of this library, of whichever copy of the package. */
  static is(error: unknown): error is MessageQueueError {
    return types.isNativeError(error) && (error as { [BRAND]?: true })[BRAND] === true
  }
}

/** One problem of a configuration: where, what was found (secrets hidden), what was expected. */
export interface ConfigurationProblem {
  /** Path (`connection.port`) or environment variable (`REDIS_PORT`). */
  readonly path: string
  /** The value as text, secrets hidden. */
  readonly value: string
  readonly expected: string
}

/** A configuration is wrong; `problems` lists everything that is. */
export class ConfigurationError extends MessageQueueError {
  readonly problems: readonly ConfigurationProblem[]

  constructor(message: string, details: ErrorDetails & { problems?: readonly ConfigurationProblem[] } = {}) {
    super(message, { code: ErrorCode.CONFIGURATION, ...details })
    this.problems = details.problems ?? []
  }
}

/** The broker cannot be reached, or refused the credentials (`MQ_AUTHENTICATION`). */
export class ConnectionError extends MessageQueueError {
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { code: ErrorCode.CONNECTION, ...details })
  }
}

/** A call before `connect()` or after `disconnect()`. */
export class NotConnectedError extends MessageQueueError {
  constructor(operation: string) {
    super(`${operation} needs a connection: await queue.connect() first`, { code: ErrorCode.NOT_CONNECTED })
  }
}

export interface PublishFailure {
  /** Index in the batch. */
  readonly index: number
  /** To send it again as the same message. Empty where it was refused before it had one. */
  readonly id: string
  readonly certainty: Certainty
  readonly cause: unknown
}

/** The broker did not take one or more messages. `failures` lists each; those not listed are stored. */
export class PublishError extends MessageQueueError {
  readonly failures: readonly PublishFailure[]
  declare certainty: Certainty

  constructor(
    message: string,
    details: ErrorDetails & { certainty: Certainty; failures?: readonly PublishFailure[] },
  ) {
    super(message, { code: ErrorCode.PUBLISH, ...details })
    this.failures = details.failures ?? []
  }
}

/** This broker cannot honour an option; the message names the broker, the option and the alternative. */
export class UnsupportedError extends MessageQueueError {
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { code: ErrorCode.UNSUPPORTED, ...details })
  }
}

/** A body cannot be encoded or decoded. */
export class SerializationError extends MessageQueueError {
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { code: ErrorCode.SERIALIZATION, ...details })
  }
}

/** An argument, a header or a body is not what it must be. */
export class ValidationError extends MessageQueueError {
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { code: ErrorCode.VALIDATION, ...details })
  }
}

/** The queue, topic or subscription does not exist, and `autoDeclare` is off. */
export class QueueNotFoundError extends MessageQueueError {
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { code: ErrorCode.QUEUE_NOT_FOUND, ...details })
  }
}

/** It exists with another configuration. `differences` lists what the broker reveals, with both values. */
export class QueueConflictError extends MessageQueueError {
  readonly differences: readonly Difference[]

  constructor(message: string, details: ErrorDetails & { differences?: readonly Difference[] } = {}) {
    super(message, { code: ErrorCode.QUEUE_CONFLICT, ...details })
    this.differences = details.differences ?? []
  }
}

/** A queue is to be consumed for which no handler is registered. */
export class HandlerNotFoundError extends MessageQueueError {
  constructor(queue: string) {
    super(`No handler is registered for ${queue}: call registerHandler or registerFunctionHandler first`, {
      code: ErrorCode.HANDLER_NOT_FOUND,
    })
  }
}

/** A message was acknowledged or rejected a second time. */
export class AlreadySettledError extends MessageQueueError {
  constructor(id: string) {
    super(`Message ${id} is already settled: acknowledge or reject a message once`, {
      code: ErrorCode.ALREADY_SETTLED,
    })
  }
}

/** The message no longer belongs to this receiver: its lease ran out, or its connection was lost. It will come again. */
export class LeaseLostError extends MessageQueueError {
  constructor(id: string, details: ErrorDetails = {}) {
    super(
      `Message ${id} no longer belongs to this receiver: its lease ran out or its connection was lost. ` +
        'Settle sooner, raise consumer.sessionTimeoutMs, or call extend(message, ms) while working on it',
      { code: ErrorCode.LEASE_LOST, ...details },
    )
  }
}

/** No reply came in time. */
export class RequestTimeoutError extends MessageQueueError {
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { code: ErrorCode.REQUEST_TIMEOUT, ...details })
  }
}

/** The handler of a request failed; `name` and `message` are those of its error. */
export class RemoteError extends MessageQueueError {
  constructor(name: string, message: string) {
    super(message, { code: ErrorCode.REMOTE })
    if (name !== '') this.name = name
    this.remoteName = name
  }

  /** The name of the error that the remote handler threw. */
  readonly remoteName: string
}

/** Thrown by a handler: dead-letter this message now, without another attempt. */
export class RejectError extends MessageQueueError {
  constructor(message = 'rejected by the handler', options: { cause?: unknown } = {}) {
    super(message, { code: ErrorCode.REJECT, cause: options.cause })
    checkOwn(options, ['cause'], 'RejectError')
  }
}

/** Thrown by a handler: try this message again after `delayMs` (the policy's own delay when left out). Counts as an attempt. */
export class RetryError extends MessageQueueError {
  /** ms, or `undefined` for the retry policy's delay. */
  readonly delayMs: number | undefined

  constructor(
    message = 'retry asked for by the handler',
    options: { delayMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { code: ErrorCode.RETRY, cause: options.cause })
    checkOwn(options, ['delayMs', 'cause'], 'RetryError')
    if (options.delayMs !== undefined && !(Number.isFinite(options.delayMs) && options.delayMs >= 0)) {
      throw new ValidationError(
        `delayMs must be a number of milliseconds, 0 or more; it is ${String(options.delayMs)}`,
      )
    }
    this.delayMs = options.delayMs
  }
}

/** As `checkOptions`, which needs this file. */
function checkOwn(options: object, names: readonly string[], where: string): void {
  for (const name in options)
    if (!names.includes(name))
      throw new ValidationError(
        `${where} has no option ${JSON.stringify(name)}; there are ${names.join(', ')}`,
      )
}

/** Whatever was thrown, as an Error whose name, message and stack are text: handlers may throw anything, a proxy that throws itself included. */
export function toError(thrown: unknown): Error {
  try {
    if (types.isNativeError(thrown)) return isReadable(thrown) ? thrown : copyOf(thrown)
    if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) {
      return new Error(safeString(thrown.message), { cause: thrown })
    }
  } catch {
    // What cannot be read is described below.
  }
  return new Error(`non-error thrown: ${safeString(thrown)}`, { cause: thrown })
}

function isReadable({ name, message, stack }: Error): boolean {
  return (
    typeof name === 'string' &&
    typeof message === 'string' &&
    (stack === undefined || typeof stack === 'string')
  )
}

function copyOf(thrown: Error): Error {
  const error = new Error(safeString(thrown.message), { cause: thrown })
  error.name = safeString(thrown.name)
  if (typeof thrown.stack === 'string') error.stack = thrown.stack
  return error
}

function safeString(value: unknown): string {
  try {
    return String(value)
  } catch {
    return typeof value
  }
}
