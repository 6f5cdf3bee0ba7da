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

/** What must come before a message can be written, unless its caller gives up meanwhile. */
export function unlessAborted<T>(
  before: Promise<T>,
  signal: AbortSignal,
  id: string,
  label: string,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortedError(id, label, signal, 'not-stored'))
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    before.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
