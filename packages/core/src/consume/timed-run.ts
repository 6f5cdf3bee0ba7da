import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError } from '../errors.ts'
import type { HandlerContext } from './handler.ts'
import type { Message } from '../message/message.ts'
import type { ConsumerPlan } from './plan.ts'

/** Middleware around the handler, composed once. */
export type Chain = (message: Message, context: HandlerContext) => unknown

/** The handler as what wraps it sees it: with a time-out, a run that timed out has failed, although the handler goes on. */
export function timedRun({ handler: { run }, timeoutMs }: ConsumerPlan): Chain {
  if (timeoutMs === null) return run
  return (message: Message, context: HandlerContext) => {
    const result: unknown = run(message as never, context)
    return isThenable(result) ? unlessTimedOut(result, context.signal) : result
  }
}

function unlessTimedOut(running: PromiseLike<unknown>, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      const reason: unknown = signal.reason
      // A lost lease or a shutdown ends no run: only the handler does.
      if (MessageQueueError.is(reason) && reason.code === ErrorCode.HANDLER_TIMEOUT) reject(reason)
    }
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
    running.then(resolve, reject)
  })
}

/** What a run fails with that took longer than it may. */
export function handlerTimeout({ label, timeoutMs }: ConsumerPlan): MessageQueueError {
  return new MessageQueueError(`The handler of ${label} ran longer than its timeoutMs (${timeoutMs} ms)`, {
    code: ErrorCode.HANDLER_TIMEOUT,
  })
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
