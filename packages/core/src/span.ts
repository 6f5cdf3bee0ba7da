import { AsyncLocalStorage } from 'node:async_hooks'
import type { Engine } from './engine.ts'
import type { TraceIds, TraceSpan } from './message/trace.ts'

/** What a handler runs in, where no tracer keeps that itself. Costs nothing until the first `run`. */
const current = new AsyncLocalStorage<TraceIds>()

/** The trace of the handler that this is called from. */
export function currentTrace(): TraceIds | null {
  return current.getStore() ?? null
}

export function inTrace<T>(trace: TraceIds, fn: () => T): T {
  return current.run(trace, fn)
}

/** Runs a handler inside its span. A tracer that fails at that is logged, and the handler runs all the same: once. */
export function inSpan<T>({ logger }: Engine, span: TraceSpan, fn: () => Promise<T>): Promise<T> {
  if (span.run === undefined) return inTrace(span, fn)
  let running: Promise<T> | undefined
  const once = () => (running ??= fn())
  try {
    // A promise of the tracer's own fails as the handler does, which is for whoever waits for that.
    Promise.resolve(span.run(once)).catch(() => undefined)
  } catch (error) {
    logger.warn({ error }, 'the tracer could not run a handler inside its span')
  }
  return once()
}

/** A span of the tracer's, if there is one. A tracer that throws is logged: what it watches goes on without it. */
export function startSpan(
  { tracer, logger }: Engine,
  kind: 'send' | 'process',
  label: string,
  parent: TraceIds | null,
): TraceSpan | undefined {
  try {
    return tracer?.start(kind, label, parent)
  } catch (error) {
    logger.warn({ error }, 'the tracer could not start a span')
    return undefined
  }
}

/** Never throws: a message that is stored or handled must not fail because its span could not be ended. */
export function endSpan({ logger }: Engine, span: TraceSpan | undefined, failure?: { error: unknown }): void {
  try {
    if (failure === undefined) span?.end()
    else span?.end(failure.error)
  } catch (error) {
    logger.warn({ error }, 'the tracer could not end a span')
  }
}
