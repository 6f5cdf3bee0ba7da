import type { DeadLetterReason } from '../adapter/contract.ts'
import { backoffDelay, type BackoffPolicy } from '../backoff.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError, type RetryError } from '../errors.ts'

/** The retry policy of one consumer, every field decided. */
export interface RetryPolicy extends BackoffPolicy {
  /** Retries after the first attempt; 0: none. */
  readonly maxRetries: number
}

export type Decision =
  | { readonly action: 'retry'; readonly delayMs: number }
  | { readonly action: 'dead-letter'; readonly reason: DeadLetterReason }

/**
 * What becomes of a message whose handler failed on it. `deliveryCount` counts the failed runs before this one.
 *
 * | error                       | runs left | decision                          |
 * | --------------------------- | --------- | --------------------------------- |
 * | `RejectError`               | any       | dead-letter, `rejected`           |
 * | `RetryError` with `delayMs` | yes       | retry after exactly that          |
 * | anything else               | yes       | retry after the policy's back-off |
 * | anything else               | no        | dead-letter, `max-retries`        |
 */
export function decide(
  error: unknown,
  deliveryCount: number,
  policy: RetryPolicy,
  random: () => number = Math.random,
): Decision {
  if (isRejection(error)) return { action: 'dead-letter', reason: 'rejected' }
  if (deliveryCount >= policy.maxRetries) return { action: 'dead-letter', reason: 'max-retries' }
  if (MessageQueueError.is(error) && error.code === ErrorCode.RETRY) {
    const { delayMs } = error as RetryError
    if (delayMs !== undefined) return { action: 'retry', delayMs }
  }
  return { action: 'retry', delayMs: backoffDelay(policy, deliveryCount + 1, random) }
}

export function isRejection(error: unknown): boolean {
  return MessageQueueError.is(error) && error.code === ErrorCode.REJECT
}
