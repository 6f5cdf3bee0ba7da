import { constants } from 'node:os'
import { systemClock, type Clock } from '../adapter/clock.ts'
import { checkOptions } from '../check-options.ts'
import { MessageQueueConfig, type MessageQueueConfigInput } from '../config/message-queue-config.ts'
import { ErrorCode } from '../error-codes.ts'
import {
  ConfigurationError,
  ConnectionError,
  MessageQueueError,
  QueueNotFoundError,
  ValidationError,
} from '../errors.ts'
import { HealthWatch } from './health-watch.ts'
import { harmless, type Logger } from '../logger.ts'
import { checkInit } from '../message/check-message.ts'
import { Message, type MessageInit } from '../message/message.ts'
import type { MessageQueue } from '../message-queue.ts'
import type { SendOptions } from '../send/routes.ts'
import { checkStopOptions, type StopOptions, type StopResult } from '../stop-options.ts'
import type { MessageQueueStats } from './stats.ts'
import { subscription, type QueueRef } from '../message/typed.ts'
import { notStored } from '../wrap-error.ts'

export interface ManagerOptions {
  /** Default: warnings and errors to stderr. */
  logger?: Logger | undefined
  /** Default: the system's clock. */
  clock?: Clock | undefined
}

export interface QueueHealth {
  readonly healthy: boolean
  readonly stats: MessageQueueStats
  /** What is wrong, and only then. */
  readonly error?: string
}

export interface ManagerHealth {
  readonly isRunning: boolean
  /** Running, and every queue healthy. */
  readonly overallHealthy: boolean
  readonly queues: Record<string, QueueHealth>
}

export interface GlobalStats {
  readonly isRunning: boolean
  readonly queueCount: number
  /** Running consumers of all queues. */
  readonly consumerCount: number
  readonly totalMessagesSent: number
  readonly totalMessagesReceived: number
  readonly totalMessagesFailed: number
  readonly queues: Record<string, MessageQueueStats>
}

/** What `start` did to one queue, so that it can be undone. */
interface Started {
  readonly name: string
  readonly queue: MessageQueue
  /** Whether somebody else had connected it before. */
  readonly wasConnected: boolean
  readonly consumers: { stop(): Promise<unknown> }[]
}

/** Starts, watches and stops several queues together. Every `healthCheckInterval` seconds it logs whose health changed (0: never). */
export class MessageQueueManager {
  readonly config: MessageQueueConfig
  readonly #logger: Logger
  readonly #queues = new Map<string, MessageQueue>()
  readonly #started = new Set<string>()
  readonly #watch: HealthWatch
  #running = false
  /** Set by `stop`, so that a `start` that is still waiting or working gives up. */
  #stopAsked = false
  #starting: Promise<void> | null = null
  #stopping: Promise<StopResult> | null = null
  #uninstall: (() => void) | null = null

