import { setMaxListeners } from 'node:events'
import { pathToFileURL } from 'node:url'
import { isAbsolute } from 'node:path'
import {
  ConfigurationError,
  ErrorCode,
  MessageQueueConfig,
  RejectError,
  RetryError,
  type HandlerContext,
  type HandlerFunction,
  type Message,
} from '@mq/core'
import { checkModule } from './check-module.ts'
import { toWorkerMessage, type Answer, type Job, type ThrownError } from './job.ts'
import { createSlots, type Slots } from './slots.ts'
import { createThreads, type Threads } from './threads.ts'

export interface WorkerHandlerOptions {
  /**
   * Threads, 1-1024; as many messages run at once when the consumer's `concurrency` allows it. Default: `workerPoolSize` of the queue that it
   * handles a message of first; without one `WORKER_POOL_SIZE`, or 4.
   */
  readonly poolSize?: number | undefined
  /** ms that the module may take to load at registration. Default 30,000. */
  readonly loadTimeoutMs?: number | undefined
}

/** A handler for `consume` and `registerFunctionHandler`. */
export interface WorkerHandler extends HandlerFunction {
  /** With `batch`: a run for each message, on as many threads as there are, with an outcome of its own. */
  (messages: Message[], context: HandlerContext): Promise<PromiseSettledResult<unknown>[]>
  /** Final from the first message on. */
  readonly poolSize: number
  /** Ends the threads, and fails what they run. Idle threads do not keep the process alive, so it is rarely needed. */
  close(): Promise<void>
}

const MOST_THREADS = 1024

/**
 * A handler that runs on worker threads: for work that would hold up the event loop. `module` is a file URL (or absolute path); its default
 * export is called with a `WorkerMessage` and a `WorkerContext`, and may be asynchronous.
 *
 * Loads the module once, in a process of its own, and throws `ConfigurationError` when that fails. A time-out or a lost message ends the thread that runs it;
 * a thread that crashes fails its message alone, and is replaced. `RejectError` and `RetryError` mean what they mean in any handler.
 */
export function workerHandler(module: string | URL, options: WorkerHandlerOptions = {}): WorkerHandler {
  const url = moduleUrl(module)
  checkNames(options)
  let poolSize = options.poolSize === undefined ? poolSizeFromEnv() : checkPoolSize(options.poolSize)
  checkModule(url, checkLoadTimeout(options.loadTimeoutMs ?? 30_000))
  // What waited inside of the threads' pool would wait for ever, were the thread in front of it to crash.
  let pool: { readonly slots: Slots; readonly threads: Threads } | null = null

  function poolFor(context: HandlerContext) {
    if (pool === null) {
      poolSize = options.poolSize ?? configuredSize(context) ?? poolSize
      pool = { slots: createSlots(poolSize), threads: createThreads(poolSize) }
    }
    return pool
  }

  async function run(message: Message, attempt: number, context: HandlerContext): Promise<unknown> {
    const { slots, threads } = poolFor(context)
    const job: Job = { module: url, message: toWorkerMessage(message), context: { attempt } }
    await slots.take(context.signal)
    let answer: Answer
    try {
      answer = await threads.run(job, context.signal)
    } finally {
      slots.free()
    }
    if ('error' in answer) throw toError(answer.error)
    return answer.result
  }
  function handle(messages: Message[], context: HandlerContext): Promise<PromiseSettledResult<unknown>[]>
  function handle(message: Message, context: HandlerContext): Promise<unknown>
  function handle(messages: Message | Message[], context: HandlerContext): Promise<unknown> {
    if (!Array.isArray(messages)) return run(messages, context.attempt, context)
    // Every run listens to it: many are no leak, of which Node would warn.
    setMaxListeners(Infinity, context.signal)
    // The attempt of the context is the highest among them.
    return Promise.allSettled(messages.map((message) => run(message, message.deliveryCount + 1, context)))
  }
  const close = async (): Promise<void> => {
    await pool?.threads.close()
  }
  Object.defineProperty(handle, 'poolSize', { get: () => poolSize, enumerable: true })
  return Object.assign(handle, { close }) as WorkerHandler
}

/** Where core puts the configuration of the queue that a message came from. */
const CONFIG = Symbol.for('@mq/config')

function configuredSize(context: HandlerContext): number | undefined {
  return (context as { [CONFIG]?: { readonly workerPoolSize?: number } })[CONFIG]?.workerPoolSize
}

function moduleUrl(module: string | URL): string {
  const text = String(module)
  if (text.startsWith('file:')) return text
  if (isAbsolute(text)) return pathToFileURL(text).href
  throw new ConfigurationError(
    `A worker module is a file URL or an absolute path: new URL('./worker.js', import.meta.url); it is ${JSON.stringify(text)}`,
  )
}

const OPTIONS: readonly string[] = ['poolSize', 'loadTimeoutMs'] satisfies (keyof WorkerHandlerOptions)[]

/** One that is misspelled must not be ignored. */
function checkNames(options: WorkerHandlerOptions): void {
  for (const name in options) {
    if (!OPTIONS.includes(name)) {
      throw new ConfigurationError(
        `workerHandler has no option ${JSON.stringify(name)}; there are ${OPTIONS.join(', ')}`,
      )
    }
  }
}

/** Read and checked as `fromEnv` does it, but of one variable: the others may belong to nothing here. */
function poolSizeFromEnv(): number {
  const { WORKER_POOL_SIZE } = process.env
  return MessageQueueConfig.fromEnv({ WORKER_POOL_SIZE }).workerPoolSize
}

function checkPoolSize(size: number): number {
  if (Number.isInteger(size) && size >= 1 && size <= MOST_THREADS) return size
  throw new ConfigurationError(`poolSize is a whole number from 1 to ${MOST_THREADS}; it is ${size}`)
}

/** Node's timers take no more: 2^31 - 1 ms. */
const LONGEST_MS = 2_147_483_647

function checkLoadTimeout(ms: number): number {
  if (Number.isInteger(ms) && ms >= 1 && ms <= LONGEST_MS) return ms
  throw new ConfigurationError(
    `loadTimeoutMs is a whole number of milliseconds from 1 to ${LONGEST_MS}; it is ${ms}`,
  )
}

/** The error as the module threw it, as far as it can be had again. A subclass of the library's errors has a name of its own, and their code. */
function toError({ name, message, stack, code, delayMs }: ThrownError): Error {
  const error =
    code === ErrorCode.REJECT || name === 'RejectError'
      ? new RejectError(message)
      : code === ErrorCode.RETRY || name === 'RetryError'
        ? new RetryError(message, delayMs === undefined ? {} : { delayMs })
        : new Error(message)
  if (error.name !== name) error.name = name
  if (stack !== '') error.stack = stack
  if (code !== undefined && !('code' in error)) Object.assign(error, { code })
  return error
}
