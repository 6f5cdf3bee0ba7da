import type { Engine } from '../engine.ts'
import type { Deduplication } from './deduplication.ts'
import type { Held } from './held.ts'
import { inboundMessage } from './inbound.ts'
import type { Message } from '../message/message.ts'
import type { ConsumerPlan } from './plan.ts'
import type { Verdicts } from './verdicts.ts'

/**
 * What must hold before a handler sees a delivery: not expired, not poison, decodable, valid. Answers the message, or `null` when the
 * delivery was refused (and is being dead-lettered).
 */
export function admit(engine: Engine, plan: ConsumerPlan, verdicts: Verdicts, held: Held): Message | null {
  const { delivery } = held
  if (delivery.expiresAt !== undefined && delivery.expiresAt <= engine.clock.now() && !plan.ofDeadLetters) {
    verdicts.refuse(held, 'expired', new Error('The message expired before a handler could take it'))
    return null
  }
  if (delivery.redeliveries > plan.maxRedeliveries) {
    verdicts.refuse(held, 'delivery-limit', poison(delivery.redeliveries))
    return null
  }
  let message = held.message
  try {
    if (message === null) message = inboundMessage(held, engine.codec, plan.queueName)
    else message.deliveryCount = held.deliveryCount
  } catch (error) {
    verdicts.refuse(held, 'undecodable', error)
    return null
  }
  if (plan.validate === undefined || held.validated) return message
  try {
    message.body = plan.validate(message.body)
    held.validated = true
    return message
  } catch (error) {
    verdicts.refuse(held, 'invalid', error)
    return null
  }
}

export function poison(redeliveries: number): Error {
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
