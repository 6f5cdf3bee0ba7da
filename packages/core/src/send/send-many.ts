import type { Certainty } from '../adapter/contract.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError, PublishError, toError, ValidationError, type PublishFailure } from '../errors.ts'
import type { Message, MessageInit } from '../message/message.ts'

/** Sends all, in order; resolves with the ids, or rejects once with every failure; with `NotConnectedError` where there is no connection for any. */
export async function sendMany(
  messages: readonly (Message | MessageInit)[],
  send: (message: Message | MessageInit) => Promise<string>,
): Promise<string[]> {
  if (!Array.isArray(messages))
    throw new ValidationError('sendBatch takes an array of messages', { certainty: 'not-stored' })
  const results = await Promise.allSettled(
    messages.map((message: Message | MessageInit) => {
      try {
        return send(message)
      } catch (error) {
        return Promise.reject(error)
      }
    }),
  )
  const failures: PublishFailure[] = []
  results.forEach((result, index) => {
    if (result.status === 'fulfilled') return
    const cause: unknown = result.reason
    const certainty: Certainty = (MessageQueueError.is(cause) ? cause.certainty : undefined) ?? 'not-stored'
    failures.push({ index, id: (messages[index] as MessageInit | undefined)?.id ?? '', certainty, cause })
  })
  if (failures.length === 0) return results.map((result) => (result as PromiseFulfilledResult<string>).value)
  const first = failures[0] as PublishFailure
  // No message's fault: the whole call came too early, or too late.
  if (failures.every(({ cause }) => MessageQueueError.is(cause) && cause.code === ErrorCode.NOT_CONNECTED))
    throw first.cause
  throw new PublishError(
    `${failures.length} of ${messages.length} messages were not confirmed; the first: ${toError(first.cause).message}`,
    {
      certainty: failures.some(({ certainty }) => certainty === 'unknown') ? 'unknown' : 'not-stored',
      failures,
      cause: first.cause,
    },
  )
}
