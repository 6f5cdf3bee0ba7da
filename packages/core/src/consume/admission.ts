import type { Engine } from '../engine.ts'
import type { Deduplication } from './deduplication.ts'
import type { Held } from './held.ts'
import { inboundMessage } from './inbound.ts'
import type { Message } from '../message/message.ts'
import type { Validate } from '../message/schema.ts'

/** What is asked of a queue's messages. A `ConsumerPlan` is one. */
export interface Admission {
  /** What `message.queueName` says. */
  readonly queueName: string
  /** Dead letters neither expire nor are poison: there is no further queue to put them in. */
  readonly ofDeadLetters: boolean
  readonly maxRedeliveries: number
  readonly validate: Validate | undefined
}

/** Dead-letters what nobody should see. */
export interface Refuser {
  refuse(held: Held, reason: Refusal, error: unknown): void
}

export type Refusal = 'expired' | 'delivery-limit' | 'undecodable' | 'invalid'

/**
 * What must hold before anybody sees a delivery: not expired, not poison, decodable, valid. Answers the message, or `null` when the
 * delivery was refused (and is being dead-lettered).
 */
export function admit(engine: Engine, asked: Admission, refuser: Refuser, held: Held): Message | null {
  const { delivery } = held
  if (delivery.expiresAt !== undefined && delivery.expiresAt <= engine.clock.now() && !asked.ofDeadLetters) {
    refuser.refuse(held, 'expired', new Error('The message expired before anybody took it'))
    return null
  }
  if (delivery.redeliveries > asked.maxRedeliveries && !asked.ofDeadLetters) {
    refuser.refuse(held, 'delivery-limit', poison(delivery.redeliveries))
    return null
  }
  let message = held.message
  try {
    if (message === null) message = inboundMessage(held, engine.codec, asked.queueName)
    else message.deliveryCount = held.deliveryCount
  } catch (error) {
    refuser.refuse(held, 'undecodable', error)
    return null
  }
  if (asked.validate === undefined || held.validated) return message
  try {
    message.body = asked.validate(message.body)
    held.validated = true
    return message
  } catch (error) {
    refuser.refuse(held, 'invalid', error)
    return null
  }
}

function poison(redeliveries: number): Error {
  return new Error(
    `Delivered ${redeliveries + 1} times and never settled: it seems to end the process that handles it`,
  )
}

/** Who says whether the message was handled before, or `null`: brokers that deduplicate do it themselves. */
export function deduplicationOf(
  engine: Engine,
  windowMs: number | null | undefined,
  message: Message,
): Deduplication | null {
  return windowMs !== null &&
    windowMs !== undefined &&
    message.deduplicationId !== undefined &&
    engine.deduplication !== undefined &&
    engine.adapter.capabilities.dedupe === 'consumer'
    ? engine.deduplication
    : null
}
