import { randomBytes } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  defineQueue,
  RejectError,
  type Consumer,
  type DeadLetterReason,
  type HandlerContext,
  type Message,
  type MessageQueue,
  type TypedQueue,
} from '@mq/core'
import { workerHandler, type WorkerHandler } from '@mq/workers'
import Type from 'typebox'
import { Detector, type Anomaly, type Window } from './detector.ts'
import { spoil, type FaultPlan } from './faults.ts'
import type { Verdict } from './judge-window.ts'
import { calendarsOf, dayOf, Reading, readingId } from './readings.ts'

const Alert = Type.Object({
  station: Type.String(),
  date: Type.String(),
  temperature: Type.Number(),
  expected: Type.Number(),
  kind: Type.Union([Type.Literal('warm'), Type.Literal('cold')]),
})

const WindowBody = Type.Object({
  station: Type.String(),
  date: Type.String(),
  temperature: Type.Number(),
  around: Type.Array(Type.Number(), { minItems: 1 }),
})

/** Short and even, so that a run takes seconds; a real service would start at a second and back off. */
const RETRY = { maxRetries: 3, delayMs: 50, backoff: 'fixed' } as const

/** Sent at once; the library makes batches for the broker out of them. */
const CHUNK = 200

/** A run that does not move for so long has lost something: better an error than a bar that stands still. */
const PATIENCE_MS = 60_000

export interface PipelineOptions {
  readonly readings: readonly Reading[]
  readonly plan: FaultPlan
  readonly signal: AbortSignal
  onProgress(done: number): void
}

export interface DeadRow {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly error: string
}

export interface Outcome {
  /** Id → the attempt that succeeded. */
  readonly handled: ReadonlyMap<string, number>
  /** What the dead-letter queue held at the end. */
  readonly deadLetters: readonly DeadRow[]
  readonly anomalies: readonly Anomaly[]
  readonly detector: Detector
  /** Most handlers of readings that ran at once. */
  readonly peak: number
  /** How many windows were judged, and the ids of the threads that did it. */
  readonly judged: number
  readonly threads: ReadonlySet<number>
}

/**
 * Sends every reading, some of them spoilt, through `queue` and answers what came of them. Three queues: readings, whose handler
 * completes windows; windows, which are judged on worker threads; and alerts, where the anomalies go. They have names of this run
 * alone and are deleted at its end.
 */
export async function runPipeline(queue: MessageQueue, options: PipelineOptions): Promise<Outcome> {
  const run = randomBytes(4).toString('hex')
  const readings = defineQueue(`weather.readings.${run}`, { schema: Reading })
  const windows = defineQueue(`weather.windows.${run}`, { schema: WindowBody })
  const alerts = defineQueue(`weather.alerts.${run}`, { schema: Alert })
  const pipeline = new Pipeline(queue, { readings, windows, alerts }, options)
  try {
    await pipeline.run()
    return await pipeline.outcome()
  } finally {
    await pipeline.close()
    const left = [readings, windows, alerts].flatMap(({ name }) => [name, `${name}.dlq`])
    if (queue.isConnected) await Promise.allSettled(left.map((each) => queue.deleteQueue(each)))
  }
}

interface Queues {
  readonly readings: TypedQueue<Reading>
  readonly windows: TypedQueue<Window>
  readonly alerts: TypedQueue<Anomaly>
}

