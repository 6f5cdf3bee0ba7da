import { randomBytes } from 'node:crypto'
import type { MessageInit } from './message.ts'
import { TRACE_MARK } from './own-headers.ts'

/** W3C Trace Context: https://www.w3.org/TR/trace-context/#traceparent-header. Later versions than 00 may go on behind a dash. */
const TRACEPARENT =
  /^(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/

/** The flag of a trace that is recorded. */
const SAMPLED = 1
/** The flags that are defined: sampled, and a random trace id. Others are not passed on. */
const FLAGS = 3

export interface TraceIds {
  readonly traceId: string
  readonly spanId: string
  /** As in a `traceparent`: 1 where the trace is recorded, 0 where it is not. Default 1. */
  readonly traceFlags?: number | undefined
}

/** `null` when the text is no valid traceparent; such a header is passed along and otherwise ignored. */
export function parseTraceparent(header: string | undefined): TraceIds | null {
  const match = header === undefined ? null : TRACEPARENT.exec(header)
  if (match === null) return null
  const [, traceId, spanId, flags] = match as unknown as [string, string, string, string]
  return { traceId, spanId, traceFlags: parseInt(flags, 16) & FLAGS }
}

/** The ids that a message names, where both are what W3C Trace Context takes; other ones say nothing. */
function traceIdsOf({
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

function isTraceId(text: string): boolean {
  return /^(?!0+$)[0-9a-f]{32}$/.test(text)
}

function isSpanId(text: string): boolean {
  return /^(?!0+$)[0-9a-f]{16}$/.test(text)
}

export function formatTraceparent({ traceId, spanId, traceFlags = SAMPLED }: TraceIds): string {
  return `00-${traceId}-${spanId}-${(traceFlags & FLAGS).toString(16).padStart(2, '0')}`
}

/** The trace that a message belongs to. What is not recorded has a header, which says so: see `spanHeaders`. */
export function traceOf(message: MessageInit): TraceIds | null {
  const ids = traceIdsOf(message)
  const header = parseTraceparent(message.headers?.['traceparent'])
  if (ids === null) return header
  return header?.traceId === ids.traceId ? { ...ids, traceFlags: header.traceFlags } : ids
}

/**
 * The headers of a message that a span sends. Ids alone are those of a recorded trace: any other goes on as a header, which a receiver
 * sees. One of the user's that is no traceparent stays.
 */
export function spanHeaders(headers: Record<string, string>, span: TraceIds): Record<string, string> {
  const { traceparent } = headers
  const { traceFlags = SAMPLED } = span
  const needed = traceparent === undefined ? traceFlags !== SAMPLED : parseTraceparent(traceparent) !== null
  return needed ? { ...headers, traceparent: formatTraceparent(span) } : headers
}

/** A header of the user's own stays, unless it is the parent of a span of this send (`isSpan`), whose child the handler's is. */
export function addTrace(headers: Record<string, string>, message: MessageInit, isSpan: boolean): void {
  const { traceId, spanId } = message
  const own = headers['traceparent']
  // Ids of another kind are no reason to refuse a message, and nothing that others could read.
  if (traceId === undefined || !isTraceId(traceId)) return
  const parsed = parseTraceparent(own)
  if (own !== undefined && !(isSpan && parsed !== null)) return
  const span = spanId !== undefined && isSpanId(spanId) ? spanId : newSpanId()
  headers['traceparent'] = formatTraceparent({ traceId, spanId: span, traceFlags: parsed?.traceFlags })
  // Without the mark the receiver sees the header as well, as it does one of the user's.
  if (own === undefined) headers[TRACE_MARK] = '1'
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
  /**
   * A message is sent or handled: starts a span, answers its ids and how to end it. `parent` of a run is its sender's span. `parent` of a
   * send is what the message names, else the run that it is sent from; `null` where spans have a `run`, which knows that better.
   */
  start(kind: 'send' | 'process', destination: string, parent: TraceIds | null): TraceSpan
}

export interface TraceSpan extends TraceIds {
  end(error?: unknown): void
  /** Calls `fn` with this span as the current one, and answers what it answers: what a handler does is then a part of its span. */
  run?<T>(fn: () => T): T
}
