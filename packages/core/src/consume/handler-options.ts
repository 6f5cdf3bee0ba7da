import { Type } from 'typebox'
import type { BackoffPolicy } from '../backoff.ts'
import type { ConsumerConfig } from '../config/consumer-config.ts'
import { withoutUndefined } from '../config/data.ts'
import type { MessageQueueConfig } from '../config/message-queue-config.ts'
import { optionProblems } from '../config/option-problems.ts'
import { ValidationError } from '../errors.ts'
import type { HandlerOptions, RetryOptions } from './handler.ts'
import { checkQueueName } from '../message/names.ts'

/** The rate limiter remembers as many. */
const MOST_STARTS = 1_000_000

const exact = { additionalProperties: false }
const count = Type.Integer({ minimum: 1 })
const ms = Type.Number({ exclusiveMinimum: 0 })

const fields = Type.Object(
  {
    concurrency: Type.Optional(count),
    prefetch: Type.Optional(count),
    batch: Type.Optional(Type.Object({ size: count, waitMs: Type.Number({ minimum: 0 }) }, exact)),
    timeoutMs: Type.Optional(ms),
    retry: Type.Optional(
      Type.Object(
        {
          maxRetries: Type.Optional(Type.Integer({ minimum: 0 })),
          delayMs: Type.Optional(Type.Number({ minimum: 0 })),
          backoff: Type.Optional(Type.Enum(['fixed', 'linear', 'exponential'])),
          maxDelayMs: Type.Optional(Type.Number({ minimum: 0 })),
          jitter: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
        },
        exact,
      ),
    ),
    deadLetterQueue: Type.Optional(Type.String()),
    schema: Type.Optional(Type.Any()),
    acknowledgmentMode: Type.Optional(Type.Enum(['auto', 'manual', 'none'])),
    rateLimit: Type.Optional(
      Type.Object({ max: Type.Integer({ minimum: 1, maximum: MOST_STARTS }), perMs: ms }, exact),
    ),
    circuitBreaker: Type.Optional(Type.Object({ failures: count, openMs: ms }, exact)),
  },
  exact,
)

/** Refuses unknown handler options and values that make no sense, all at once. */
export function checkHandlerOptions(options: HandlerOptions): void {
  if (typeof options !== 'object' || options === null)
    throw new ValidationError('Handler options are an object')
  const problems = optionProblems(fields, withoutUndefined(options))
  if (problems.length > 0) throw new ValidationError(`Handler options are wrong: ${problems.join('; ')}`)
  if (options.deadLetterQueue !== undefined) checkQueueName(options.deadLetterQueue, 'dead-letter queue name')
}

/** The waits between retries; the first of option, consumer and instance that says something. */
export function backoffFields(
  retry: RetryOptions | undefined,
  consumer: ConsumerConfig,
  config: MessageQueueConfig,
): BackoffPolicy {
  return {
    delayMs: retry?.delayMs ?? consumer.retryDelayMs ?? config.retryDelaySeconds * 1000,
    backoff: retry?.backoff ?? config.retryBackoff,
    maxDelayMs: retry?.maxDelayMs ?? config.retryMaxDelaySeconds * 1000,
    jitter: retry?.jitter ?? config.retryJitter,
  }
}