  /** Throws `ConfigurationError`. */
  constructor(config: MessageQueueConfigInput = {}, options: ManagerOptions = {}) {
    checkOptions(options, ['logger', 'clock'], 'MessageQueueManager', ConfigurationError)
    this.config = MessageQueueConfig.parse(config)
    this.#logger = harmless(options.logger)
    this.#watch = new HealthWatch({
      intervalMs: this.config.healthCheckInterval * 1000,
      clock: options.clock ?? systemClock,
      logger: this.#logger,
      check: async () => (await this.healthCheck()).queues,
    })
  }

  get isRunning(): boolean {
    return this.#running
  }

  /** @internal */
  get isStarting(): boolean {
    return this.#starting !== null
  }

  /** One that is added while the manager runs joins at the next `start()`. Throws `ValidationError` for a name that is taken, or a queue. */
  addQueue(name: string, queue: MessageQueue): void {
    if (typeof name !== 'string' || name === '')
      throw new ValidationError('A queue of the manager needs a name')
    if (this.#queues.has(name))
      throw new ValidationError(`The manager already has a queue named ${JSON.stringify(name)}`)
    if (typeof (queue as MessageQueue | undefined)?.connect !== 'function') {
      throw new ValidationError(`addQueue(${JSON.stringify(name)}, …) takes a MessageQueue`)
    }
    // It would be consumed once for each of its names.
    for (const [other, known] of this.#queues) {
      if (known === queue)
        throw new ValidationError(
          `The queue ${JSON.stringify(name)} was added already, as ${JSON.stringify(other)}`,
        )
    }
    this.#queues.set(name, queue)
  }

  /** The queue that was added as `name`; `null`: none was. */
  getQueue(name: string): MessageQueue | null {
    return this.#queues.get(name) ?? null
  }

  /**
   * Connects every queue, then consumes every queue that has a handler. When one fails, all that this call did is undone
   * and it rejects with one `ConnectionError` that names each. Concurrent calls share one attempt.
   */
  start(): Promise<void> {
    if (this.#starting === null) {
      this.#stopAsked = false
      this.#starting = this.#start().finally(() => {
        this.#starting = null
      })
    }
    return this.#starting
  }

  async #start(): Promise<void> {
    await this.#stopping
    this.#checkWanted()
    const fresh = [...this.#queues]
      .filter(([name]) => !this.#started.has(name))
      .map(([name, queue]): Started => ({
        name,
        queue,
        wasConnected: queue.getStats().isConnected,
        consumers: [],
      }))
    // Nothing is consumed before everything is connected: what must be undone has then handled no message.
    const failures = await failuresOf(fresh, ({ queue }) => queue.connect())
    if (failures.length === 0 && !this.#stopAsked) failures.push(...(await failuresOf(fresh, consumeHandled)))
    if (failures.length > 0 || this.#stopAsked) {
      await Promise.all(fresh.map((started) => this.#undo(started)))
      this.#checkWanted()
      throw startError(failures)
    }
    for (const { name } of fresh) this.#started.add(name)
    this.#running = true
    this.#watch.start()
    this.#logger.debug({ queues: [...this.#started] }, 'manager started')
  }

  #checkWanted(): void {
    if (!this.#stopAsked) return
    throw new ConnectionError('stop() was called while the manager was starting', { code: ErrorCode.ABORTED })
  }

  async #undo({ name, queue, wasConnected, consumers }: Started): Promise<void> {
    const undoing = wasConnected ? consumers.map((consumer) => consumer.stop()) : [queue.disconnect()]
    for (const result of await Promise.allSettled(undoing)) {
      if (result.status === 'rejected')
        this.#logger.warn({ queue: name, error: result.reason as unknown }, 'undoing a start failed')
    }
  }

  /**
   * Drains and disconnects all queues at the same time, those of a `start()` under way included. Always settles, and rejects for
   * wrong options alone; concurrent calls share one attempt, and the shortest time that one of them names counts.
   */
  async stop(options: StopOptions = {}): Promise<StopResult> {
    checkStopOptions(options, 'stop')
    this.#stopAsked = true
    if (this.#stopping !== null && options.timeoutMs !== undefined) void this.#disconnectAll(options)
    this.#stopping ??= this.#stop(options).finally(() => {
      this.#stopping = null
    })
    return this.#stopping
  }

  async #stop(options: StopOptions): Promise<StopResult> {
    this.#watch.stop()
    const starting = this.#starting
    const results = await this.#disconnectAll(options)
    if (starting !== null) {
      // Most of it failed for lack of a connection; what it connected after all is closed now.
      await starting.catch(() => undefined)
      results.push(...(await this.#disconnectAll(options)))
      this.#watch.stop()
    }
    this.#running = false
    this.#started.clear()
    return {
      drained: results.every(({ drained }) => drained),
      abandoned: results.flatMap(({ abandoned }) => abandoned),
    }
  }

  #disconnectAll(options: StopOptions): Promise<StopResult[]> {
    return Promise.all(
      [...this.#queues].map(async ([name, queue]): Promise<StopResult> => {
        try {
          return await queue.disconnect(options)
        } catch (error) {
          this.#logger.error({ queue: name, error }, 'a queue did not disconnect cleanly')
          return { drained: false, abandoned: [] }
        }
      }),
    )
  }

  /** Asks every queue at the same time. Never rejects. */
  async healthCheck(): Promise<ManagerHealth> {
    const checks = await Promise.all(
      [...this.#queues].map(async ([name, queue]): Promise<[string, QueueHealth]> => [
        name,
        await healthOf(queue),
      ]),
    )
    return {
      isRunning: this.#running,
      overallHealthy: this.#running && checks.every(([, { healthy }]) => healthy),
      queues: Object.fromEntries(checks),
    }
  }

  /**
   * Sends through the queue added as `name`. The destination is `options.queueName`, else the message's `queueName`, else `name`.
   * Resolves with the id. Rejects with `QueueNotFoundError` when nothing was added by that name, else like `send`.
   */
  async sendToQueue(
    name: string,
    message: Message | MessageInit,
    options: SendOptions = {},
  ): Promise<string> {
    const queue = this.#queues.get(name)
    if (queue === undefined) {
      const known = this.#queues.size === 0 ? 'it has none' : `it has ${[...this.#queues.keys()].join(', ')}`
      throw new QueueNotFoundError(
        `The manager has no queue named ${JSON.stringify(name)} (${known}): call addQueue(name, queue) first`,
        { certainty: 'not-stored' },
      )
    }
    try {
      // Else it would be taken for the name of a queue.
      if (!Message.is(message)) checkInit(message)
    } catch (error) {
      throw notStored(error)
    }
    const queueName = options.queueName ?? message.queueName ?? name
    return queue.send(message, { ...options, queueName })
  }

  /** The counters of every queue, and their sums. */
  getGlobalStats(): GlobalStats {
    const entries = [...this.#queues].map(([name, queue]): [string, MessageQueueStats] => [
      name,
      queue.getStats(),
    ])
    const total = (count: (stats: MessageQueueStats) => number) =>
      entries.reduce((sum, [, stats]) => sum + count(stats), 0)
    return {
      isRunning: this.#running,
      queueCount: entries.length,
      consumerCount: total((stats) => stats.consumerCount),
      totalMessagesSent: total((stats) => stats.messagesSent),
      totalMessagesReceived: total((stats) => stats.messagesReceived),
      totalMessagesFailed: total((stats) => stats.messagesFailed),
      queues: Object.fromEntries(entries),
    }
  }

  /**
   * SIGINT and SIGTERM stop the manager; the process then ends by itself, unless something else keeps it alive. A second signal ends it
   * at once, with status 128 + the signal's number. Answers a function that takes the listeners away again.
   */
  stopOnSignals(options: StopOptions = {}): () => void {
    checkStopOptions(options, 'stopOnSignals')
    if (this.#uninstall !== null) return this.#uninstall
    let asked = false
    const listener = (signal: 'SIGINT' | 'SIGTERM') => {
      if (asked) process.exit(128 + constants.signals[signal])
      asked = true
      this.#logger.info({ signal }, 'stopping; the same signal again ends the process at once')
      void this.stop(options)
    }
    process.on('SIGINT', listener)
    process.on('SIGTERM', listener)
    this.#uninstall = () => {
      process.off('SIGINT', listener)
      process.off('SIGTERM', listener)
      this.#uninstall = null
    }
    return this.#uninstall
  }
}

