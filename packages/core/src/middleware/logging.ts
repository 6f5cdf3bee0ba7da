import { performance } from 'node:perf_hooks'
import { harmless, type Logger } from '../logger.ts'
import type { Message } from '../message/message.ts'
import type { Middleware, ProcessNext, SendNext } from './types.ts'

/**
 * Logs every message that is handled or sent, with its id, queue and duration in ms: success at `info`, failure at `error`.
 * Never bodies or headers. Without a logger of its own it uses the queue's.
 */
export class LoggingMiddleware implements Middleware {
  readonly name = 'LoggingMiddleware'
  readonly #own: Logger | undefined
  readonly #logger: Logger

  constructor(logger?: Logger) {
    this.#own = logger
    this.#logger = harmless(logger)
  }

  bind(logger: Logger): LoggingMiddleware {
    // A new one, so that one instance may be added to queues with different loggers.
    return this.#own === undefined ? new LoggingMiddleware(logger) : this
  }

  process(message: Message, next: ProcessNext): Promise<unknown> {
    const { id, queueName: queue, deliveryCount } = message
    const fields = { id, queue, attempt: deliveryCount + 1 }
    this.#logger.debug(fields, 'handling a message')
    return this.#log(fields, 'message handled', 'handling a message failed', () => next())
  }

  send(message: Message, next: SendNext): Promise<string> {
    const { id, queueName: queue } = message
    return this.#log({ id, queue }, 'message sent', 'sending a message failed', () => next())
  }

  async #log<Result>(
    fields: object,
    success: string,
    failure: string,
    run: () => Promise<Result>,
  ): Promise<Result> {
    const startedAt = performance.now()
    let result: Result
    try {
      result = await run()
    } catch (error) {
      this.#logger.error({ ...fields, durationMs: elapsed(startedAt), error }, failure)
      throw error
    }
    this.#logger.info({ ...fields, durationMs: elapsed(startedAt) }, success)
    return result
  }
}

function elapsed(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 1000) / 1000
}
