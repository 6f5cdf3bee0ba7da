import type { Consumers } from '../consume/consumers.ts'
import { Histogram } from '../middleware/histogram.ts'

/** Counters of one MessageQueue. Plain numbers: they are on the hot path. */
export class Stats {
  messagesSent = 0
  messagesReceived = 0
  messagesProcessed = 0
  messagesFailed = 0
  messagesRetried = 0
  messagesDeadLettered = 0
  /** Delivered and unsettled, those included that a consumer keeps for a retry. */
  inFlight = 0
  errorCount = 0
  /** Connections that replaced a lost one. */
  reconnects = 0
  /** How long handler runs took; `null` unless `enableMetrics`. */
  readonly runs: Histogram | null
  #lifetime: AbortSignal | null = null

  constructor(enableMetrics: boolean) {
    this.runs = enableMetrics ? new Histogram() : null
  }

  /** A connection is up. `lifetime`: from a `connect` to its `disconnect`, so that one of the same replaces another. Answers whether there was any before. */
  connected(lifetime: AbortSignal): boolean {
    const before = this.#lifetime
    if (before === lifetime) this.reconnects++
    this.#lifetime = lifetime
    return before !== null
  }
}

/** What `getStats()` answers. All counts are since construction. */
export interface MessageQueueStats {
  readonly isConnected: boolean
  /** Confirmed by the broker. */
  readonly messagesSent: number
  /** Handed over by the broker to a handler or to `receive`. */
  readonly messagesReceived: number
  /** Handler runs that succeeded. */
  readonly messagesProcessed: number
  /** Handler runs that failed. */
  readonly messagesFailed: number
  readonly messagesRetried: number
  readonly messagesDeadLettered: number
  /** Delivered and unsettled now; not what waits for a retry. */
  readonly inFlight: number
  /** Sends, settlements and receives that ended in an error. */
  readonly errorCount: number
  /** Connections that replaced a lost one. */
  readonly reconnects: number
  /** Queues and subscriptions that are being consumed. */
  readonly activeQueues: string[]
  /** Queues and subscriptions with a handler. */
  readonly registeredHandlers: string[]
  readonly consumerCount: number
  /** How long handler runs took, in seconds; `null` without `enableMetrics`. */
  readonly processingTime: ProcessingTime | null
}

export interface ProcessingTime {
  readonly count: number
  readonly average: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export function snapshot(stats: Stats, isConnected: boolean, consumers: Consumers): MessageQueueStats {
  const { running } = consumers
  return {
    isConnected,
    messagesSent: stats.messagesSent,
    messagesReceived: stats.messagesReceived,
    messagesProcessed: stats.messagesProcessed,
    messagesFailed: stats.messagesFailed,
    messagesRetried: stats.messagesRetried,
    messagesDeadLettered: stats.messagesDeadLettered,
    inFlight: running.reduce((left, consumer) => left - consumer.waiting, stats.inFlight),
    errorCount: stats.errorCount,
    reconnects: stats.reconnects,
    activeQueues: [...new Set(running.map((consumer) => consumer.label))],
    registeredHandlers: consumers.handlerLabels,
    consumerCount: running.length,
    processingTime: stats.runs === null ? null : processingTime(stats.runs),
  }
}

function processingTime(runs: Histogram): ProcessingTime {
  return {
    count: runs.count,
    average: runs.count === 0 ? 0 : runs.sum / runs.count,
    p50: runs.percentile(0.5),
    p95: runs.percentile(0.95),
    p99: runs.percentile(0.99),
  }
}
