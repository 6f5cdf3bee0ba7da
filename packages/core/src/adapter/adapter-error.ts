import { types } from 'node:util'
import type { ErrorCode } from '../error-codes.ts'
import type { Classification } from './contract.ts'

const BRAND = Symbol.for('@mq/adapter-error')

/** One setting of an existing queue that differs from what was asked for. */
export interface Difference {
  readonly field: string
  readonly existing: unknown
  readonly requested: unknown
}

/**
 * An error that an adapter found out by itself, already classified. `classify` may answer with `adapterErrorOf(error)` first.
 * `differences` belong to MQ_QUEUE_CONFLICT.
 */
export class AdapterError extends Error {
  override readonly name = 'AdapterError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly differences: readonly Difference[]

  constructor(
    code: ErrorCode,
    message: string,
    options: { retryable?: boolean; cause?: unknown; differences?: readonly Difference[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.differences = options.differences ?? []
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** The error itself when it is an `AdapterError` (of any copy of this package), else `null`. */
export function adapterErrorOf(error: unknown): (AdapterError & Classification) | null {
  return types.isNativeError(error) && (error as { [BRAND]?: true })[BRAND] === true
    ? (error as AdapterError)
    : null
}
