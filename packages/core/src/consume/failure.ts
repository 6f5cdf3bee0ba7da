import { hostname } from 'node:os'
import type { DeadLetterInfo, DeadLetterReason } from '../adapter/contract.ts'
import { toError } from '../errors.ts'
import type { Held } from './held.ts'

/** Headers carry these: a stack or message of a megabyte must not make a dead letter too large to store. */
const MAX_MESSAGE = 1024
const MAX_STACK = 4096

const HOST = hostname()

/** What a dead letter says about its failure. `ran`: whether a handler run is part of it. */
export function failureOf(
  held: Held,
  reason: DeadLetterReason,
  thrown: unknown,
  source: { queueName: string; subscription: string | null },
  ran: boolean,
  now: number,
): DeadLetterInfo {
  const error = toError(thrown)
  return {
    reason,
    queue: source.queueName,
    subscription: source.subscription,
    attempts: held.deliveryCount + (ran ? 1 : 0),
    firstFailedAt: new Date(held.firstFailedAt ?? now),
    lastFailedAt: new Date(now),
    error: {
      name: clip(error.name, 128),
      message: clip(error.message, MAX_MESSAGE),
      stack: clip(error.stack ?? '', MAX_STACK),
    },
    host: HOST,
  }
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
