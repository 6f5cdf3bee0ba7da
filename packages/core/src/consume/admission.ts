import type { Engine } from '../engine.ts'
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
    const text = `Delivered ${delivery.redeliveries + 1} times and never settled: it seems to end the process that handles it`
    verdicts.refuse(held, 'delivery-limit', new Error(text))
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

/** Whether this consumer must ask a store if the message was handled before: brokers that deduplicate do it themselves. */
export function needsDeduplication(engine: Engine, plan: ConsumerPlan, message: Message): boolean {
  return (
    plan.deduplicationWindowMs !== null &&
    message.deduplicationId !== undefined &&
    !message.redriven &&
    engine.adapter.capabilities.dedupe === 'consumer' &&
    engine.deduplicationStore !== undefined
  )
}

/** `true` when the message was handled before. A store that fails lets the message pass: a duplicate is better than a loss. */
export async function isDuplicate(engine: Engine, plan: ConsumerPlan, message: Message): Promise<boolean> {
  try {
    return (
      (await engine.deduplicationStore?.has(deduplicationKey(plan, message.deduplicationId ?? ''))) === true
    )
  } catch (error) {
    engine.logger.warn(
      { id: message.id, error },
      'the deduplication store failed; a duplicate may be handled',
    )
    return false
  }
}

/** Never rejects: a store that fails lets a duplicate pass, which is better than a message that is never acknowledged. */
export async function remember(engine: Engine, key: string, windowMs: number, id: string): Promise<void> {
  try {
    await engine.deduplicationStore?.add(key, windowMs)
  } catch (error) {
    engine.logger.warn({ id, error }, 'the deduplication store failed; a duplicate may be handled')
  }
}

export function deduplicationKey(plan: ConsumerPlan, id: string): string {
  return `${plan.label}:${id}`
}
