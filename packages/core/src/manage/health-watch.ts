import type { Clock } from '../adapter/clock.ts'
import type { Logger } from '../logger.ts'

export interface HealthWatchOptions {
  /** 0: never. */
  readonly intervalMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly check: () => Promise<Record<string, { readonly healthy: boolean; readonly error?: string }>>
}

/** Checks again and again, one check at a time, and logs what changed: healthy is what everything starts from. */
export class HealthWatch {
  readonly #options: HealthWatchOptions
  readonly #unhealthy = new Set<string>()
  #timer: unknown = null
  /** Counts starts and stops: a check under way when it was stopped says nothing any more. */
  #turn = 0

  constructor(options: HealthWatchOptions) {
    this.#options = options
  }

  start(): void {
    this.stop()
    if (this.#options.intervalMs > 0) this.#schedule(this.#turn)
  }

  stop(): void {
    this.#turn++
    this.#options.clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#unhealthy.clear()
  }

  #schedule(turn: number): void {
    const { clock, intervalMs } = this.#options
    this.#timer = clock.setTimeout(() => void this.#run(turn), intervalMs)
  }

  async #run(turn: number): Promise<void> {
    const { check, logger } = this.#options
    try {
      const queues = await check()
      if (turn === this.#turn) this.#compare(queues)
    } catch (error) {
      logger.error({ error }, 'the health check failed')
    }
    if (turn === this.#turn) this.#schedule(turn)
  }

  #compare(queues: Record<string, { readonly healthy: boolean; readonly error?: string }>): void {
    const { logger } = this.#options
    for (const [queue, { healthy, error }] of Object.entries(queues)) {
      if (healthy && this.#unhealthy.delete(queue)) logger.info({ queue }, 'queue is healthy again')
      else if (!healthy && !this.#unhealthy.has(queue)) {
        this.#unhealthy.add(queue)
        logger.warn({ queue, error }, 'queue is unhealthy')
      }
    }
  }
}