async function consumeHandled({ queue, consumers }: Started): Promise<void> {
  const { registeredHandlers, activeQueues } = queue.getStats()
  for (const label of registeredHandlers) {
    if (!activeQueues.includes(label)) consumers.push(await queue.startConsuming(refOf(label)))
  }
}

/** Stats name a subscription `topic/name`; neither part can hold a slash. */
function refOf(label: string): QueueRef {
  const [topic, name] = label.split('/')
  return name === undefined ? label : subscription(topic as string, name)
}

interface Failure {
  readonly name: string
  readonly error: unknown
}

async function failuresOf(
  all: readonly Started[],
  act: (started: Started) => Promise<unknown>,
): Promise<Failure[]> {
  const results = await Promise.allSettled(all.map(async (started) => act(started)))
  return results.flatMap((result, index) =>
    result.status === 'fulfilled'
      ? []
      : [{ name: (all[index] as Started).name, error: result.reason as unknown }],
  )
}

function startError(failures: readonly Failure[]): ConnectionError {
  const lines = failures.map(({ name, error }) => `${name}: ${textOf(error)}`)
  const errors = failures.map(({ error }) => error)
  // Only when every one says so: then trying again cannot help.
  const refused = errors.every(
    (error) => MessageQueueError.is(error) && error.code === ErrorCode.AUTHENTICATION,
  )
  return new ConnectionError(
    `The manager did not start; nothing is left running. ${failures.length === 1 ? 'This queue' : 'These queues'} failed: ${lines.join('; ')}`,
    {
      code: refused ? ErrorCode.AUTHENTICATION : ErrorCode.CONNECTION,
      cause: errors.length === 1 ? errors[0] : new AggregateError(errors, lines.join('; ')),
    },
  )
}

async function healthOf(queue: MessageQueue): Promise<QueueHealth> {
  const stats = queue.getStats()
  try {
    const { healthy, error } = await queue.healthCheck()
    return error === undefined ? { healthy, stats } : { healthy, stats, error }
  } catch (error) {
    return { healthy: false, stats, error: textOf(error) }
  }
}

function textOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message)
  return String(error)
}
