import type { DeadLetterInfo, Receiver, SettleOutcome, Target } from '../adapter/contract.ts'
import { backoffDelay } from '../backoff.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { logsDebug } from '../logger.ts'
import { keyOf } from '../message/target.ts'
import type { Held } from './held.ts'
import { classify } from '../wrap-error.ts'

/** What is to become of a delivery. */
export type Settlement =
  | { readonly kind: 'ack' }
  | { readonly kind: 'release' }
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'deadLetter'; readonly info: DeadLetterInfo; readonly target: Target }

export const ACK: Settlement = { kind: 'ack' }
export const RELEASE: Settlement = { kind: 'release' }

/** Attempts to tell a broker that answers with a passing error, before the delivery is left to its lease. One that serves nobody for now is told for as long as that lasts. */
const ATTEMPTS = 6
const BACKOFF = { backoff: 'exponential', delayMs: 50, maxDelayMs: 2000, jitter: 0.2 } as const

/** One call of a receiver for many deliveries; answers one outcome each, never rejects. */
export async function settleAll(
  engine: Engine,
  receiver: Receiver,
  helds: readonly Held[],
  settlement: Settlement,
  infos: readonly DeadLetterInfo[],
): Promise<readonly SettleOutcome[]> {
  const { clock, config } = engine
  const deliveries = helds.map((held) => held.delivery)
  try {
    const outcomes = await withDeadline(clock, config.producer.requestTimeoutMs, settlement.kind, () => {
      switch (settlement.kind) {
        case 'ack':
          return receiver.ack(deliveries)
        case 'release':
          return receiver.release(deliveries)
        case 'retry':
          return receiver.retry(deliveries, settlement.delayMs)
        case 'deadLetter':
          return receiver.deadLetter(deliveries, infos, settlement.target)
      }
    })
    return outcomesOf(outcomes)
  } catch (error) {
    return helds.map(() => ({ error }))
  }
}

/** An adapter in plain JavaScript may answer nothing at all: that is no outcome, of any. */
export function outcomesOf(outcomes: readonly SettleOutcome[] | undefined): readonly SettleOutcome[] {
  return outcomes ?? []
}

/** Whether a failed settlement is worth another call, and after how long: `null` when it is not. `leaseEndsAt`: unless it is renewed. */
export function settleAgainAfter(
  engine: Engine,
  error: unknown,
  attempt: number,
  leaseEndsAt: number,
): number | null {
  if (engine.supervisor.state !== 'connected') return null
  const { code, retryable } = classify(engine.adapter, error)
  const waitMs = backoffDelay(BACKOFF, attempt)
  const inTime = code === ErrorCode.UNAVAILABLE && engine.clock.monotonic() + waitMs < leaseEndsAt
  if (attempt >= ATTEMPTS && !inTime) return null
  // A missing dead-letter queue is declared before the next attempt.
  return retryable || code === ErrorCode.QUEUE_NOT_FOUND ? waitMs : null
}

/** One line for what one call settled. */
export function logSettled(
  { logger }: Engine,
  source: Target,
  helds: readonly Held[],
  settlement: Settlement,
  outcomes: readonly SettleOutcome[],
): void {
  if (!logsDebug(logger)) return
  const ids = helds.filter((_held, i) => outcomes[i] === 'settled').map(({ delivery }) => delivery.id)
  if (ids.length === 0) return
  const fields = { queue: keyOf(source), ids }
  switch (settlement.kind) {
    case 'ack':
      return logger.debug(fields, 'acknowledged')
    case 'release':
      return logger.debug(fields, 'given back')
    case 'retry':
      return logger.debug({ ...fields, delayMs: settlement.delayMs }, 'to be retried')
    case 'deadLetter':
      return logger.debug({ ...fields, reason: settlement.info.reason }, 'dead-lettered')
  }
}
