import type { MessageQueue, MetricsMiddleware, QueueRef } from '@mq/core'

/** Of `text/plain; version=0.0.4`, which Prometheus and its relatives read. Times are in seconds. */
export async function metricsText(
  queue: MessageQueue,
  metrics: MetricsMiddleware,
  watched: readonly QueueRef[],
): Promise<string> {
  const stats = queue.getStats()
  const { processedCount, errorCount, totalProcessingTime, percentiles } = metrics.getMetrics()
  const runs = processedCount + errorCount
  const waiting = await Promise.all(watched.map((ref) => lengthsOf(queue, ref)))
  return [
    ...family('mq_connected', 'gauge', [['', Number(stats.isConnected)]]),
    ...family('mq_reconnects_total', 'counter', [['', stats.reconnects]]),
    ...family('mq_sent_total', 'counter', [['', stats.messagesSent]]),
    ...family('mq_received_total', 'counter', [['', stats.messagesReceived]]),
    ...family('mq_retried_total', 'counter', [['', stats.messagesRetried]]),
    ...family('mq_dead_lettered_total', 'counter', [['', stats.messagesDeadLettered]]),
    ...family('mq_errors_total', 'counter', [['', stats.errorCount]]),
    ...family('mq_in_flight', 'gauge', [['', stats.inFlight]]),
    ...family('mq_handler_runs_total', 'counter', [
      ['{result="success"}', processedCount],
      ['{result="failure"}', errorCount],
    ]),
    ...family('mq_handler_seconds', 'summary', [
      ['{quantile="0.5"}', percentiles.p50],
      ['{quantile="0.95"}', percentiles.p95],
      ['{quantile="0.99"}', percentiles.p99],
      ['_sum', totalProcessingTime],
      ['_count', runs],
    ]),
    ...family(
      'mq_queue_ready',
      'gauge',
      waiting.flatMap(({ name, ready }) => (ready === null ? [] : [[`{queue="${name}"}`, ready] as const])),
    ),
    ...family(
      'mq_dead_letters',
      'gauge',
      waiting.flatMap(({ name, dead }) => (dead === null ? [] : [[`{queue="${name}"}`, dead] as const])),
    ),
    '',
  ].join('\n')
}

function family(name: string, type: string, samples: readonly (readonly [string, number])[]): string[] {
  return [`# TYPE ${name} ${type}`, ...samples.map(([suffix, value]) => `${name}${suffix} ${value}`)]
}

/** `null` where the broker does not say: a scrape during an outage has the counters all the same. */
async function lengthsOf(queue: MessageQueue, ref: QueueRef) {
  const name = nameOf(ref)
  if (!queue.isConnected) return { name, ready: null, dead: null }
  const [ready, dead] = await Promise.all([
    queue.getQueueSize(ref).catch(() => null),
    queue
      .deadLetters(ref)
      .count()
      .catch(() => null),
  ])
  return { name, ready, dead }
}

function nameOf(ref: QueueRef): string {
  if (typeof ref === 'string') return ref
  return 'topic' in ref ? `${ref.topic}/${ref.name}` : ref.name
}
