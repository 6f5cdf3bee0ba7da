import type { Certainty } from '../adapter/contract.ts'
import { ErrorCode } from '../error-codes.ts'
import { PublishError } from '../errors.ts'

/** What a send rejects with whose caller gave up. */
export function abortedError(
  id: string,
  label: string,
  signal: AbortSignal,
  certainty: Certainty,
): PublishError {
  return new PublishError(`Sending ${id} to ${label} was aborted`, {
    code: ErrorCode.ABORTED,
    cause: signal.reason,
    certainty,
  })
}
