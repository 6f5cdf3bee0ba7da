import type { Target } from '../adapter/contract.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError } from '../errors.ts'
import { call } from './call.ts'

/** How many wait in a queue or subscription; `null` for one that is not there, and would be made by its first use. Makes nothing. */
export async function sizeOf(engine: Engine, target: Target, doing: string): Promise<number | null> {
  const adapter = engine.supervisor.adapterFor(doing)
  try {
    return await call(engine, adapter, doing, () => adapter.size(target))
  } catch (error) {
    const missing = MessageQueueError.is(error) && error.code === ErrorCode.QUEUE_NOT_FOUND
    if (missing && engine.config.autoDeclare) return null
    throw error
  }
}
