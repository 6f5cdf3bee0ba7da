import { types } from 'node:util'
import { adapterErrorOf } from './adapter/adapter-error.ts'
import type { BrokerAdapter, Certainty, Classification } from './adapter/contract.ts'
import { ErrorCode } from './error-codes.ts'
import {
  ConfigurationError,
  ConnectionError,
  MessageQueueError,
  PublishError,
  QueueConflictError,
  QueueNotFoundError,
  toError,
  UnsupportedError,
  ValidationError,
} from './errors.ts'

/** Names any error: this library's own by its code, the client's by the adapter. An adapter that fails at it changes nothing. */
export function classify(adapter: BrokerAdapter, error: unknown): Classification {
  if (MessageQueueError.is(error)) return { code: error.code, retryable: error.code === ErrorCode.TIMEOUT }
  try {
    return adapter.classify(error)
  } catch {
    return { code: ErrorCode.UNKNOWN, retryable: true }
  }
}

/**
 * Wraps what an adapter threw, once, at the portable boundary: the class and code come from its `classify`, the message says what
 * was being done. An error of this library passes through.
 */
export function wrapError(adapter: BrokerAdapter, error: unknown, doing: string): MessageQueueError {
  return wrapAs(classify(adapter, error).code, error, doing)
}

/** The same for what was thrown before there was an adapter. */
export function wrapUnmade(error: unknown, doing: string): MessageQueueError {
  return wrapAs(adapterErrorOf(error)?.code ?? ErrorCode.UNKNOWN, error, doing)
}

function wrapAs(code: ErrorCode, error: unknown, doing: string): MessageQueueError {
  if (MessageQueueError.is(error)) return error
  const text = `${doing}: ${textOf(error)}`
  switch (code) {
    case ErrorCode.CONNECTION:
    case ErrorCode.AUTHENTICATION:
      return new ConnectionError(text, { code, cause: error })
    case ErrorCode.QUEUE_NOT_FOUND:
      return new QueueNotFoundError(text, { cause: error })
    case ErrorCode.QUEUE_CONFLICT:
      return new QueueConflictError(text, {
        cause: error,
        differences: adapterErrorOf(error)?.differences ?? [],
      })
    case ErrorCode.CONFIGURATION:
      return new ConfigurationError(text, { cause: error })
    case ErrorCode.UNSUPPORTED:
      return new UnsupportedError(text, { cause: error })
    case ErrorCode.VALIDATION:
      return new ValidationError(text, { cause: error })
    default:
      return new MessageQueueError(text, { code, cause: error })
  }
}

/** The rejection of one send. What already is an error of this library keeps its class and learns its certainty. */
export function publishError(
  adapter: BrokerAdapter,
  id: string,
  destination: string,
  error: unknown,
  certainty: Certainty,
): MessageQueueError {
  if (
    MessageQueueError.is(error) &&
    error.code !== ErrorCode.TIMEOUT &&
    error.code !== ErrorCode.CONNECTION
  ) {
    return withCertainty(error, certainty)
  }
  const { code } = classify(adapter, error)
  const text = `Message ${id} was not ${certainty === 'unknown' ? 'confirmed' : 'stored'} in ${destination}: ${textOf(error)}`
  if (code === ErrorCode.QUEUE_NOT_FOUND) return new QueueNotFoundError(text, { cause: error, certainty })
  if (code === ErrorCode.UNSUPPORTED) return new UnsupportedError(text, { cause: error, certainty })
  const own =
    code === ErrorCode.QUEUE_FULL || code === ErrorCode.MESSAGE_TOO_LARGE || code === ErrorCode.TIMEOUT
  return new PublishError(text, { code: own ? code : ErrorCode.PUBLISH, cause: error, certainty })
}

/** Those that have their certainty from a send, and not from their maker. */
const told = new WeakSet<MessageQueueError>()

/** What one send rejects with, for which `error` was thrown. Others may hold the same error for other sends: then it is a copy. */
export function withCertainty<E extends MessageQueueError>(error: E, certainty: Certainty): E {
  if (error.certainty === undefined) {
    // One that its owner froze goes on as it is.
    if (!Object.isExtensible(error)) return error
    error.certainty = certainty
    told.add(error)
    return error
  }
  if (error.certainty === certainty || !told.has(error)) return error
  const copy = Object.setPrototypeOf(new Error(), Object.getPrototypeOf(error) as object) as E
  // Newer versions of Node have the stack as a getter, which would answer with the copy's.
  const stack = { value: error.stack, writable: true, configurable: true }
  Object.defineProperties(copy, { ...Object.getOwnPropertyDescriptors(error), stack })
  copy.certainty = certainty
  return copy
}

/** What a call that sends rejects with when nothing was written yet, if what went wrong does not know better. */
export function notStored(error: unknown): Error {
  if (!MessageQueueError.is(error)) return toError(error)
  return error.certainty === undefined ? withCertainty(error, 'not-stored') : error
}

/** What a call that sends answers: rejected, where it throws. */
export function orRejected<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call()
  } catch (error) {
    return Promise.reject(notStored(error))
  }
}

function textOf(error: unknown): string {
  if (types.isNativeError(error)) {
    // A refused connection is an AggregateError without a text of its own.
    const first = (error as AggregateError).errors?.[0] as unknown
    return error.message !== '' || first === undefined ? error.message || error.name : textOf(first)
  }
  return String(error)
}
