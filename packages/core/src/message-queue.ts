import { EventEmitter } from 'node:events'
import type { Capabilities } from './adapter/contract.ts'
import { assemble, type AdapterSource, type MessageQueueOptions, type Parts } from './assembly.ts'
import { checkObject } from './check-options.ts'
import type { MessageQueueConfig, MessageQueueConfigInput } from './config/message-queue-config.ts'
import type { QueueConfigInput } from './config/queue-config.ts'
import type { Consumer } from './consume/consumer.ts'
import type { SubscriptionOptions } from './manage/administration.ts'
import { DeadLetters } from './manage/dead-letters.ts'
import { handlersOf } from './decorators.ts'
import type { Engine, MessageQueueEvents } from './engine.ts'
import { ErrorCode } from './error-codes.ts'
import { ConnectionError, toError, ValidationError } from './errors.ts'
import type {
  AnyHandler,
  BatchHandler,
  BatchHandlerFunction,
  BatchMessageHandler,
  BatchOptions,
  Handler,
  HandlerFunction,
  HandlerOptions,
  MessageHandler,
} from './consume/handler.ts'
import { checkHealth, type Health } from './manage/health.ts'
import type { Message, MessageInit } from './message/message.ts'
import { toMiddleware, type MessageMiddleware } from './middleware/message-middleware.ts'
import type { Middleware } from './middleware/types.ts'
import { normalHandler } from './consume/normal-handler.ts'
import type { IterateOptions, ReceiveOptions, RejectOptions } from './consume/receiving.ts'
import { requestForm, type RequestFields, type RequestOptions } from './send/request-form.ts'
import { sendMany } from './send/send-many.ts'
import type { SendFields, SendOptions } from './send/routes.ts'
import { checkSendOptions, fieldsWith, publishForm, routeOf, shortFields, shortRoute } from './send/routes.ts'
import { snapshot, type MessageQueueStats } from './manage/stats.ts'
import { checkStopOptions, type StopOptions, type StopResult } from './stop-options.ts'
import type { Supervisor, SupervisorEvents } from './supervisor.ts'
import { isQueueRef, type QueueRef, resolveQueue, subscription, type TopicRef } from './message/typed.ts'
import { DRAIN_MS, hurry, windDown } from './wind-down.ts'
import { notStored, orRejected } from './wrap-error.ts'

/**
 * One connection to a broker: sends, receives, consumes. Construction does no I/O. Every method may be called from anywhere once
 * `connect()` has resolved; errors are `MessageQueueError`s with a stable `code`.
 */
export class MessageQueue extends EventEmitter<MessageQueueEvents> {
  readonly config: MessageQueueConfig
  readonly #parts: Parts
  readonly #engine: Engine
  readonly #supervisor: Supervisor
  #disconnecting: Promise<StopResult> | null = null
  /** Whether `connect` was called after `disconnect`. */
  #wanted = false

  /** `adapter`: an adapter, or how to load one at the first `connect`. Throws `ConfigurationError`. */
  constructor(
    adapter: AdapterSource,
    config: MessageQueueConfigInput = {},
    options: MessageQueueOptions = {},
  ) {
    // What an asynchronous listener rejects with is logged below, and never unhandled.
    super({ captureRejections: true })
    const events: SupervisorEvents = {
      up: (isCurrent) => this.#up(isCurrent),
      down: (cause) => this.#down(cause),
      closed: () => this.#emit('disconnected', undefined),
      reconnecting: (details) => this.#emit('reconnecting', details),
      failed: (error) => this.#emit('error', error),
    }
    this.#parts = assemble(adapter, config, options, events, (event, ...args) => this.#emit(event, ...args))
    this.#engine = this.#parts.engine
    this.#supervisor = this.#engine.supervisor
    this.config = this.#engine.config
  }

  /** What this broker does fully, and where it is less. Exact and frozen once connected. Throws `NotConnectedError` before an adapter is loaded. */
  get capabilities(): Capabilities {
    return this.#engine.adapter.capabilities
  }

  /** Whether the connection is up now. */
  get isConnected(): boolean {
    return this.#supervisor.state === 'connected'
  }

  // Connection

