import { checkOptions } from '../check-options.ts'
import { ValidationError } from '../errors.ts'
import { checkInit } from '../message/check-message.ts'
import { Message, type MessageInit } from '../message/message.ts'
import { checkQueueName, isInternalName } from '../message/names.ts'
import { routeTo, type Route } from './sender.ts'
import {
  resolveQueue,
  resolveTopic,
  type QueueRef,
  type TopicRef,
  type TypedQueue,
} from '../message/typed.ts'

export interface SendOptions<Body = unknown> {
  /** Overrides the message's own. With a typed queue the body is checked against its schema as well; with its name alone it is not. */
  queueName?: string | TypedQueue<unknown, Body> | undefined
  /** Overrides the message's own. */
  routingKey?: string | undefined
  /** Gives up waiting; `certainty` then says whether the message may be stored. */
  signal?: AbortSignal | undefined
}

type PlainOptions = Omit<SendOptions, 'queueName'>

/** The fields of a message beside its body. */
export type SendFields = Omit<MessageInit, 'body' | 'queueName'>

const OPTIONS = new Set(['queueName', 'routingKey', 'signal'])

/** Where `send(message, options)` goes. Throws `ValidationError` for what is no message, too. */
export function routeOf(message: Message | MessageInit, options: SendOptions): Route {
  if (!Message.is(message)) checkInit(message)
  checkSendOptions(options)
  const queueName = options.queueName ?? message.queueName
  if (queueName === undefined) {
    throw new ValidationError('No queue to send to: give the message a queueName, or pass { queueName }')
  }
  if (typeof queueName !== 'string') {
    const { routingKey, signal } = options
    return { ...abortable(shortRoute(queueName), signal), routingKey }
  }
  return plainRoute(queueName, options)
}

export function checkSendOptions(options: SendOptions): void {
  for (const name in options) {
    if (!OPTIONS.has(name))
      throw new ValidationError(
        `send has no option ${JSON.stringify(name)}: give it as a field of the message`,
        { certainty: 'not-stored' },
      )
  }
}

/** Routes of plain names, made once: a program sends to few queues, and often. */
const plainRoutes = new Map<string, Route>()
const MOST_ROUTES = 1000

function plainRoute(queue: string, options: PlainOptions): Route {
  if (options.routingKey !== undefined || options.signal !== undefined) return makeRoute(queue, options)
  let route = plainRoutes.get(queue)
  if (route === undefined) {
    route = makeRoute(queue, options)
    if (plainRoutes.size >= MOST_ROUTES) plainRoutes.clear()
    plainRoutes.set(queue, route)
  }
  return route
}

function makeRoute(queue: string, { routingKey, signal }: PlainOptions): Route {
  refuseLibraryQueue(checkQueueName(queue))
  if (signal !== undefined) checkSignal(signal)
  return { ...routeTo({ queue }), routingKey, signal }
}

/** Where `send(queue, body, fields)` goes. */
export function shortRoute(ref: QueueRef): Route {
  if (typeof ref === 'string') return plainRoute(ref, NO_OPTIONS)
  const queue = resolveQueue(ref)
  if ('topic' in queue.target)
    throw new ValidationError('Messages are sent to a queue, or published to a topic; not to a subscription')
  return { ...routeTo(queue.target), config: queue.config, validate: queue.validate }
}

const NO_OPTIONS: PlainOptions = {}

/** The route of a call that may be given up. */
export function abortable(route: Route, signal: AbortSignal | undefined): Route {
  if (signal === undefined) return route
  checkSignal(signal)
  return { ...route, signal }
}

/** The fields of `send(queue, body, fields)` with their body. What the call says is not said again, and otherwise, among its fields. */
export function shortFields(body: unknown, fields: MessageInit | undefined): MessageInit {
  // As a body it would travel with all its fields, and arrive as an object of them.
  if (Message.is(body))
    throw new ValidationError('A Message is no body: send it by itself, with { queueName } as the option')
  if (fields === undefined) return { body }
  checkInit(fields)
  if (fields.queueName !== undefined) throw saidTwice('queueName')
  if (fields.body !== undefined) throw saidTwice('body')
  return { ...fields, body }
}

/** The fields of `sendJson(body, fields)` and `sendText(body, fields)` with their body. */
export function fieldsWith(body: unknown, contentType: string, fields: MessageInit | undefined): MessageInit {
  if (fields?.body !== undefined) throw saidTwice('body')
  return { ...fields, body, contentType: fields?.contentType ?? contentType }
}

function saidTwice(field: string): ValidationError {
  return new ValidationError(
    `${field} is an argument of this call, and no field beside it: a message is sent as it is by send({ ...message })`,
  )
}

/** What `publish(topic, message | body, fields)` sends, and where. A message has its fields already: all but the routing key. */
export function publishForm(
  topic: TopicRef,
  message: unknown,
  fields: SendFields,
): { made: Message; route: Route } {
  const { name, validate } = resolveTopic(topic)
  const route: Route = { ...routeTo({ topic: name }), validate }
  if (!Message.is(message)) return { made: new Message(shortFields(message, fields)), route }
  checkOptions(fields, ['routingKey'], 'publish of a Message')
  return { made: message, route: { ...route, routingKey: fields.routingKey } }
}

/** A controller in place of its signal is refused before anything is queued. Not by class: signals come from polyfills, too. */
function checkSignal(signal: Partial<AbortSignal> | null): void {
  const listens =
    typeof signal?.addEventListener === 'function' && typeof signal.removeEventListener === 'function'
  if (typeof signal?.aborted !== 'boolean' || !listens)
    throw new ValidationError('signal must be an AbortSignal, such as that of an AbortController')
}

export function refuseLibraryQueue(queue: string): void {
  if (isInternalName(queue)) {
    throw new ValidationError(
      `${queue}: queues ending in .retry or .delay are the library's own; nothing can be sent to them`,
    )
  }
}
