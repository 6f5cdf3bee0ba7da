import type { Certainty } from '../adapter/contract.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError, PublishError, toError, ValidationError, type PublishFailure } from '../errors.ts'
import type { Message, MessageInit } from '../message/message.ts'
import type { Outbox } from './outbox.ts'
import { routeOf, type SendOptions } from './routes.ts'
import type { Sender } from './sender.ts'
import { orRejected } from '../wrap-error.ts'

/**
 * Sends all, in order; resolves with the ids, or rejects once with every failure; with `NotConnectedError` where there is no connection for any.
 * More than fits into `bufferMemory` goes in slices, each when the one before is confirmed: nobody else can await what is in the way.
 */
export async function sendMany(
  { sender, outbox }: { readonly sender: Sender; readonly outbox: Outbox },
  messages: readonly (Message | MessageInit)[],
  options: SendOptions,
): Promise<string[]> {
  if (!Array.isArray(messages))
    throw new ValidationError('sendBatch takes an array of messages', { certainty: 'not-stored' })
  // Of what got through all middleware: an error of somebody else's may have been thrown after the message was stored.
  const passed = new Set<number>()
  const send = (message: Message | MessageInit, index: number): Promise<string> =>
    orRejected(() => sender.send(message, routeOf(message, options), () => void passed.add(index)))
  let results: PromiseSettledResult<string>[] = []
  let slice: Promise<string>[] = []
  let goesOn = true
  for (const [index, message] of (messages as readonly (Message | MessageInit)[]).entries()) {
    if (goesOn && slice.length > 0 && !outbox.hasRoom) {
      const settled = await Promise.allSettled(slice)
      // While nothing gets through there is nothing to wait for.
      goesOn = settled.some(({ status }) => status === 'fulfilled')
      results = results.concat(settled)
      slice = []
    }
    slice.push(send(message, index))
  }
  results = results.concat(await Promise.allSettled(slice))
  const failures: PublishFailure[] = []
  results.forEach((result, index) => {
    if (result.status === 'fulfilled') return
    const cause: unknown = result.reason
    const message = messages[index] as MessageInit | undefined
    const certainty: Certainty =
      (MessageQueueError.is(cause) ? cause.certainty : undefined) ??
      (passed.has(index) ? 'unknown' : 'not-stored')
    failures.push({ index, id: message?.id ?? '', certainty, cause })
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
