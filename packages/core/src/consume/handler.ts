import type { Logger } from '../logger.ts'
import type { Message } from '../message/message.ts'
import type { BodySchema } from '../message/schema.ts'

/** What a handler gets beside the message. */
export interface HandlerContext {
  /** Aborts on time-out, when the message was lost to another consumer, and when a shutdown runs out of time. */
  readonly signal: AbortSignal
  /** 1 on the first run. */
  readonly attempt: number
  readonly logger: Logger
  /** Keeps the message for `ms` more: needed only where nothing else renews its lease. */
  extend(ms: number): Promise<void>
}

export type HandlerFunction<Body = unknown, Result = unknown> = (
  message: Message<Body>,
  context: HandlerContext,
) => Result | Promise<Result>

/**
 * With `batch`, the handler gets an array. It may answer an array with one entry per message, in order: an Error, or
 * `{ status: 'rejected', reason }` (what `Promise.allSettled` gives), fails that message; anything else acknowledges it, and answers
 * it when it is a request: with the entry, or with the `value` of `{ status: 'fulfilled', value }`.
 */
export type BatchHandlerFunction<Body = unknown> = (
  messages: Message<Body>[],
  context: HandlerContext,
) => unknown

/** The object form: `handleError` runs after each failed attempt. */
export interface MessageHandler<Body = unknown> {
  handle(message: Message<Body>, context: HandlerContext): unknown
  handleError?(message: Message<Body>, error: Error): unknown
}

/** The object form with `batch`: `handleError` runs for each message that failed. */
export interface BatchMessageHandler<Body = unknown> {
  handle(messages: Message<Body>[], context: HandlerContext): unknown
  handleError?(message: Message<Body>, error: Error): unknown
}

export type Handler<Body = unknown> = HandlerFunction<Body> | MessageHandler<Body>
export type BatchHandler<Body = unknown> = BatchHandlerFunction<Body> | BatchMessageHandler<Body>
/** In whichever form. */
export type AnyHandler = Handler<never> | BatchHandler<never>

export interface RetryOptions {
  /** Retries after the first attempt; 0: none. Default: `consumer.retryAttempts`, else `maxRetryAttempts` (3). */
  maxRetries?: number | undefined
  /** ms before the first retry. Default: `consumer.retryDelayMs`, else `retryDelaySeconds` (1 s). */
  delayMs?: number | undefined
  /** Default: `retryBackoff` (`exponential`). */
  backoff?: 'fixed' | 'linear' | 'exponential' | undefined
  /** Longest wait before its jitter, in ms. Default: `retryMaxDelaySeconds` (300 s). */
  maxDelayMs?: number | undefined
  /** 0-1: each wait is drawn from its length × [1 − jitter, 1 + jitter]. Default: `retryJitter` (0.1). */
  jitter?: number | undefined
}

export interface HandlerOptions {
  /** Handlers of this queue that run at once. Default 1. */
  concurrency?: number | undefined
  /** Most messages fetched and unsettled. Default: `consumer.prefetchCount` (10), never below what concurrency needs. */
  prefetch?: number | undefined
  /** The handler gets up to `size` messages; fewer when no more came within `waitMs` of the first. */
  batch?: { size: number; waitMs: number } | undefined
  /** ms until a run counts as failed and its signal aborts. Default: none. */
  timeoutMs?: number | undefined
  retry?: RetryOptions | undefined
  /** Takes the dead letters in place of the queue's own. */
  deadLetterQueue?: string | undefined
  /** Bodies that do not match are dead-lettered as `invalid`, without a run. */
  schema?: BodySchema | undefined
  /** `auto`: settled by the handler's outcome. `manual`: by `acknowledge` and `reject`. `none`: acknowledged before the run. Default: `consumer.acknowledgmentMode` (`auto`). */
  acknowledgmentMode?: 'auto' | 'manual' | 'none' | undefined
  /** At most `max` runs (1-1,000,000) start in any `perMs`; a batch is one run. */
  rateLimit?: { max: number; perMs: number } | undefined
  /** After `failures` failed runs in a row the consumer pauses for `openMs`, then probes with one message. */
  circuitBreaker?: { failures: number; openMs: number } | undefined
}

/** Those that go with a batch handler. */
export type BatchOptions = HandlerOptions & { batch: NonNullable<HandlerOptions['batch']> }
