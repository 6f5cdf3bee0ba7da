import type { MessageQueueConfig } from '../config/message-queue-config.ts'
import type { HandlerContext } from './handler.ts'
import type { Held } from './held.ts'
import type { Logger } from '../logger.ts'

/** Where a context has the configuration of its queue: for handlers of packages beside core, whatever copy of this one they know. */
export const CONFIG = Symbol.for('@mq/config')

/** The context of one run. The signal is made only when a handler looks at it. */
export class RunContext implements HandlerContext {
  readonly #held: Held
  readonly #run: Held['run']
  readonly #extend: (held: Held, ms: number) => Promise<void>
  readonly logger: Logger
  readonly attempt: number

  constructor(held: Held, logger: Logger, extend: (held: Held, ms: number) => Promise<void>) {
    this.#held = held
    this.#run = held.run
    this.#extend = extend
    this.logger = logger
    this.attempt = held.deliveryCount + 1
  }

  get signal(): AbortSignal {
    return this.#run.signal
  }

  get [CONFIG](): MessageQueueConfig {
    return this.#held.intake.config
  }

  /** Made when looked at: handlers may take it out of the context. */
  get extend(): (ms: number) => Promise<void> {
    return (ms) => this.#extend(this.#held, ms)
  }
}
