import type { Engine } from '../engine.ts'
import type { Message } from '../message/message.ts'
import { newSpanId, newTraceId, type TraceIds, traceOf } from '../message/trace.ts'
import { endSpan, inSpan, inTrace, startSpan } from '../span.ts'
import type { ConsumerPlan } from './plan.ts'

/**
 * A span around each handler run, child of the sender's, and parent of what the handler sends. Without a tracer the handler runs in the
 * trace of its message; without `enableTracing` it is the chain itself.
 */
export function traced<Rest extends unknown[]>(
  engine: Engine,
  plan: ConsumerPlan,
  chain: (message: Message, ...rest: Rest) => unknown,
): (message: Message, ...rest: Rest) => unknown {
  if (!engine.config.enableTracing) return chain
  if (engine.tracer === undefined)
    return (message, ...rest) => inTrace(traceOf(message) ?? newTrace(), () => chain(message, ...rest))
  return async (message, ...rest) => {
    const parent = traceOf(message)
    const span = startSpan(engine, 'process', plan.label, parent)
    const run = async () => chain(message, ...rest)
    try {
      const result = await (span === undefined
        ? inTrace(parent ?? newTrace(), run)
        : inSpan(engine, span, run))
      endSpan(engine, span)
      return result
    } catch (error) {
      endSpan(engine, span, { error })
      throw error
    }
  }
}

function newTrace(): TraceIds {
  return { traceId: newTraceId(), spanId: newSpanId() }
}
