import type { OutboundMessage, Target } from '../adapter/contract.ts'
import type { Engine } from '../engine.ts'
import { ValidationError } from '../errors.ts'
import { checkMessage } from '../message/check-message.ts'
import type { Message } from '../message/message.ts'
import { checkHeaders } from '../message/names.ts'
import { TTL_HEADER } from '../message/own-headers.ts'
import { addTrace } from '../message/trace.ts'
import type { Browsed } from './browse.ts'
import type { RedriveOptions } from './dead-letters.ts'

/** A dead letter on its way back. `sendToken` is given by whoever sends it. */
export type Redriven = Omit<OutboundMessage, 'sendToken'>

/** What goes back of a dead letter: all that it was, with its count and ttl anew; then what `edit` makes of it. Throws what the edit throws. */
export async function redriven(
  engine: Engine,
  { delivery, message }: Browsed,
  destination: Target,
  edit: RedriveOptions['edit'],
): Promise<Redriven> {
  // Not those of the message, out of which core takes its own.
  const { headers } = delivery
  const ttl = Number(headers[TTL_HEADER] ?? NaN)
  const outbound: Redriven = {
    destination,
    id: delivery.id,
    body: delivery.body,
    headers,
    timestamp: delivery.timestamp,
    contentType: delivery.contentType ?? message.contentType,
    contentEncoding: delivery.contentEncoding,
    correlationId: delivery.correlationId,
    replyTo: undefined,
    routingKey: delivery.routingKey,
    key: delivery.key,
    deduplicationId: delivery.deduplicationId,
    priority: delivery.priority,
    delayMs: 0,
    expiresAt: Number.isFinite(ttl) ? engine.clock.now() + ttl : undefined,
    deliveryCount: 0,
    redriven: true,
  }
  if (edit === undefined) return outbound
  return { ...outbound, ...editedFields(engine, (await edit(message)) ?? message) }
}

/** All that is sent of an edited message, checked as by `send`: an edit that cannot be honoured must not be lost. */
function editedFields({ codec, clock }: Engine, edited: Message): Partial<OutboundMessage> {
  checkMessage(edited)
  checkHeaders(edited.headers)
  if (edited.delay !== undefined)
    throw new ValidationError('redrive moves messages at once: send a new one for a delay')
  const { id, ttl, key, priority, routingKey, correlationId, deduplicationId, contentType } = edited
  const headers = { ...edited.headers, ...(ttl !== undefined && { [TTL_HEADER]: String(ttl) }) }
  addTrace(headers, edited, false)
  return {
    ...codec.encode(edited.body, contentType, edited.contentEncoding),
    id,
    headers,
    timestamp: edited.timestamp.getTime(),
    contentType,
    correlationId,
    routingKey,
    key,
    deduplicationId,
    priority,
    expiresAt: ttl === undefined ? undefined : clock.now() + ttl,
  }
}
