import { randomUUID } from 'node:crypto'
import { types } from 'node:util'
import type {
  BrokerAdapter,
  DeclareTarget,
  Destination,
  OutboundMessage,
  QueueSettings,
} from '../adapter/contract.ts'
import { onAbort } from '../adapter/on-abort.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { MessageQueueError, PublishError, SerializationError, UnsupportedError } from '../errors.ts'
import { TTL_HEADER } from '../message/own-headers.ts'
import { newMessageId } from '../message/message-id.ts'
import { checkMessage, checkTtl } from '../message/check-message.ts'
import { inferContentType, Message, type MessageInit } from '../message/message.ts'
import { composeSend } from '../middleware/compose.ts'
import type { Middleware } from '../middleware/types.ts'
import { checkHeaders } from '../message/names.ts'
import { currentTrace, endSpan, startSpan } from '../span.ts'
import { abortedError } from './aborted.ts'
import type { Sent } from './batch.ts'
import { replyKey } from './lanes.ts'
import { Openings } from './openings.ts'
import type { Outbox } from './outbox.ts'
import { keyOf, labelOf } from '../message/target.ts'
import { addTrace, newSpanId, newTraceId, spanHeaders, type TraceIds, traceOf } from '../message/trace.ts'
import type { Validate } from '../message/schema.ts'
import type { QueueConfig } from '../config/queue-config.ts'
import { publishError, withCertainty } from '../wrap-error.ts'

/** Where a message goes and what is known of the place. */
export interface Route {
  readonly destination: Destination
  /** Names the destination among all: what is known of it, and what waits for it, is found by this. */
  readonly key: string
  /** Names it for people. */
  readonly label: string
  /** Configuration of a typed queue, for its first use. */
  readonly config: QueueConfig | undefined
  readonly validate: Validate | undefined
  readonly routingKey: string | undefined
  readonly signal: AbortSignal | undefined
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** The way out: middleware, checks, encoding, then the outbox. Everything that goes wrong before the outbox is `not-stored`. */
export class Sender {
  readonly #engine: Engine
  readonly #outbox: Outbox
  readonly #middlewares: readonly Middleware[]
  /** One random prefix and a counter: a token per message without a random number per message. */
  readonly #tokenPrefix = `${randomUUID()}-`
  #tokens = 0
  readonly #openings = new Openings()
  readonly #defaultHeaders: Readonly<Record<string, string>> | null

  constructor(engine: Engine, outbox: Outbox, middlewares: readonly Middleware[]) {
    this.#engine = engine
    this.#outbox = outbox
    this.#middlewares = middlewares
    const { headers } = engine.config.message
    this.#defaultHeaders = Object.keys(headers).length === 0 ? null : headers
  }

  /** Resolves with the id on durable acceptance. Never throws synchronously. */
  send(fields: MessageInit, route: Route): Promise<string> {
    return new Promise((resolve, reject) => this.deliver(fields, route, { resolve, reject }))
  }

