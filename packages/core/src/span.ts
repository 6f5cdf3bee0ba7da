import type { Engine } from './engine.ts'
import type { TraceIds, Tracer } from './message/trace.ts'

type Span = ReturnType<Tracer['start']>

/** A span of the tracer's, if there is one. A tracer that throws is logged: what it watches goes on without it. */
export function startSpan(
  { tracer, logger }: Engine,
  kind: 'send' | 'process',
  label: string,
  parent: TraceIds | null,
): Span | undefined {
  try {
    return tracer?.start(kind, label, parent)
  } catch (error) {
    logger.warn({ error }, 'the tracer could not start a span')
    return undefined
  }
}

/** Never throws: a message that is stored or handled must not fail because its span could not be ended. */
export function endSpan({ logger }: Engine, span: Span | undefined, failure?: { error: unknown }): void {
  try {
    if (failure === undefined) span?.end()
    else span?.end(failure.error)
  } catch (error) {
    logger.warn({ error }, 'the tracer could not end a span')
  }
}