  /**
   * One attempt: resolves after authentication and a round trip, rejects with `ConnectionError` within `connectionTimeout`. Idempotent;
   * concurrent calls share one attempt; works again after `disconnect`. A connection that was up is restored by itself when lost.
   */
  async connect(): Promise<void> {
    this.#wanted = true
    await this.#disconnecting
    if (!this.#wanted)
      throw new ConnectionError('disconnect() was called while connecting', { code: ErrorCode.ABORTED })
    await this.#supervisor.connect()
  }

  /**
   * Stops taking messages, waits up to `timeoutMs` (default 30 s) for running handlers, gives back what was not started, flushes what was
   * sent, and closes. Always settles, also when the broker is dead. `abandoned`: ids whose handler was aborted. Idempotent: of several
   * calls the shortest time counts.
   */
  async disconnect(options: StopOptions = {}): Promise<StopResult> {
    checkStopOptions(options, 'disconnect')
    this.#wanted = false
    if (this.#supervisor.state === 'disconnected') return { drained: true, abandoned: [] }
    const { timeoutMs = DRAIN_MS } = options
    if (this.#disconnecting !== null) hurry(this.#parts, timeoutMs)
    this.#disconnecting ??= this.#disconnect(timeoutMs).finally(() => (this.#disconnecting = null))
    return this.#disconnecting
  }

  async #disconnect(timeoutMs: number): Promise<StopResult> {
    let result: StopResult = { drained: true, abandoned: [] }
    await this.#supervisor.disconnect(async () => {
      result = await windDown(this.#parts, timeoutMs)
    })
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
  }

  async #up(isCurrent: () => boolean): Promise<void> {
    const { stats, topology } = this.#engine
    if (stats.connected(this.#supervisor.lifetime)) await topology.redeclare(isCurrent)
    if (isCurrent()) this.#emit('connected')
  }

  #down(cause: unknown): void {
    this.#parts.consumers.connectionLost(cause)
    this.#parts.receiving.connectionLost(cause)
    this.#parts.requests.connectionLost(cause)
    this.#emit('disconnected', cause)
  }

  // Sending

  /** Resolves with the id once the broker has durably accepted the message. Every rejection carries `certainty`. */
  send<Body>(message: Message<Body> | MessageInit<Body>, options?: SendOptions): Promise<string>
  send<Body, In = Body>(queue: QueueRef<Body, In>, body: In, fields?: SendFields): Promise<string>
  send(first: Message | MessageInit | QueueRef, second?: unknown, third?: SendFields): Promise<string> {
    try {
      if (isQueueRef(first)) {
        return this.#parts.sender.send(shortFields(second, third), shortRoute(first))
      }
      return this.#parts.sender.send(first, routeOf(first, second ?? {}))
    } catch (error) {
      return Promise.reject(notStored(error))
    }
  }

  /** Ids in input order. One rejection, `PublishError`, lists every message that failed; the rest are stored. Not atomic. */
  async sendBatch<Body = unknown>(
    messages: readonly (Message<NoInfer<Body>> | MessageInit<NoInfer<Body>>)[],
    options: SendOptions<Body> = {},
  ): Promise<string[]> {
    checkSendOptions(options)
    return sendMany(this.#parts, messages, options)
  }

  /** Sends `data` as JSON, with content type `application/json` unless the fields name one; else like `send`. */
  sendJson(data: unknown, fields: SendFields & { queueName: string }): Promise<string> {
    return orRejected(() => this.send(fieldsWith(data, 'application/json', fields)))
  }

  /** Sends a string, with content type `text/plain` unless the fields name one; else like `send`. */
  sendText(text: string, fields: SendFields & { queueName: string }): Promise<string> {
    if (typeof text !== 'string')
      return Promise.reject(notStored(new ValidationError(`sendText takes a string, not ${typeof text}`)))
    return orRejected(() => this.send(fieldsWith(text, 'text/plain', fields)))
  }

  /** To every subscription whose pattern matches the routing key, if there are any. Anything but a `Message` is the body: `{ body, routingKey }` has no routing key. */
  publish<Body, In = Body>(
    topic: TopicRef<Body, In>,
    message: Message<In> | In,
    fields: SendFields = {},
  ): Promise<string> {
    return orRejected(() => {
      const { made, route } = publishForm(topic, message, fields)
      return this.#parts.sender.send(made, route)
    })
  }

  /** Sends, and waits for what the handler returns; that it is a `Reply` is not checked. Throws `RequestTimeoutError`, or `RemoteError` when the handler failed. */
  request<Body, Reply = unknown>(
    message: Message<Body> | MessageInit<Body>,
    options: RequestOptions,
  ): Promise<Message<Reply>>
  request<Body, Reply = unknown, In = Body>(
    queue: QueueRef<Body, In>,
    body: In,
    options: RequestFields,
  ): Promise<Message<Reply>>
  request(first: Message | MessageInit | QueueRef, second: unknown, third?: RequestFields): Promise<Message> {
    return orRejected(() => {
      const { message, route, timeoutMs } = requestForm(first, second, third)
      return this.#parts.requests.request(message, route, timeoutMs)
    })
  }

  // Receiving

  /** One leased message, or `null` no earlier than `timeoutMs` (without it: after one complete look at the broker). */
  async receive<Body = unknown>(
    queue: QueueRef<Body>,
    options: ReceiveOptions = {},
  ): Promise<Message<Body> | null> {
    return (await this.#parts.receiving.receive(resolveQueue(queue), options)) as Message<Body> | null
  }

  /** Deliveries one by one, back-pressured. Acknowledges nothing; leaving the loop gives back what was read ahead. */
  messages<Body = unknown>(
    queue: QueueRef<Body>,
    options: IterateOptions = {},
  ): AsyncGenerator<Message<Body>, void, undefined> {
    return this.#parts.receiving.messages(resolveQueue(queue), options)
  }

  /** Settles a received message: it was handled. Resolves once the broker was told. Throws `AlreadySettledError`, `LeaseLostError`. */
  async acknowledge(message: Message): Promise<void> {
    await this.#parts.receiving.acknowledge(message)
  }

  /**
   * Settles a received message: it was not handled. By default it is dead-lettered (`rejected`), or dropped when dead-lettering is off; `requeue` brings it back after `delayMs`
   * with `deliveryCount` + 1. Throws `AlreadySettledError`, `LeaseLostError`.
   */
  async reject(message: Message, options: RejectOptions = {}): Promise<void> {
    await this.#parts.receiving.reject(message, options)
  }

  /** Keeps a received message for `ms` from now. Throws `LeaseLostError` when it is gone. */
  async extend(message: Message, ms: number): Promise<void> {
    await this.#parts.receiving.extend(message, ms)
  }

  // Queues

  /** Idempotent; throws `QueueConflictError`, naming every difference, when it exists with another configuration. */
  createQueue(config: QueueConfigInput): Promise<void> {
    return this.#parts.administration.createQueue(config)
  }

  /** With all its messages. A missing queue is no error. A consumer that runs makes it again, as it was: stop that first. */
  deleteQueue(queue: QueueRef): Promise<void> {
    return this.#parts.administration.deleteQueue(queue)
  }

  /** Removes what is ready or delayed; answers how many. Leased messages can still be settled. */
  purgeQueue(queue: QueueRef): Promise<number> {
    return this.#parts.administration.purge(queue)
  }

  /** Messages ready for delivery; 0 for a queue that is not there (`autoDeclare: false`: `QueueNotFoundError`). Makes none. */
  getQueueSize(queue: QueueRef): Promise<number> {
    return this.#parts.administration.size(queue)
  }

  /** Makes a subscription, and its topic. A changed pattern is a conflict. */
  createSubscription(topic: TopicRef, name: string, options: SubscriptionOptions = {}): Promise<void> {
    return this.#parts.administration.createSubscription(topic, name, options)
  }

  /** With all its messages. A missing subscription is no error. */
  deleteSubscription(topic: TopicRef, name: string): Promise<void> {
    return this.#parts.administration.deleteSubscription(topic, name)
  }

  /** With all its subscriptions, and their messages. A missing topic is no error. */
  deleteTopic(topic: TopicRef): Promise<void> {
    return this.#parts.administration.deleteTopic(topic)
  }

  /** The dead letters of a queue or subscription: look, redrive, purge. */
  deadLetters(queue: QueueRef): DeadLetters {
    const { target, config } = resolveQueue(queue)
    return new DeadLetters(this.#engine, this.#parts.sender, target, config)
  }

  // Consuming

  /** One handler per queue: a second registration throws `ValidationError`. */
  registerHandler<B>(queue: QueueRef<B>, handler: BatchMessageHandler<B>, options: BatchOptions): this
  registerHandler<B>(queue: QueueRef<B>, handler: MessageHandler<B>, options?: HandlerOptions): this
  registerHandler(queue: QueueRef, handler: AnyHandler, options: HandlerOptions = {}): this {
    this.#parts.consumers.register(resolveQueue(queue), normalHandler(handler), options)
    return this
  }

  /** One handler per queue: a second registration throws `ValidationError`. */
  registerFunctionHandler<B>(queue: QueueRef<B>, fn: BatchHandlerFunction<B>, options: BatchOptions): this
  registerFunctionHandler<B>(queue: QueueRef<B>, fn: HandlerFunction<B>, options?: HandlerOptions): this
  registerFunctionHandler(queue: QueueRef, fn: AnyHandler, options: HandlerOptions = {}): this {
    if (typeof fn !== 'function') throw new ValidationError('registerFunctionHandler takes a function')
    this.#parts.consumers.register(resolveQueue(queue), normalHandler(fn), options)
    return this
  }

  /** Instances with `@messageHandler` methods, or functions wrapped by `messageHandler(queue)(fn)`: all of them, or none. */
  registerHandlers(...handlers: readonly (object | ((...args: never[]) => unknown))[]): this {
    const found = handlers.flatMap((handler) => handlersOf(handler))
    this.#parts.consumers.registerAll(
      found.map(({ queue, options, fn }) => [resolveQueue(queue), normalHandler(fn), options]),
    )
    return this
  }

  /** Onion order: the first added is outermost. */
  addMiddleware(middleware: Middleware | MessageMiddleware): this {
    this.#parts.middlewares.push(toMiddleware(middleware, this.#engine.logger))
    return this
  }

  /** Registers and starts in one. Its handler stays registered once it has stopped, until another takes its place. */
  consume<B>(queue: QueueRef<B>, handler: BatchHandler<B>, options: BatchOptions): Promise<Consumer>
  consume<B>(queue: QueueRef<B>, handler: Handler<B>, options?: HandlerOptions): Promise<Consumer>
  async consume(queue: QueueRef, handler: AnyHandler, options: HandlerOptions = {}): Promise<Consumer> {
    this.#supervisor.adapterFor('consume')
    return this.#parts.consumers.consume(resolveQueue(queue), normalHandler(handler), options)
  }

  /** Resolves once subscribed. `options` override those of the handler. Throws `HandlerNotFoundError`. */
  async startConsuming(queue: QueueRef, options: HandlerOptions = {}): Promise<Consumer> {
    this.#supervisor.adapterFor('startConsuming')
    return this.#parts.consumers.start(resolveQueue(queue), options)
  }

  /** Makes the subscription (`pattern` filters by routing key), registers, and starts. */
  subscribe<B>(
    topic: TopicRef<B>,
    name: string,
    handler: BatchHandler<B>,
    options: BatchOptions & SubscriptionOptions,
  ): Promise<Consumer>
  subscribe<B>(
    topic: TopicRef<B>,
    name: string,
    handler: Handler<B>,
    options?: HandlerOptions & SubscriptionOptions,
  ): Promise<Consumer>
  async subscribe(
    topic: TopicRef,
    name: string,
    handler: AnyHandler,
    options: HandlerOptions & SubscriptionOptions = {},
  ): Promise<Consumer> {
    const { pattern, ...rest } = checkObject(options, 'subscribe')
    const made = async () => pattern !== undefined && this.createSubscription(topic, name, { pattern })
    this.#supervisor.adapterFor('subscribe')
    const queue = resolveQueue(subscription(topic, name))
    return this.#parts.consumers.consume(queue, normalHandler(handler), rest, made)
  }

  /** Runs middleware and handler for a message, then settles it if this queue received it. Rethrows the handler's error; throws `HandlerNotFoundError` where there is none. */
  async processMessage(message: Message): Promise<unknown> {
    return this.#parts.consumers.process(message)
  }

  // Observing

  /** Never throws, never opens a connection; answers within five seconds. */
  healthCheck(): Promise<Health> {
    return checkHealth(this.#engine, this.#parts.consumers.running)
  }

  /** Counters since construction, and what is going on now. */
  getStats(): MessageQueueStats {
    return snapshot(this.#engine.stats, this.isConnected, this.#parts.consumers)
  }

  /** Like that of any emitter, except that an `error` without a listener is logged instead of thrown. */
  override emit<K>(
    event: K | keyof MessageQueueEvents,
    ...args: K extends keyof MessageQueueEvents ? MessageQueueEvents[K] : never
  ): boolean {
    if (event === 'error' && this.listenerCount('error') === 0) {
      this.#engine.logger.error({ error: args[0] }, 'error')
      return false
    }
    return super.emit(event, ...args)
  }

  #emit<E extends keyof MessageQueueEvents>(event: E, ...args: MessageQueueEvents[E]): void {
    try {
      this.emit(event, ...(args as never))
    } catch (error) {
      this.#engine.logger.error({ event, error: toError(error) }, 'a listener failed')
    }
  }

  /** @internal */
  override [EventEmitter.captureRejectionSymbol](error: Error, event: unknown, ..._args: unknown[]): void {
    this.#engine.logger.error({ event, error: toError(error) }, 'a listener failed')
  }
}
