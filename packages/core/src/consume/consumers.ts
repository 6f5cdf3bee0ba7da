import type { DeclareTarget } from '../adapter/contract.ts'
import { answerOf } from './batch-answer.ts'
import { checkMs } from '../check-options.ts'
import { withoutUndefined } from '../config/data.ts'
import { Consumer, type ConsumerHost } from './consumer.ts'
import type { Engine } from '../engine.ts'
import { HandlerNotFoundError, LeaseLostError, NotConnectedError, ValidationError } from '../errors.ts'
import type { HandlerContext, HandlerOptions } from './handler.ts'
import { checkHandlerOptions } from './handler-options.ts'
import { HandRun, HandRuns } from './hand-runs.ts'
import { heldOf, type Held } from './held.ts'
import { Message } from '../message/message.ts'
import { keyOf } from '../message/target.ts'
import type { Middleware } from '../middleware/types.ts'
import { planConsumer, type ConsumerPlan, type NormalHandler } from './plan.ts'
import type { Requests } from '../send/requests.ts'
import { Slots } from './slots.ts'
import { traced } from './traced.ts'
import { resolveQueue, resolveTarget, type ResolvedQueue } from '../message/typed.ts'
import { acknowledgeFirst } from './deduplication.ts'
import { handlerTimeout, timedRun } from './timed-run.ts'
import { Verdicts } from './verdicts.ts'
import { composeProcess } from '../middleware/compose.ts'
import { CONFIG, RunContext } from './context.ts'
import { admit } from './admission.ts'
import type { StopResult } from '../stop-options.ts'

interface Registration {
  readonly queue: ResolvedQueue
  readonly handler: NormalHandler
  readonly options: HandlerOptions
  /** By `consume`, whose consumer it is for. */
  readonly once: boolean
  /** That has stopped: another handler may take its place. */
  over: boolean
}

/** The handlers of one MessageQueue and the consumers that run them. */
export class Consumers implements ConsumerHost {
  readonly #engine: Engine
  readonly #requests: Requests
  readonly middlewares: readonly Middleware[]
  readonly slots: Slots
  readonly #handlers = new Map<string, Registration>()
  readonly #consumers = new Set<Consumer>()
  readonly #handRuns: HandRuns
  /** The lifetime of the connection in which all were stopped last. */
  #stoppedIn: AbortSignal | null = null

  constructor(engine: Engine, requests: Requests, middlewares: readonly Middleware[]) {
    this.#engine = engine
    this.#requests = requests
    this.middlewares = middlewares
    this.slots = new Slots(engine.config.maxConcurrentMessages)
    this.#handRuns = new HandRuns(engine.clock)
  }

