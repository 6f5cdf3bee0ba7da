import { randomBytes } from 'node:crypto'

/** W3C Trace Context: https://www.w3.org/TR/trace-context/#traceparent-header. Later versions than 00 may go on behind a dash. */
const TRACEPARENT =
  /^(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:$|-)/

export interface TraceIds {
  readonly traceId: string
  readonly spanId: string
}

/** `null` when the text is no valid traceparent; such a header is passed along and otherwise ignored. */
export function parseTraceparent(header: string | undefined): TraceIds | null {
  const match = header === undefined ? null : TRACEPARENT.exec(header)
  return match === null ? null : { traceId: match[1] as string, spanId: match[2] as string }
}

/** The ids that a message names, where both are what W3C Trace Context takes; other ones say nothing. */
export function traceIdsOf({
  traceId,
  spanId,
}: {
  readonly traceId?: string | undefined
  readonly spanId?: string | undefined
}): TraceIds | null {
  return traceId !== undefined && spanId !== undefined && isTraceId(traceId) && isSpanId(spanId)
    ? { traceId, spanId }
    : null
}

export function isTraceId(text: string): boolean {
  return /^(?!0+$)[0-9a-f]{32}$/.test(text)
}

export function isSpanId(text: string): boolean {
  return /^(?!0+$)[0-9a-f]{16}$/.test(text)
}

export function formatTraceparent({ traceId, spanId }: TraceIds): string {
  return `00-${traceId}-${spanId}-01`
}

export function newTraceId(): string {
  return randomBytes(16).toString('hex')
}

export function newSpanId(): string {
  return randomBytes(8).toString('hex')
}

/**
 * What `enableTracing` uses to make spans. Without one, ids are made and passed along, and nothing is recorded.
 * An OpenTelemetry tracer is adapted in a few lines: see docs/observability.md.
 */
export interface Tracer {
  /** A message is sent or handled: starts a span, answers its ids and how to end it. `parent` is the sender's. */
  start(
    kind: 'send' | 'process',
    destination: string,
    parent: TraceIds | null,
  ): TraceIds & { end(error?: unknown): void }
}