  /**
   * The same for one of many, which need no promise each. Takes the fields of a message, or a message: without middleware and tracing
   * none is made of mere fields. Never throws.
   */
  deliver(fields: MessageInit, route: Route, sent: Sent): void {
    try {
      this.#engine.supervisor.adapterFor('send')
      const { enableTracing } = this.#engine.config
      if (this.#middlewares.length === 0 && !enableTracing) return this.#accept(fields, route, sent)
      const message = Message.is(fields) ? fields : new Message(fields)
      sent.named?.(message.id)
      const id = enableTracing ? this.#traced(message, route, sent) : this.#through(message, route, sent)
      id.then(
        (stored) => sent.resolve(stored),
        (error: unknown) => sent.reject(error),
      )
    } catch (error) {
      sent.reject(refused(error))
    }
  }

  #through(message: Message, route: Route, sent: Sent): Promise<string> {
    const accept = (inner: Message) =>
      new Promise<string>((resolve, reject) => this.#accept(inner, route, { resolve, reject }))
    if (this.#middlewares.length === 0) return accept(message)
    return composeSend(this.#middlewares, (inner) => {
      sent.passed?.()
      sent.named?.(inner.id)
      return accept(inner)
    })(addressed(message, route))
  }

  async #traced(message: Message, route: Route, sent: Sent): Promise<string> {
    const parent = traceOf(message) ?? currentTrace()
    const span = startSpan(this.#engine, 'send', route.label, parent)
    const ids: TraceIds = span ?? { traceId: newTraceId(), ...parent, spanId: newSpanId() }
    const { traceId, spanId } = ids
    const headers = spanHeaders(message.headers, ids)
    try {
      // On a copy: what the caller gave may be sent again, and is no child of this send.
      const copy = copyOf(message, { traceId, spanId, headers })
      const id = await this.#through(copy, route, sent)
      endSpan(this.#engine, span)
      return id
    } catch (error) {
      endSpan(this.#engine, span, { error })
      throw error
    }
  }

  #accept(message: MessageInit, route: Route, sent: Sent): void {
    try {
      const { destination, config } = route
      const settings = this.#engine.topology.settingsOf(route.key)
      // Encoded before anything is declared: the caller may change what it gave once this call has returned, and a message that is
      // refused leaves no trace on the broker.
      const outbound = this.#encode(message, route)
      sent.named?.(outbound.id)
      if (settings !== undefined && !this.#openings.has(route.key))
        this.#hand(this.#fit(outbound, settings), route, settings, sent)
      else if ('reply' in destination) this.#hand(outbound, route, undefined, sent)
      else this.#onceDeclared(outbound, route, destination, config, sent)
    } catch (error) {
      sent.reject(refused(error))
    }
  }

  /** Of the first messages to a destination: they wait for it as long as any waits to be confirmed, and count as those do. */
  #onceDeclared(
    outbound: OutboundMessage,
    { key, label, signal }: Route,
    destination: DeclareTarget,
    config: QueueConfig | undefined,
    sent: Sent,
  ): void {
    const { id } = outbound
    const outbox = this.#outbox
    const {
      topology,
      adapter,
      config: { producer },
    } = this.#engine
    const since = outbox.hold(outbound, label)
    const sentAt = this.#engine.clock.now()
    let aborted = false
    const abort = () => {
      aborted = true
      outbox.release(outbound)
      sent.reject(abortedError(id, label, signal as AbortSignal, 'not-stored'))
    }
    const handOver = (known: QueueSettings) => {
      heard?.()
      if (aborted) return
      try {
        outbox.send(this.#fit(outbound, known, sentAt), key, label, known, signal, sent, since)
      } catch (error) {
        outbox.release(outbound)
        sent.reject(refused(error))
      }
    }
    const fail = (error: unknown) => {
      heard?.()
      if (aborted) return
      outbox.release(outbound)
      sent.reject(publishError(adapter, id, label, error, 'not-stored'))
    }
    const heard = signal && onAbort(signal, abort)
    if (signal?.aborted === true) return abort()
    this.#openings.inTurn(
      key,
      topology.ensure(destination, config, producer.deliveryTimeoutMs),
      handOver,
      fail,
    )
  }

  #hand(
    outbound: OutboundMessage,
    { key, label, signal }: Route,
    settings: QueueSettings | undefined,
    sent: Sent,
  ): void {
    this.#outbox.send(outbound, key, label, settings, signal, sent)
  }

  /** What depends on the queue: priorities, and the ttl that it gives all its messages, from when they were sent. */
  #fit(outbound: OutboundMessage, settings: QueueSettings, sentAt?: number): OutboundMessage {
    const { maxPriority, messageTtl } = settings
    const { priority: asked } = outbound
    const { adapter, config, clock } = this.#engine
    if (maxPriority === null) {
      if (asked > 0) throw noPriorities(adapter, routeTo(outbound.destination).label)
      if (messageTtl === null) return outbound
    }
    const priority = maxPriority === null || asked > 0 ? asked : config.message.priority
    const own = outbound.headers[TTL_HEADER]
    if (messageTtl === null || (own !== undefined && Number(own) <= messageTtl))
      return { ...outbound, priority }
    checkTtl(messageTtl, outbound.delayMs)
    const headers = { ...outbound.headers, [TTL_HEADER]: String(messageTtl) }
    return { ...outbound, priority, headers, expiresAt: (sentAt ?? clock.now()) + messageTtl }
  }

  #encode(message: MessageInit, route: Route): OutboundMessage {
    const { codec, config, clock, adapter } = this.#engine
    checkMessage(message)
    const body = message.body === undefined ? null : message.body
    // What the schema makes of it is for the receiver, who has the schema make it.
    route.validate?.(body)
    const asked = message.contentType
    const contentType =
      asked === undefined || asked === inferContentType(body) ? codec.contentTypeOf(body) : asked
    const encoded = codec.encode(body, contentType, message.contentEncoding)
    const made = message.id === undefined ? newMessageId() : null
    const id = made ?? (message.id as string)
    this.#checkSize(encoded.body.length, id)
    const delayMs = message.delay ?? 0
    const { broker, capabilities } = adapter
    if (delayMs > capabilities.maxDelayMs) {
      throw new UnsupportedError(
        `${broker} delays at most ${capabilities.maxDelayMs} ms, not ${delayMs}: keep it elsewhere until it is nearer`,
      )
    }
    const ttl = effectiveTtl(message.ttl, config.message.ttlSeconds)
    if (ttl !== undefined) checkTtl(ttl, delayMs)
    return {
      destination: route.destination,
      id,
      body: encoded.body,
      headers: this.#headers(message, ttl),
      timestamp: message.timestamp === undefined ? Date.now() : message.timestamp.getTime(),
      contentType,
      contentEncoding: encoded.contentEncoding,
      correlationId: message.correlationId,
      replyTo: message.replyTo,
      routingKey: route.routingKey ?? message.routingKey,
      key: message.key,
      deduplicationId: message.deduplicationId,
      priority: message.priority ?? 0,
      delayMs,
      expiresAt: ttl === undefined ? undefined : clock.now() + ttl,
      deliveryCount: 0,
      redriven: false,
      // An id that was made here is as good: nothing else has it.
      sendToken: made ?? this.#token(),
    }
  }

