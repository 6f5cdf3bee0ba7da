import type { Target } from '../adapter/contract.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError } from '../errors.ts'
import { wrapError } from '../wrap-error.ts'

/**
 * How many wait in a queue or subscription; `null` for one that is not there, and would be made by its first use. Makes nothing. Waits out a lost
 * connection, as far as `requestTimeoutMs` goes.
 */
export async function sizeOf(engine: Engine, target: Target, doing: string): Promise<number | null> {
  const { supervisor, clock, config } = engine
  const adapter = supervisor.adapterFor(doing)
  const ms = config.producer.requestTimeoutMs
  try {
    await supervisor.ready(doing, ms, true)
    return await withDeadline(clock, ms, doing, () => adapter.size(target))
  } catch (cause) {
    const error = wrapError(adapter, cause, `Cannot ${doing}`)
    const missing = MessageQueueError.is(error) && error.code === ErrorCode.QUEUE_NOT_FOUND
    if (missing && config.autoDeclare) return null
    throw error
  }
}
