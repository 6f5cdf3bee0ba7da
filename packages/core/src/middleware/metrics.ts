import { performance } from 'node:perf_hooks'
import { checkOptions } from '../check-options.ts'
import type { Message } from '../message/message.ts'
import { Histogram } from './histogram.ts'
import type { Middleware, ProcessNext } from './types.ts'

/** Times are in seconds and cover successes and failures; all are 0 before the first message. */
export interface ProcessingMetrics {
  /** Handler runs that succeeded. */
  readonly processedCount: number
  /** Handler runs that failed. */
  readonly errorCount: number
  readonly averageProcessingTime: number
  readonly totalProcessingTime: number
  /** At most 5 % above the exact ones. */
  readonly percentiles: { readonly p50: number; readonly p95: number; readonly p99: number }
}

/** Counts and times what is handled. It keeps no list: its memory does not grow. May be added to several queues, which it sums up. */
export class MetricsMiddleware implements Middleware {
  readonly name = 'MetricsMiddleware'
  readonly #now: () => number
  readonly #times = new Histogram()
  #errors = 0

  /** `now` answers ms and never runs backwards. Default: `performance.now`. */
  constructor(options: { now?: () => number } = {}) {
    checkOptions(options, ['now'], 'MetricsMiddleware')
    this.#now = options.now ?? (() => performance.now())
  }

  async process(_message: Message, next: ProcessNext): Promise<unknown> {
    const startedAt = this.#now()
    try {
      const result = await next()
      this.#record(startedAt)
      return result
    } catch (error) {
      this.#record(startedAt)
      this.#errors++
      throw error
    }
  }

  #record(startedAt: number): void {
    this.#times.record((this.#now() - startedAt) / 1000)
  }

  getMetrics(): ProcessingMetrics {
    const times = this.#times
    return {
      processedCount: times.count - this.#errors,
      errorCount: this.#errors,
      averageProcessingTime: times.count === 0 ? 0 : times.sum / times.count,
      totalProcessingTime: times.sum,
      percentiles: { p50: times.percentile(0.5), p95: times.percentile(0.95), p99: times.percentile(0.99) },
    }
  }

  /** Starts again at 0; runs under way count when they end. */
  reset(): void {
    this.#times.reset()
    this.#errors = 0
  }
}