  #checkSize(bytes: number, id: string): void {
    const { broker, capabilities } = this.#engine.adapter
    const limit = Math.min(capabilities.maxBodyBytes, this.#engine.config.message.maxBodyBytes)
    if (bytes <= limit) return
    throw new PublishError(`The body of message ${id} is ${bytes} bytes; ${broker} takes at most ${limit}`, {
      code: ErrorCode.MESSAGE_TOO_LARGE,
      certainty: 'not-stored',
    })
  }

  /** All that travels as headers. Messages without any share one object: adapters do not change it. */
  #headers(message: MessageInit, ttl: number | undefined): Readonly<Record<string, string>> {
    const { config } = this.#engine
    const own = message.headers
    let headers: Record<string, string> | null =
      this.#defaultHeaders === null ? null : { ...this.#defaultHeaders }
    for (const _name in own) {
      // Spread, and not set one by one: that would drop a `__proto__` before it can be refused.
      headers = headers === null ? { ...own } : { ...headers, ...own }
      break
    }
    if (headers !== null) checkHeaders(headers)
    if (ttl !== undefined) (headers ??= {})[TTL_HEADER] = String(ttl)
    if (message.traceId !== undefined) addTrace((headers ??= {}), message, config.enableTracing)
    return headers ?? NO_HEADERS
  }

  #token(): string {
    return this.#tokenPrefix + (++this.#tokens).toString(36)
  }

  /** An answer: no middleware, no schema; `extra` are headers of the library's own. */
  reply(
    message: MessageInit,
    route: Route,
    extra: Readonly<Record<string, string>> | undefined,
  ): Promise<string> {
    const outbound = this.#encode(message, route)
    const headers = extra === undefined ? outbound.headers : { ...outbound.headers, ...extra }
    return new Promise((resolve, reject) =>
      this.#hand({ ...outbound, headers }, route, undefined, { resolve, reject }),
    )
  }

  /** A dead letter goes back: its bytes as they are, its count and ttl anew. `changed`: it is not what that queue took before. */
  async resend(
    letter: Omit<OutboundMessage, 'sendToken'>,
    settings: QueueSettings | undefined,
    changed: boolean,
  ): Promise<string> {
    const outbound = { ...letter, sendToken: this.#token() }
    if (changed) this.#checkSize(outbound.body.length, outbound.id)
    const fitted = changed && settings !== undefined ? this.#fit(outbound, settings) : outbound
    return new Promise((resolve, reject) =>
      this.#hand(fitted, routeTo(letter.destination), settings, { resolve, reject }),
    )
  }
}

/**
 * The message as middleware sees it: where it goes, also when the call said so and not the message. A copy when that differs: what the
 * caller gave stays as it is, be it a received message that is passed on.
 */
function addressed(message: Message, { destination }: Route): Message {
  const queueName =
    'queue' in destination ? destination.queue : 'topic' in destination ? destination.topic : undefined
  if (queueName === undefined || message.queueName === queueName) return message
  return copyOf(message, { queueName })
}

function copyOf(message: Message, changed: Partial<Message>): Message {
  return Object.assign(Object.create(Message.prototype) as Message, message, changed)
}

/** Errors of this library that happen before anything was written say so. */
function refused(error: unknown): unknown {
  if (MessageQueueError.is(error)) return withCertainty(error, 'not-stored')
  return types.isNativeError(error) && error.name === 'RangeError'
    ? new SerializationError(error.message, { cause: error, certainty: 'not-stored' })
    : error
}

function effectiveTtl(own: number | undefined, defaultSeconds: number | null): number | undefined {
  return own ?? (defaultSeconds === null ? undefined : defaultSeconds * 1000)
}

function noPriorities({ broker, capabilities }: BrokerAdapter, label: string): UnsupportedError {
  return new UnsupportedError(
    capabilities.priorityLevels <= 1
      ? `${broker} does not support priority: use one queue per priority, each with consumers of its own`
      : `${label} was declared without maxPriority: create it with maxPriority to send with a priority`,
  )
}

/** The route to a place of which nothing more is known. */
export function routeTo(destination: Destination): Route {
  const reply = 'reply' in destination
  return {
    destination,
    key: reply ? replyKey(destination.reply) : keyOf(destination),
    label: reply ? replyKey(destination.reply) : labelOf(destination),
    config: undefined,
    validate: undefined,
    routingKey: undefined,
    signal: undefined,
  }
}
