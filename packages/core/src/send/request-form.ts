import { Message, type MessageInit } from '../message/message.ts'
import { abortable, routeOf, shortFields, shortRoute, type SendFields, type SendOptions } from './routes.ts'
import type { Route } from './sender.ts'
import { isQueueRef, type QueueRef } from '../message/typed.ts'

/** Of `request(message, options)`. */
export interface RequestOptions extends SendOptions {
  /** How long to wait for the answer, in ms. */
  timeoutMs: number
  /** Gives up: what was not sent yet is not sent, and an answer is not waited for. */
  signal?: AbortSignal | undefined
}

/** Of `request(queue, body, fields)`. */
export type RequestFields = SendFields & Pick<RequestOptions, 'timeoutMs' | 'signal'>

export interface RequestForm {
  readonly message: Message
  readonly route: Route
  readonly timeoutMs: number
}

/** Both forms of `request` in one: `(message, { timeoutMs, … })` and `(queue, body, { timeoutMs, … })`. Throws `ValidationError`. */
export function requestForm(
  first: Message | MessageInit | QueueRef,
  second: unknown,
  third: unknown,
): RequestForm {
  if (isQueueRef(first)) {
    const { timeoutMs, signal, ...fields } = (third ?? {}) as RequestFields
    const message = new Message(shortFields(second, fields))
    return { message, route: abortable(shortRoute(first), signal), timeoutMs }
  }
  const { timeoutMs, ...options } = (second ?? {}) as RequestOptions
  const message = new Message(Message.is(first) ? fieldsOf(first) : first)
  return { message, route: routeOf(message, options), timeoutMs }
}

/** A request is a message of its own: what is given stays as it is. */
function fieldsOf(message: Message): MessageInit {
  const {
    redeliveries: _redeliveries,
    deadLetter: _deadLetter,
    redriven: _redriven,
    raw: _raw,
    ...fields
  } = message
  return fields
}
