import type { Certainty, Delivery, Receiver } from '../adapter/contract.ts'
import { onAbort } from '../adapter/on-abort.ts'
import { untilAborted } from '../adapter/until-aborted.ts'
import { closeQuietly } from '../consume/close-quietly.ts'
import { pause, withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import {
  ConnectionError,
  MessageQueueError,
  NotConnectedError,
  RemoteError,
  RequestTimeoutError,
  SerializationError,
  ValidationError,
} from '../errors.ts'
import { inferContentType, received, Message } from '../message/message.ts'
import { isQueueName } from '../message/names.ts'
import { AGAIN_MS } from '../manage/topology.ts'
import { routeTo, type Route, type Sender } from './sender.ts'
import { classify, notStored, wrapError } from '../wrap-error.ts'

/** Headers of a failed answer. */
const ERROR_NAME = 'mq-error-name'
const ERROR_MESSAGE = 'mq-error-message'
const MAX_ERROR_NAME = 128
const MAX_ERROR_MESSAGE = 1024

const REPLIES_PER_LOOK = 100
/** How long closing the reply queue may take, in ms. */
const CLOSE_MS = 2000

interface Inbox {
  readonly address: string
  readonly receiver: Receiver
}

interface Pending {
  /** Before that, nothing of it is stored. */
  sending: boolean
  /** Its answer is waited for. */
  sent: boolean
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

  /**
   * Sends, and waits for the answer. Rejects with `RequestTimeoutError`, `RemoteError`, or what the send rejects with; throws at once
   * what is wrong with the call.
   */
  request(message: Message, route: Route, timeoutMs: number): Promise<Message> {
    if (!(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
      throw new ValidationError(
        `request needs timeoutMs, a number of milliseconds above 0; it is ${String(timeoutMs)}`,
      )
    }
    this.#engine.supervisor.adapterFor('request')
    const correlationId = message.correlationId ?? message.id
    if (this.#pending.has(correlationId)) {
      throw new ValidationError(`A request with correlationId ${correlationId} already waits for its answer`)
    }
    message.correlationId = correlationId
    const { clock } = this.#engine
    const endsAt = clock.monotonic() + timeoutMs
    return new Promise<Message>((resolve, reject) => {
      const { signal } = route
      // While it is being sent, the sender hears of it, and knows better whether it is stored.
      const abort = () => {
        if (!pending.sending || pending.sent)
          pending.reject(abortedRequest(message.id, route, pending.sent ? undefined : 'not-stored'))
      }
      const done = () => {
        clock.clearTimeout(timer)
        heard?.()
        // A later one may have its id.
        if (this.#pending.get(correlationId) === pending) this.#pending.delete(correlationId)
      }
      const pending: Pending = {
        sending: false,
        sent: false,
        resolve: (reply) => {
          done()
          resolve(reply)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      }
      const timer = clock.setTimeout(() => {
        const certainty = pending.sending ? undefined : 'not-stored'
        const text = `No reply to ${message.id} within ${timeoutMs} ms`
        pending.reject(new RequestTimeoutError(text, { certainty }))
      }, timeoutMs)
      this.#pending.set(correlationId, pending)
      const heard = signal && onAbort(signal, abort)
      if (signal?.aborted === true) return abort()
      this.#send(message, route, pending, endsAt).catch((error: unknown) => pending.reject(error as Error))
    })
  }

  /** Once there is a place for the answer, and if it is still waited for. */
  async #send(message: Message, route: Route, pending: Pending, endsAt: number): Promise<void> {
    const { address } = await this.#place(message.correlationId as string, pending, endsAt)
    if (this.#pending.get(message.correlationId as string) !== pending) return
    message.replyTo = address
    message.ttl = Math.max(1, endsAt - this.#engine.clock.monotonic())
    pending.sending = true
    await this.#sender.send(message, route)
    pending.sent = true
    if (route.signal?.aborted === true) pending.reject(abortedRequest(message.id, route, undefined))
  }

  /** Answers a request. Resolves once the broker has the answer. */
  async answer(request: Message, outcome: { value: unknown } | { error: Error }): Promise<void> {
    const { replyTo } = request
    if (replyTo === undefined) return
    const reply = new Message({
      body: 'value' in outcome ? (outcome.value === undefined ? null : outcome.value) : null,
      correlationId: request.correlationId ?? request.id,
    })
    const route = routeTo({ reply: replyTo })
    // A foreign requester waits at a queue of its own, which goes with it.
    const toQueue = isQueueName(replyTo) && !replyTo.startsWith('amq.')
    const destination = toQueue ? { queue: replyTo } : route.destination
    const extra: Record<string, string> | undefined =
      'error' in outcome
        ? {
            [ERROR_NAME]: outcome.error.name.slice(0, MAX_ERROR_NAME),
            [ERROR_MESSAGE]: outcome.error.message.slice(0, MAX_ERROR_MESSAGE),
          }
        : undefined
    try {
      await this.#sender.reply(reply, { ...route, destination }, extra)
    } catch (error) {
      if (!MessageQueueError.is(error) || error.code !== ErrorCode.QUEUE_NOT_FOUND) throw error
      this.#engine.logger.debug({ id: request.id, replyTo }, 'an answer is dropped: its requester is gone')
    }
  }

  /** Waits out a lost connection, as sending does, for as long as the answer is waited for. */
  async #place(id: string, pending: Pending, endsAt: number): Promise<Inbox> {
    const { adapter, clock, supervisor } = this.#engine
    for (;;) {
      try {
        if (supervisor.state !== 'connected')
          await supervisor.ready('request', Math.max(0, endsAt - clock.monotonic()), true)
        return await this.#open()
      } catch (error) {
        const lost = classify(adapter, error).code === ErrorCode.CONNECTION
        const waits = this.#pending.get(id) === pending && clock.monotonic() + AGAIN_MS < endsAt
        if (!lost || !waits) throw notStored(error)
        await pause(clock, AGAIN_MS, supervisor.lifetime)
      }
    }
  }

  #open(): Promise<Inbox> {
    if (this.#inbox === null) {
      const { adapter, clock, config } = this.#engine
      const opening = withDeadline(
        clock,
        config.producer.requestTimeoutMs,
        'opening the reply queue',
        () => adapter.openReplies(),
        ({ receiver }) => void closeQuietly(receiver),
      )
      const { signal } = this.#lifetime
      // What the connection before opens, if it does, is the place of nobody.
      const opened = untilAborted(opening, signal).catch((error: unknown) => {
        this.#forget(opened)
        throw notStored(wrapError(adapter, error, 'Cannot receive replies'))
      })
      this.#inbox = opened
      void opened.then(
        ({ receiver }) => this.#pump(receiver, signal, () => this.#forget(opened)),
        () => undefined,
      )
    }
    return this.#inbox
  }

  /** A newer one may be in its place. */
  #forget(inbox: Promise<Inbox>): void {
    if (this.#inbox === inbox) this.#inbox = null
  }

  async #pump(receiver: Receiver, signal: AbortSignal, lost: () => void): Promise<void> {
    while (!signal.aborted) {
      try {
        const deliveries = await receiver.receive(REPLIES_PER_LOOK, signal)
        if (deliveries.length === 0) {
          await this.#engine.turn.next()
          continue
        }
        for (const delivery of deliveries) this.#deliver(delivery)
        await receiver.ack(deliveries)
      } catch (error) {
        if (signal.aborted) return
        // The next request opens it anew; those that wait will time out, since their address is gone.
        this.#engine.logger.debug({ error }, 'the reply queue was lost')
        void closeQuietly(receiver)
        return lost()
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
    const error = new ConnectionError('The connection was lost while waiting for the reply', { cause })
    this.#end(error, (pending) => pending.sending)
  }

  async close(): Promise<void> {
    const inbox = this.#inbox
    this.#end(new NotConnectedError('request'), () => true)
    if (inbox !== null) {
      const { clock } = this.#engine
      await withDeadline(clock, CLOSE_MS, 'closing the reply queue', async (signal) =>
        (await inbox).receiver.close(signal),
      ).catch(() => undefined)
    }
  }

  #end(error: Error, concerns: (pending: Pending) => boolean): void {
    this.#lifetime.abort(new ConnectionError('The connection was lost'))
    this.#lifetime = new AbortController()
    this.#inbox = null
    for (const pending of [...this.#pending.values()].filter(concerns)) pending.reject(error)
  }
}

function abortedRequest(
  id: string,
  { label, signal }: Route,
  certainty: Certainty | undefined,
): MessageQueueError {
  const cause: unknown = signal?.reason
  return new MessageQueueError(`The request ${id} to ${label} was aborted`, {
    code: ErrorCode.ABORTED,
    cause,
    certainty,
  })
}
