import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MessageQueueConfig, MessageQueueFactory, MetricsMiddleware, type MessageQueue } from '@mq/core'
import { provideBroker, type ProvidedBroker } from './broker.ts'
import { drawChart } from './chart.ts'
import { planFaults } from './faults.ts'
import { runPipeline, type Outcome } from './pipeline.ts'
import { showProgress } from './progress.ts'
import { loadReadings } from './readings.ts'
import { describePlan, describeSummary, summarise, type Summary } from './summary.ts'

/** `SEED` chooses what goes wrong; `OUT_DIR` where the chart and the summary go. */
const seed = Number(process.env['SEED'] || 2012)
const folder = process.env['OUT_DIR'] || fileURLToPath(new URL('../out', import.meta.url))

async function main(signal: AbortSignal): Promise<void> {
  if (!Number.isInteger(seed))
    throw new RangeError(`SEED must be a whole number; it is ${process.env['SEED']}`)
  const { broker } = MessageQueueConfig.fromEnv()
  const readings = loadReadings()
  const plan = planFaults(readings, seed)
  const provided = await provideBroker(broker, process.env)
  try {
    signal.throwIfAborted()
    console.log(`Broker ${broker}, ${provided.origin}`)
    console.log(`${readings.length} readings from weather.csv of vega-datasets; seed ${seed}`)
    console.log(`${describePlan(plan)}\n`)
    const progress = showProgress('readings', readings.length)
    const onProgress = (done: number) => progress.update(done)
    const outcome = await withQueue(provided, (queue) =>
      runPipeline(queue, { readings, plan, signal, onProgress }).finally(() => progress.stop()),
    )
    const summary = summarise(seed, readings, plan, outcome)
    console.log(`\n${describeSummary(summary)}`)
    writeOutput(outcome, summary)
  } finally {
    await provided.stop()
  }
}

/** Connects, runs, says how it went, and disconnects whatever happens. */
async function withQueue(
  provided: ProvidedBroker,
  run: (queue: MessageQueue) => Promise<Outcome>,
): Promise<Outcome> {
  const queue = MessageQueueFactory.createQueueFromEnv(provided.env)
  const metrics = new MetricsMiddleware()
  queue.addMiddleware(metrics)
  const startedAt = performance.now()
  await queue.connect()
  try {
    const outcome = await run(queue)
    const seconds = (performance.now() - startedAt) / 1000
    const { processedCount, errorCount, percentiles } = metrics.getMetrics()
    const { messagesSent, messagesRetried, messagesDeadLettered } = queue.getStats()
    const ms = (value: number) => (value * 1000).toFixed(1)
    console.log(
      `\nRun\n` +
        `  time           ${seconds.toFixed(1)} s, ${Math.round(messagesSent / seconds)} messages a second\n` +
        `  messages       ${messagesSent} sent, ${messagesRetried} retried, ${messagesDeadLettered} dead-lettered\n` +
        `  handler runs   ${processedCount} succeeded, ${errorCount} failed; p50 ${ms(percentiles.p50)} ms, p99 ${ms(percentiles.p99)} ms\n` +
        `  concurrency    ${outcome.peak} readings at once, of ${queue.config.workerPoolSize} workers\n` +
        `  detection      ${outcome.judged} windows, on ${outcome.threads.size} of ${queue.config.workerPoolSize} worker threads`,
    )
    return outcome
  } finally {
    await queue.disconnect({ timeoutMs: 5000 })
  }
}

function writeOutput({ detector }: Outcome, summary: Summary): void {
  mkdirSync(folder, { recursive: true })
  const chart = join(folder, 'anomalies.svg')
  writeFileSync(chart, drawChart(detector, summary))
  writeFileSync(join(folder, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`)
  const short = relative(process.cwd(), chart)
  console.log(`\nChart: ${short.startsWith('..') ? chart : short}`)
}

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // Once: a second signal ends the process at once, and what it started with it.
  process.once(name, () => stopping.abort(new Error(`stopped by ${name}`)))
}

try {
  await main(stopping.signal)
} catch (error) {
  const { message, stack, code } = error as { message?: string; stack?: string; code?: unknown }
  // What has a code, or is our own doing, explains itself.
  console.error(`\n${code !== undefined || stopping.signal.aborted ? message : (stack ?? String(error))}`)
  process.exitCode = stopping.signal.aborted ? 130 : 1
}
