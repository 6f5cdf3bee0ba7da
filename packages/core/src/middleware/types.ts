import type { Logger } from '../logger.ts'
import type { Message } from '../message/message.ts'

/** Runs the rest: the inner middleware, then the handler. Call it once and await it; `message` replaces the one passed on. */
export type ProcessNext = (message?: Message) => Promise<unknown>

/** Runs the rest: the inner middleware, then the send itself. Call it once and await it; `message` replaces the one passed on. */
export type SendNext = (message?: Message) => Promise<string>

/**
 * Wraps the handling of messages (`process`), their sending (`send`), or both. The first one added is the outermost.
 * What it throws reaches the caller of `send`, or counts as the handler's failure.
 */
export interface Middleware {
  /** Names it in errors. */
  readonly name: string
  /** Answers the handler's result, or its own. Without a call of `next` the handler does not run. */
  process?(message: Message, next: ProcessNext): unknown
  /** Answers the message's id. To refuse a message, throw. */
  send?(message: Message, next: SendNext): Promise<string> | string
  /** Called when it is added to a queue: answers what is used there in its place, with the queue's logger. */
  bind?(logger: Logger): Middleware
}
