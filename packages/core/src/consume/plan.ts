import { backoffFields, checkHandlerOptions } from './handler-options.ts'
import type { QueueSettings, Target } from '../adapter/contract.ts'
import type { QueueConfig } from '../config/queue-config.ts'
import type { MessageQueueConfig } from '../config/message-queue-config.ts'
import type { Engine } from '../engine.ts'
import type { BatchHandlerFunction, HandlerFunction, HandlerOptions } from './handler.ts'
import type { Message } from '../message/message.ts'
import type { RetryPolicy } from './retry.ts'
import { validatorOf, type Validate } from '../message/schema.ts'
import { keyOf, sourceOf } from '../message/target.ts'
import type { ResolvedQueue } from '../message/typed.ts'

/** A handler in one shape, whichever form it was registered in. */
export interface NormalHandler {
  readonly run: HandlerFunction & BatchHandlerFunction
  readonly onError: ((message: Message, error: Error) => unknown) | null
}

/** Everything about one consumer, decided once: after this nothing is optional. */
export interface ConsumerPlan {
  readonly target: Target
  /** Of a typed queue, should it have to be made again. */
  readonly config: QueueConfig | undefined
  readonly label: string
  /** What `message.queueName` says: the queue, or the topic of a subscription. */
  readonly queueName: string
  readonly subscription: string | null
  readonly handler: NormalHandler
  readonly concurrency: number
  readonly prefetch: number
  readonly batch: { readonly size: number; readonly waitMs: number } | null
  readonly timeoutMs: number | null
  readonly retry: RetryPolicy
  /** Whether the handler's own options asked for retries: requests are retried only then. */
  readonly retriesRequests: boolean
  readonly deadLetter: { readonly queue: string } | null
  /** A dead-letter queue's own consumer: what fails stays, unless the handler names a further queue to put it in. */
  readonly ofDeadLetters: boolean
  readonly maxRedeliveries: number
  readonly validate: Validate | undefined
  readonly mode: 'auto' | 'manual' | 'none'
  readonly rateLimit: { readonly max: number; readonly perMs: number } | null
  readonly circuitBreaker: { readonly failures: number; readonly openMs: number } | null
  readonly ordered: boolean
  readonly deduplicationWindowMs: number | null
  readonly leaseMs: number
}

/** Whether what failed waits here for its next attempt: the broker cannot keep the order of its key meanwhile. */
export function waitsInPlace({ adapter }: Engine, { ordered }: ConsumerPlan): boolean {
  return ordered && !adapter.capabilities.retryKeepsOrder
}

/** Option, then `QueueConfig`, then `ConsumerConfig`, then `MessageQueueConfig`. */
export function planConsumer(
  queue: ResolvedQueue,
  handler: NormalHandler,
  options: HandlerOptions,
  settings: QueueSettings,
  config: MessageQueueConfig,
  ofDeadLetters: boolean,
): ConsumerPlan {
  checkHandlerOptions(options)
  const { target } = queue
  const concurrency = options.concurrency ?? 1
  const batch = options.batch ?? null
  const needed = batch === null ? concurrency : batch.size * concurrency
  const { consumer } = config
  const deadLetterQueue = options.deadLetterQueue ?? (ofDeadLetters ? null : settings.deadLetterQueue)
  return {
    target,
    config: queue.config,
    label: keyOf(target),
    ...sourceOf(target),
    handler,
    concurrency,
    prefetch: Math.max(options.prefetch ?? consumer.prefetchCount, needed),
    batch,
    timeoutMs: options.timeoutMs ?? null,
    retry: {
      maxRetries: options.retry?.maxRetries ?? consumer.retryAttempts ?? config.maxRetryAttempts,
      ...backoffFields(options.retry, consumer, config),
    },
    retriesRequests: options.retry !== undefined,
    deadLetter: config.enableDeadLetterQueue && deadLetterQueue !== null ? { queue: deadLetterQueue } : null,
    ofDeadLetters,
    maxRedeliveries: settings.maxRedeliveries,
    validate: options.schema === undefined ? queue.validate : validatorOf(options.schema),
    mode: options.acknowledgmentMode ?? consumer.acknowledgmentMode,
    rateLimit: options.rateLimit ?? null,
    circuitBreaker: options.circuitBreaker ?? null,
    ordered: settings.ordered,
    deduplicationWindowMs: settings.deduplicationWindowMs,
    leaseMs: consumer.sessionTimeoutMs,
  }
}
