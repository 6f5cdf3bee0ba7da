import type { BodyCodec } from '../message/codec.ts'
import type { Held } from './held.ts'
import { inferContentType, received, type Message } from '../message/message.ts'
import { TRACE_MARK, TTL_HEADER } from '../message/own-headers.ts'
import { parseTraceparent } from '../message/trace.ts'

/** The message of a delivery, its body decoded. Throws `SerializationError`. */
export function inboundMessage(held: Held, codec: BodyCodec, queueName: string): Message {
  const { delivery } = held
  const body = codec.decode(delivery.body, delivery.contentType, delivery.contentEncoding)
  return makeMessage(
    held,
    body,
    delivery.contentType ?? inferContentType(body),
    codec.visibleEncoding(delivery.contentEncoding),
    queueName,
  )
}

/** The message of a delivery whose body cannot be decoded: the bytes as they came, for events and logs. */
export function rawMessage(held: Held, queueName: string): Message {
  const { body, contentType, contentEncoding } = held.delivery
  return makeMessage(
    held,
    body.slice(),
    contentType ?? 'application/octet-stream',
    contentEncoding,
    queueName,
  )
}

function makeMessage(
  held: Held,
  body: unknown,
  contentType: string,
  contentEncoding: string | undefined,
  queueName: string,
): Message {
  const { delivery } = held
  const { deliveryCount } = held
  const message = received(delivery, {
    body,
    contentType,
    contentEncoding,
    queueName,
    deliveryCount,
    held,
  })
  held.message = message
  for (const _name in message.headers) {
    readHeaders(message)
    break
  }
  return message
}

/** What core put among the headers, back into fields. */
function readHeaders(message: Message): void {
  const { headers } = message
  if (TTL_HEADER in headers) {
    message.ttl = Number(headers[TTL_HEADER])
    delete headers[TTL_HEADER]
  }
  const trace = parseTraceparent(headers['traceparent'])
  if (trace !== null) {
    message.traceId = trace.traceId
    message.spanId = trace.spanId
  }
  if (TRACE_MARK in headers) {
    delete headers['traceparent']
    delete headers[TRACE_MARK]
  }
}
