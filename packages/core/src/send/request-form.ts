import { Message, type MessageInit } from '../message/message.ts'
import { routeOf, shortFields, shortRoute, type SendFields, type SendOptions } from './routes.ts'
import type { Route } from './sender.ts'
import { isQueueRef, type QueueRef } from '../message/typed.ts'

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
    const { timeoutMs, ...fields } = (third ?? {}) as { timeoutMs: number } & SendFields
    return { message: new Message(shortFields(second, fields)), route: shortRoute(first), timeoutMs }
  }
  const { timeoutMs, ...options } = (second ?? {}) as { timeoutMs: number } & SendOptions
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
