import type { Certainty } from '../adapter/contract.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError, PublishError, toError, ValidationError, type PublishFailure } from '../errors.ts'
import type { Message, MessageInit } from '../message/message.ts'
import { notStored } from '../wrap-error.ts'
import type { Sent } from './batch.ts'
import type { Outbox } from './outbox.ts'
import { routeOf, type SendOptions } from './routes.ts'
import type { Sender } from './sender.ts'

type Messages = readonly (Message | MessageInit)[]

/** What became of the messages of one call. */
class Fates {
  readonly ids: string[]
  readonly failures: PublishFailure[] = []
  readonly #messages: Messages
  #open = 0
  #whenNone: () => void = () => undefined

  constructor(messages: Messages) {
    this.#messages = messages
    this.ids = new Array<string>(messages.length)
  }

  /** The next one to hear of. */
  at(index: number): Sent {
    this.#open++
    return new Fate(this, index)
  }

  stored(index: number, id: string): void {
    this.ids[index] = id
    this.#over()
  }

  failed(index: number, named: string | undefined, cause: unknown, passed: boolean): void {
    const certainty: Certainty =
      (MessageQueueError.is(cause) ? cause.certainty : undefined) ?? (passed ? 'unknown' : 'not-stored')
    this.failures.push({ index, id: named ?? this.#messages[index]?.id ?? '', certainty, cause })
    this.#over()
  }

  #over(): void {
    if (--this.#open === 0) this.#whenNone()
  }

  /** Resolves when all are known that were asked for. */
  async all(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#whenNone = resolve))
  }
}

/** Of one message. Hears once: of one that its caller gave up, the outbox tells again in the end. */
class Fate implements Sent {
  readonly #fates: Fates
  readonly #index: number
  #passed = false
  #id: string | undefined
  #told = false

  constructor(fates: Fates, index: number) {
    this.#fates = fates
    this.#index = index
  }

  passed(): void {
    this.#passed = true
  }

  named(id: string): void {
    this.#id = id
  }

  resolve(id: string): void {
    if (this.#told) return
    this.#told = true
    this.#fates.stored(this.#index, id)
  }

  reject(error: unknown): void {
    if (this.#told) return
    this.#told = true
    this.#fates.failed(this.#index, this.#id, error, this.#passed)
  }
}

/**
 * Sends all, in order; resolves with the ids, or rejects once with every failure; with `NotConnectedError` where there is no connection for any.
 * More than fits into `bufferMemory` goes in slices, each when the one before is confirmed: nobody else can await what is in the way.
 */
export async function sendMany(
  { sender, outbox }: { readonly sender: Sender; readonly outbox: Outbox },
  messages: Messages,
  options: SendOptions,
): Promise<string[]> {
  if (!Array.isArray(messages))
    throw new ValidationError('sendBatch takes an array of messages', { certainty: 'not-stored' })
  const fates = new Fates(messages)
  let failedBefore = 0
  let slice = 0
  let goesOn = true
  for (let index = 0; index < messages.length; index++) {
    if (goesOn && slice > 0 && !outbox.hasRoom) {
      await fates.all()
      // While nothing gets through there is nothing to wait for.
      goesOn = fates.failures.length - failedBefore < slice
      failedBefore = fates.failures.length
      slice = 0
    }
    slice++
    const sent = fates.at(index)
    try {
      const message = messages[index] as Message | MessageInit
      sender.deliver(message, routeOf(message, options), sent)
    } catch (error) {
      sent.reject(notStored(error))
    }
  }
  await fates.all()
  const { ids, failures } = fates
  if (failures.length === 0) return ids
  failures.sort((a, b) => a.index - b.index)
  const first = failures[0] as PublishFailure
  // No message's fault: the whole call came too early, or too late. Where some were stored, or may be, each has to be told apart.
  if (failures.length === messages.length && failures.every(neverLeft)) throw first.cause
  throw new PublishError(
    `${failures.length} of ${messages.length} messages were not confirmed; the first: ${toError(first.cause).message}`,
    {
      certainty: failures.some(({ certainty }) => certainty === 'unknown') ? 'unknown' : 'not-stored',
      failures,
      cause: first.cause,
    },
  )
}

function neverLeft({ cause, certainty }: PublishFailure): boolean {
  return certainty === 'not-stored' && MessageQueueError.is(cause) && cause.code === ErrorCode.NOT_CONNECTED
}
