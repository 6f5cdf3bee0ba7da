import type { BrokerAdapter } from '../adapter/contract.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { wrapError } from '../wrap-error.ts'

/** Asks the broker for something that is no message. Waits out a lost connection, as far as `requestTimeoutMs` goes. Rejects with errors of this library. */
export async function call<T>(
  { supervisor, clock, config }: Engine,
  adapter: BrokerAdapter,
  doing: string,
  operation: () => Promise<T>,
): Promise<T> {
  const ms = config.producer.requestTimeoutMs
  try {
    await supervisor.ready(doing, ms, true)
    return await withDeadline(clock, ms, doing, operation)
  } catch (error) {
    throw wrapError(adapter, error, `Cannot ${doing}`)
  }
}
