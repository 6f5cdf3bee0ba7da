import type { Engine } from '../engine.ts'
import type { HandlerContext } from './handler.ts'
import type { Message } from '../message/message.ts'
import type { ConsumerPlan } from './plan.ts'

type Chain = (message: Message, context: HandlerContext) => unknown

/** A span around each handler run, child of the sender's. Without a tracer it is the chain itself. */
export function traced(engine: Engine, plan: ConsumerPlan, chain: Chain): Chain {
  const { tracer, config } = engine
  if (tracer === undefined || !config.enableTracing) return chain
  return async (message, context) => {
    const { traceId, spanId } = message
    const parent = traceId !== undefined && spanId !== undefined ? { traceId, spanId } : null
    const span = tracer.start('process', plan.label, parent)
    try {
      const result = await chain(message, context)
      span.end()
      return result
    } catch (error) {
      span.end(error)
      throw error
    }
  }
}
