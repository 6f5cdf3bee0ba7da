import type { Delivery, Receiver } from '../adapter/contract.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import {
  ConnectionError,
  NotConnectedError,
  RemoteError,
  RequestTimeoutError,
  SerializationError,
  ValidationError,
} from '../errors.ts'
import { inferContentType, received, Message } from '../message/message.ts'
import { isQueueName } from '../message/names.ts'
import { routeTo, type Route, type Sender } from './sender.ts'
import { wrapError } from '../wrap-error.ts'

/** Headers of a failed answer. */
const ERROR_NAME = 'mq-error-name'
const ERROR_MESSAGE = 'mq-error-message'
const MAX_ERROR_MESSAGE = 1024

const REPLIES_PER_LOOK = 100

interface Inbox {
  readonly address: string
  readonly receiver: Receiver
}

interface Pending {
  readonly resolve: (reply: Message) => void
  readonly reject: (error: Error) => void
}

/** Requests under way, the place their answers come to, and answering the requests of others. */
export class Requests {
  readonly #engine: Engine
  readonly #sender: Sender
  readonly #pending = new Map<string, Pending>()
  #inbox: Promise<Inbox> | null = null
  #lifetime = new AbortController()

  constructor(engine: Engine, sender: Sender) {
    this.#engine = engine
    this.#sender = sender
  }

  /** Sends, and waits for the answer. Throws `RequestTimeoutError`, `RemoteError`, or what the send throws. */
  async request(message: Message, route: Route, timeoutMs: number): Promise<Message> {
    if (!(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
      throw new ValidationError(
        `request needs timeoutMs, a number of milliseconds above 0; it is ${String(timeoutMs)}`,
      )
    }
    this.#engine.supervisor.adapterFor('request')
    const { clock } = this.#engine
    const endsAt = clock.now() + timeoutMs
    const { address } = await this.#open()
    const correlationId = message.correlationId ?? message.id
    if (this.#pending.has(correlationId)) {
      throw new ValidationError(`A request with correlationId ${correlationId} already waits for its answer`)
    }
    message.replyTo = address
    message.correlationId = correlationId
    message.ttl = Math.max(1, endsAt - clock.now())
    return new Promise<Message>((resolve, reject) => {
      const done = () => {
        clock.clearTimeout(timer)
        this.#pending.delete(correlationId)
      }
      const pending: Pending = {
        resolve: (reply) => {
          done()
          resolve(reply)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      }
      const timer = clock.setTimeout(
        () => pending.reject(new RequestTimeoutError(`No reply to ${message.id} within ${timeoutMs} ms`)),
        Math.max(0, endsAt - clock.now()),
      )
      this.#pending.set(correlationId, pending)
      this.#sender.send(message, route).catch((error: unknown) => pending.reject(error as Error))
    })
  }

  /** Answers a request. Resolves once the broker has the answer. */
  async answer(request: Message, outcome: { value: unknown } | { error: Error }): Promise<void> {
    const { replyTo } = request
    if (replyTo === undefined) return
    const reply = new Message({
      body: 'value' in outcome ? (outcome.value === undefined ? null : outcome.value) : null,
      correlationId: request.correlationId ?? request.id,
    })
    const toQueue = isQueueName(replyTo) && !replyTo.startsWith('amq.')
    const route = routeTo(toQueue ? { queue: replyTo } : { reply: replyTo })
    const extra: Record<string, string> | undefined =
      'error' in outcome
        ? {
            [ERROR_NAME]: outcome.error.name,
            [ERROR_MESSAGE]: outcome.error.message.slice(0, MAX_ERROR_MESSAGE),
          }
        : undefined
    await this.#sender.reply(reply, route, extra)
  }

  #open(): Promise<Inbox> {
    if (this.#inbox === null) {
      const { adapter, clock, config } = this.#engine
      const opening = withDeadline(clock, config.producer.requestTimeoutMs, 'opening the reply queue', () =>
        adapter.openReplies(),
      )
      this.#inbox = opening.catch((error: unknown) => {
        this.#inbox = null
        throw wrapError(adapter, error, 'Cannot receive replies')
      })
      void this.#inbox.then(
        (inbox) => this.#pump(inbox),
        () => undefined,
      )
    }
    return this.#inbox
  }

  async #pump({ receiver }: Inbox): Promise<void> {
    const { signal } = this.#lifetime
    while (!signal.aborted) {
      try {
        const deliveries = await receiver.receive(REPLIES_PER_LOOK, signal)
        if (deliveries.length === 0) {
          await new Promise((resolve) => setImmediate(resolve))
          continue
        }
        for (const delivery of deliveries) this.#deliver(delivery)
        await receiver.ack(deliveries)
      } catch (error) {
        if (signal.aborted) return
        // The next request opens it anew; those that wait will time out, since their address is gone.
        this.#engine.logger.debug({ error }, 'the reply queue was lost')
        this.#inbox = null
        return
      }
    }
  }

  /** A reply that nobody waits for any more is late, and ignored. */
  #deliver(delivery: Delivery): void {
    const pending = this.#pending.get(delivery.correlationId ?? '')
    if (pending === undefined) return
    const name = delivery.headers[ERROR_NAME]
    if (name !== undefined)
      return pending.reject(new RemoteError(name, delivery.headers[ERROR_MESSAGE] ?? ''))
    try {
      const body = this.#engine.codec.decode(delivery.body, delivery.contentType, delivery.contentEncoding)
      const { contentType = inferContentType(body), contentEncoding, deliveryCount } = delivery
      const queueName = undefined
      pending.resolve(
        received(delivery, { body, contentType, contentEncoding, queueName, deliveryCount, held: undefined }),
      )
    } catch (cause) {
      pending.reject(new SerializationError('The reply cannot be decoded', { cause }))
    }
  }

  /** Replies to the old address are lost with its connection: their requests fail now rather than by their time-out. */
  connectionLost(cause: unknown): void {
    this.#end(new ConnectionError('The connection was lost while waiting for the reply', { cause }))
  }

  async close(): Promise<void> {
    const inbox = this.#inbox
    this.#end(new NotConnectedError('request'))
    if (inbox !== null) {
      const { clock } = this.#engine
      await withDeadline(clock, 2000, 'closing the reply queue', async (signal) =>
        (await inbox).receiver.close(signal),
      ).catch(() => undefined)
    }
  }

  #end(error: Error): void {
    this.#lifetime.abort()
    this.#lifetime = new AbortController()
    this.#inbox = null
    for (const pending of [...this.#pending.values()]) pending.reject(error)
  }
}
