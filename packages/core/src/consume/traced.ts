import type { Engine } from '../engine.ts'
import type { Message } from '../message/message.ts'
import { traceIdsOf } from '../message/trace.ts'
import { endSpan, startSpan } from '../span.ts'
import type { ConsumerPlan } from './plan.ts'

/** A span around each handler run, child of the sender's. Without a tracer it is the chain itself. */
export function traced<Rest extends unknown[]>(
  engine: Engine,
  plan: ConsumerPlan,
  chain: (message: Message, ...rest: Rest) => unknown,
): (message: Message, ...rest: Rest) => unknown {
  if (engine.tracer === undefined || !engine.config.enableTracing) return chain
  return async (message, ...rest) => {
    const span = startSpan(engine, 'process', plan.label, traceIdsOf(message))
    try {
      const result = await chain(message, ...rest)
      endSpan(engine, span)
      return result
    } catch (error) {
      endSpan(engine, span, { error })
      throw error
    }
  }
}
