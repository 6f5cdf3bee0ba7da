import type { Engine } from '../engine.ts'
import { composeProcess } from '../middleware/compose.ts'
import type { Middleware } from '../middleware/types.ts'
import type { HandlerContext } from './handler.ts'
import type { ConsumerPlan } from './plan.ts'
import { timedRun, type Chain } from './timed-run.ts'
import { traced } from './traced.ts'

/** Without middleware and tracing it is the handler itself. */
export function composeChain(engine: Engine, middlewares: readonly Middleware[], plan: ConsumerPlan): Chain {
  const composed = middlewares.some((middleware) => middleware.process !== undefined)
  if (!composed && !engine.config.enableTracing) return plan.handler.run
  const run = timedRun(plan)
  if (!composed) return traced(engine, plan, run)
  const chain = composeProcess<[HandlerContext]>(middlewares, async (message, context) =>
    run(message, context),
  )
  return traced(engine, plan, chain)
}