class Pipeline {
  readonly #detector: Detector
  readonly #byId: ReadonlyMap<string, Reading>
  readonly #handled = new Map<string, number>()
  readonly #dead = new Set<string>()
  readonly #windows = new Set<string>()
  readonly #judged = new Set<string>()
  readonly #threads = new Set<number>()
  readonly #raised = new Set<string>()
  readonly #alerts = new Map<string, Anomaly>()
  readonly #queue: MessageQueue
  readonly #queues: Queues
  readonly #options: PipelineOptions
  readonly #consumers: Consumer[] = []
  readonly #judge: WorkerHandler
  #running = 0
  #peak = 0
  #finish: () => void = () => undefined
  #fail: (error: unknown) => void = () => undefined
  readonly #finished = new Promise<void>((resolve, reject) => {
    this.#finish = resolve
    this.#fail = reject
  })
  #watchdog: NodeJS.Timeout | undefined

  constructor(queue: MessageQueue, queues: Queues, options: PipelineOptions) {
    this.#queue = queue
    this.#queues = queues
    this.#options = options
    const module = new URL('./judge-window.ts', import.meta.url)
    this.#judge = workerHandler(module, { poolSize: queue.config.workerPoolSize })
    this.#detector = new Detector(calendarsOf(options.readings))
    this.#byId = new Map(options.readings.map((reading) => [readingId(reading), reading]))
    // It may fail before anybody waits for it.
    this.#finished.catch(() => undefined)
  }

  async run(): Promise<void> {
    const { signal } = this.#options
    signal.throwIfAborted()
    signal.addEventListener('abort', this.#abort)
    this.#queue.on('deadLetter', this.#onDeadLetter)
    this.#moved()
    const { readings, windows, alerts } = this.#queues
    // As many at once as there are threads, both where windows are made and where they are judged.
    const options = { concurrency: this.#queue.config.workerPoolSize, retry: RETRY }
    this.#consumers.push(
      await this.#queue.consume(alerts, (message) => this.#onAlert(message)),
      await this.#queue.consume(windows, (message, context) => this.#onWindow(message, context), options),
      await this.#queue.consume(readings, (message, context) => this.#onReading(message, context), options),
    )
    await this.#sendAll()
    await this.#finished
  }

  async close(): Promise<void> {
    clearTimeout(this.#watchdog)
    this.#options.signal.removeEventListener('abort', this.#abort)
    this.#queue.off('deadLetter', this.#onDeadLetter)
    await Promise.all(this.#consumers.map((consumer) => consumer.stop({ timeoutMs: 5000 })))
    await this.#judge.close()
  }

  async outcome(): Promise<Outcome> {
    const deadLetters: DeadRow[] = []
    let cursor: string | null = null
    do {
      const page = await this.#queue.deadLetters(this.#queues.readings).list({ cursor })
      for (const { id, deadLetter } of page.messages) {
        if (deadLetter) deadLetters.push({ id, reason: deadLetter.reason, error: deadLetter.error.message })
      }
      cursor = page.cursor
    } while (cursor !== null)
    return {
      handled: this.#handled,
      deadLetters,
      anomalies: [...this.#alerts.values()],
      detector: this.#detector,
      peak: this.#peak,
      judged: this.#judged.size,
      threads: this.#threads,
    }
  }

  /** Good readings are checked by the schema as they are sent; spoilt ones come as from a client that checks nothing. */
  async #sendAll(): Promise<void> {
    const { readings, plan, signal } = this.#options
    for (let start = 0; start < readings.length; start += CHUNK) {
      signal.throwIfAborted()
      const sends = readings.slice(start, start + CHUNK).map((reading) => {
        const id = readingId(reading)
        const corruption = plan.corrupted.get(id)
        return corruption === undefined
          ? this.#queue.send(this.#queues.readings, reading, { id })
          : this.#queue.send(this.#queues.readings.name, spoil(reading, corruption), {
              id,
              contentType: 'application/json',
            })
      })
      await Promise.all(sends)
    }
  }

  async #onReading({ id, body }: Message<Reading>, { attempt }: HandlerContext): Promise<void> {
    this.#peak = Math.max(this.#peak, ++this.#running)
    try {
      await this.#confirm(id, attempt)
      if (dayOf(body.date) === null) throw new RejectError(`${body.date} is in no calendar`)
      await this.#sendWindows(this.#detector.record(body))
      this.#handled.set(id, attempt)
      this.#moved()
    } finally {
      this.#running--
    }
  }

  /** Stands for a call to another service, which does not answer now and then. */
  async #confirm(id: string, attempt: number): Promise<void> {
    await nextTurn()
    if (attempt <= (this.#options.plan.transient.get(id) ?? 0))
      throw new Error('the station service did not answer')
  }

  async #sendWindows(windows: readonly Window[]): Promise<void> {
    for (const window of windows) this.#windows.add(readingId(window))
    await Promise.all(
      windows.map((each) => this.#queue.send(this.#queues.windows, each, { id: readingId(each) })),
    )
  }

  /** Waits for a thread's verdict. The id is that of the reading: an alert that a repeated run sends again is the same alert. */
  async #onWindow(message: Message<Window>, context: HandlerContext): Promise<void> {
    const { judgement, thread } = (await this.#judge(message, context)) as Verdict
    this.#threads.add(thread)
    const anomaly = this.#detector.judged(message.body, judgement)
    if (anomaly !== null) {
      this.#raised.add(message.id)
      await this.#queue.send(this.#queues.alerts, anomaly, { id: message.id })
    }
    this.#judged.add(message.id)
    this.#moved()
  }

  #onAlert({ id, body }: Message<Anomaly>): void {
    this.#alerts.set(id, body)
    this.#moved()
  }

  /** A lost reading completes windows too: those of its neighbours. */
  readonly #onDeadLetter = (
    message: Message,
    { queue, error }: { queue: string; error: { message: string } },
  ): void => {
    const reading = this.#byId.get(message.id)
    if (queue !== this.#queues.readings.name || reading === undefined)
      return this.#fail(new Error(`${queue}: ${message.id} was dead-lettered: ${error.message}`))
    this.#sendWindows(this.#detector.recordLost(reading)).then(() => {
      this.#dead.add(message.id)
      this.#moved()
    }, this.#fail)
  }

  readonly #abort = (): void => this.#fail(this.#options.signal.reason)

  #moved(): void {
    const done = this.#handled.size + this.#dead.size
    this.#options.onProgress(done)
    clearTimeout(this.#watchdog)
    const read = done === this.#byId.size && this.#judged.size === this.#windows.size
    if (read && this.#alerts.size === this.#raised.size) return this.#finish()
    const stalled = () =>
      this.#fail(
        new Error(`nothing moved for ${PATIENCE_MS / 1000} s: ${done} of ${this.#byId.size} readings`),
      )
    this.#watchdog = setTimeout(stalled, PATIENCE_MS)
  }
}