  get handlerLabels(): string[] {
    return [...this.#handlers.keys()]
  }

  get running(): readonly Consumer[] {
    return [...this.#consumers]
  }

  register(queue: ResolvedQueue, handler: NormalHandler, options: HandlerOptions, once = false): void {
    checkFor(queue, options)
    const { over = true } = this.#handlers.get(queue.label) ?? {}
    if (!over) {
      throw new ValidationError(
        `${queue.label} already has a handler: one handler per queue; use another queue or a subscription for a second one`,
      )
    }
    this.#handlers.set(queue.label, { queue, handler, options, once, over: false })
    this.#divert(queue, options)
  }

  #divert({ target }: ResolvedQueue, { deadLetterQueue }: HandlerOptions): void {
    if (deadLetterQueue !== undefined) this.#engine.topology.divertDeadLetters(target, deadLetterQueue)
  }

  /** All, or none when one of them is refused. */
  registerAll(all: readonly Parameters<Consumers['register']>[]): void {
    const before = new Map(this.#handlers)
    try {
      for (const one of all) this.register(...one)
    } catch (error) {
      for (const [label, one] of this.#handlers)
        if (before.get(label) !== one) this.#unregister(one.queue, before.get(label))
      throw error
    }
  }

  /** Back to what was registered before, which has stopped, or to nothing. */
  #unregister({ label, target }: ResolvedQueue, before: Registration | undefined): void {
    if (before === undefined) this.#handlers.delete(label)
    else this.#handlers.set(label, before)
    this.#engine.topology.divertDeadLetters(target, before?.options.deadLetterQueue ?? null)
  }

  /** Registers and starts: both, or neither. Once it has stopped, the queue may be given another handler. `made`: what has to be there before, and is made once nothing is wrong with the rest. */
  async consume(
    queue: ResolvedQueue,
    handler: NormalHandler,
    options: HandlerOptions,
    made?: () => Promise<unknown>,
  ): Promise<Consumer> {
    const before = this.#handlers.get(queue.label)
    this.register(queue, handler, options, true)
    try {
      await made?.()
      return await this.start(queue, {})
    } catch (error) {
      this.#unregister(queue, before)
      throw error
    }
  }

  /** Resolves once subscribed. `overrides` win over what the handler was registered with. */
  async start(queue: ResolvedQueue, overrides: HandlerOptions): Promise<Consumer> {
    checkFor(queue, overrides)
    const registration = this.#handlers.get(queue.label)
    if (registration === undefined) throw new HandlerNotFoundError(queue.label)
    const { lifetime } = this.#engine.supervisor
    this.#refuseStopped(lifetime)
    // Not where those of an earlier start went.
    const { deadLetterQueue = registration.options.deadLetterQueue ?? null } = overrides
    this.#engine.topology.divertDeadLetters(queue.target, deadLetterQueue)
    registration.over = false
    let plan: ConsumerPlan
    try {
      plan = await this.#plan(registration, queue, overrides)
      this.#refuseStopped(lifetime)
    } catch (error) {
      this.#retire(queue.label)
      throw error
    }
    const { config, logger } = this.#engine
    const { maxConcurrentMessages } = config
    if (plan.concurrency > maxConcurrentMessages) {
      logger.warn(
        { queue: plan.label, concurrency: plan.concurrency, maxConcurrentMessages },
        'fewer handlers run at once than its concurrency: maxConcurrentMessages is lower',
      )
    }
    const consumer = new Consumer(this.#engine, plan, this)
    this.#consumers.add(consumer)
    try {
      await consumer.start()
      this.#refuseStopped(lifetime)
    } catch (error) {
      await consumer.stop({ timeoutMs: 0 })
      throw error
    }
    return consumer
  }

  /** `stop` ends those that it sees: one that comes later would run for ever, without a connection. */
  #refuseStopped(lifetime: AbortSignal): void {
    if (this.#stoppedIn === lifetime || this.#engine.supervisor.lifetime !== lifetime)
      throw new NotConnectedError('consume')
  }

  async #plan(
    registration: Registration,
    queue: ResolvedQueue,
    overrides: HandlerOptions,
  ): Promise<ConsumerPlan> {
    const { topology, config } = this.#engine
    // A typed queue or subscription has a schema and a configuration, which its name alone does not know.
    const known = registration.queue.validate === undefined ? queue : registration.queue
    const settings = await topology.ensure(known.target, known.config)
    return planConsumer(
      known,
      registration.handler,
      overridden(registration.options, overrides),
      settings,
      config,
      topology.holdsDeadLetters(known.target),
    )
  }

  /**
   * Runs the registered handler for one message, with its middleware; settles the message if it was received here. Rejects with what
   * the handler threw.
   */
  async process(message: Message): Promise<unknown> {
    this.#engine.supervisor.adapterFor('processMessage')
    if (!Message.is(message)) throw new ValidationError('processMessage takes a Message')
    const received = heldOf(message)
    if (received === null && message.queueName === undefined)
      throw new ValidationError('processMessage needs the queueName of the message: whose handler is to run')
    // What another MessageQueue received is settled there.
    const held = received?.intake.belongsTo(this.#engine) === true ? received : null
    const run = new HandRun(message.id, held)
    this.#handRuns.begin(run)
    try {
      return await this.#process(message, received, run)
    } finally {
      this.#handRuns.end(run)
    }
  }

  async #process(message: Message, received: Held | null, run: HandRun): Promise<unknown> {
    const { held } = run
    const queue =
      received === null
        ? resolveQueue(message.queueName as string)
        : resolveTarget(received.intake.source.target)
    const registration = this.#handlers.get(queue.label)
    if (registration === undefined) throw new HandlerNotFoundError(queue.label)
    const plan = await this.#plan(registration, queue, {})
    let settled: () => void = () => undefined
    const settlement = new Promise<void>((resolve) => (settled = resolve))
    const verdicts = new Verdicts(this.#engine, plan, {
      settled,
      idle: () => true,
      isProbe: () => false,
      // There is no consumer to wait in: it waits where it was received.
      waitInPlace: (waiting, delayMs) => waiting.intake.settle(waiting, { kind: 'retry', delayMs }, settled),
      answer: (request, outcome) => this.answer(request, outcome),
    })
    const settles = held !== null && held.state === 'open' && plan.mode !== 'manual'
    if (settles && admit(this.#engine, plan, verdicts, held) === null) {
      await settlement
      throw new ValidationError(
        `Message ${message.id} was not handled: it expired, or its body is not valid; it is dead-lettered`,
      )
    }
    if (settles && plan.mode === 'none') {
      const failure = await acknowledgeFirst(held)
      if (failure !== null) throw failure
    }
    // Made here, not received: as it would arrive. The caller's own stays as it is.
    const subject =
      received === null && plan.validate !== undefined
        ? new Message({ ...message, body: plan.validate(message.body) })
        : message
    const single = timedRun(plan)
    const handle = async (inner: Message) => {
      const context = this.#context(inner, run)
      if (plan.batch === null) return single(inner, context)
      return answerOf(await plan.handler.run([inner] as never, context), 0)
    }
    const chain = traced(this.#engine, plan, composeProcess(this.middlewares, handle))
    try {
      const result = await this.#within(plan, run, async () => chain(subject))
      if (held === null) this.#engine.stats.messagesProcessed++
      else verdicts.succeeded(held, message, result)
      return result
    } catch (error) {
      if (held === null) verdicts.tell(message, error)
      else verdicts.failed(held, message, error)
      throw error
    } finally {
      // A shutdown waits for settlements by itself.
      this.#handRuns.end(run)
      if (settles) await settlement
    }
  }

  /** A run that takes longer than `timeoutMs` has failed, as in a consumer. */
  #within(plan: ConsumerPlan, run: HandRun, handle: () => Promise<unknown>): Promise<unknown> {
    const { timeoutMs } = plan
    if (timeoutMs === null) return handle()
    const { clock } = this.#engine
    return new Promise((resolve, reject) => {
      const timer = clock.setTimeout(() => {
        const error = handlerTimeout(plan)
        run.abort(error)
        reject(error)
      }, timeoutMs)
      handle()
        .then(resolve, reject)
        .finally(() => clock.clearTimeout(timer))
    })
  }

  #context(message: Message, { held, signal }: HandRun): HandlerContext {
    if (held !== null) return new RunContext(held, this.#engine.logger, (mine, ms) => this.extend(mine, ms))
    const plain = {
      signal,
      attempt: message.deliveryCount + 1,
      logger: this.#engine.logger,
      extend: async (ms: number) => checkMs(ms, 'ms', 1),
      [CONFIG]: this.#engine.config,
    }
    return plain
  }

  answer(message: Message, outcome: { value: unknown } | { error: Error }): Promise<void> {
    return this.#requests.answer(message, outcome)
  }

  async extend(held: Held, ms: number): Promise<void> {
    checkMs(ms, 'ms', 1)
    // One that was given back is another's, or soon will be. What was settled needs no time, and a handler may not know of that.
    if (held.gone) throw new LeaseLostError(held.delivery.id)
    await held.intake.extend(held, ms)
  }

  ended(consumer: Consumer): void {
    this.#consumers.delete(consumer)
    this.#retire(consumer.label)
  }

  /** No consumer of a queue is left, unless another runs: what `consume` registered for it is over, and so is an autoDelete queue. */
  #retire(queue: string): void {
    const registration = this.#handlers.get(queue)
    if (registration === undefined || this.running.some(({ label }) => label === queue)) return
    if (registration.once) registration.over = true
    // Most likely it has ended with its last consumer: whoever uses it next makes it again, and no reconnection before.
    const { topology } = this.#engine
    if (topology.settingsOf(queue)?.autoDelete === true) topology.missing(registration.queue.target)
  }

  /** Deleted: the handlers that `consume` had for it, and that have stopped, go with it. With a topic go those of its subscriptions. */
  forget(target: DeclareTarget): void {
    const key = keyOf(target)
    const isTopic = 'topic' in target && !('subscription' in target)
    for (const [label, { queue, over }] of this.#handlers)
      if (over && (isTopic ? label.startsWith(key) : label === key)) this.#unregister(queue, undefined)
  }

  connectionLost(cause: unknown): void {
    for (const consumer of this.#consumers) consumer.connectionLost(cause)
  }

  /** All at once, runs of `processMessage` included, and none starts until the next `connect`; always settles. */
  async stop(timeoutMs: number): Promise<StopResult> {
    this.#stoppedIn = this.#engine.supervisor.lifetime
    const consumers = [...this.#consumers].map((consumer) => consumer.stop({ timeoutMs }))
    const results = await Promise.all([...consumers, this.#handRuns.stop(timeoutMs)])
    return {
      drained: results.every(({ drained }) => drained),
      abandoned: results.flatMap(({ abandoned }) => abandoned),
    }
  }
}

/** Refuses a queue that would get its own dead letters, and hand them to the same handler for ever. */
function checkFor({ target }: ResolvedQueue, options: HandlerOptions): void {
  checkHandlerOptions(options)
  if ('queue' in target && options.deadLetterQueue === target.queue)
    throw new ValidationError(`deadLetterQueue names another queue than ${target.queue}, whose handler it is`)
}

/** Those of a start before the handler's own. The fields of `retry` are chosen one by one, as against every configuration. */
function overridden(own: HandlerOptions, overrides: HandlerOptions): HandlerOptions {
  const all = { ...own, ...withoutUndefined(overrides) }
  const { retry } = overrides
  return retry === undefined ? all : { ...all, retry: { ...own.retry, ...withoutUndefined(retry) } }
}
