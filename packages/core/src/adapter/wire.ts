import type { DeadLetterInfo, DeadLetterReason } from './contract.ts'

/**
 * Names of the control headers that adapters without a native slot use on the wire, the same on every broker.
 * All else under `mq-` is reserved; users may not send such names.
 */
export const WireHeader = {
  ID: 'mq-id',
  KEY: 'mq-key',
  QUEUE: 'mq-queue',
  ROUTING_KEY: 'mq-routing-key',
  PRIORITY: 'mq-priority',
  EXPIRES_AT: 'mq-expires-at',
  DELIVER_AT: 'mq-deliver-at',
  ATTEMPT: 'mq-attempt',
  FIRST_FAILED_AT: 'mq-first-failed-at',
  REDRIVEN: 'mq-redriven',
  DEDUPLICATION_ID: 'mq-deduplication-id',
  SEND_TOKEN: 'mq-send-token',
} as const

const DEAD = {
  reason: 'mq-dead-reason',
  queue: 'mq-dead-queue',
  subscription: 'mq-dead-subscription',
  attempts: 'mq-dead-attempts',
  firstFailedAt: 'mq-dead-first-failed-at',
  lastFailedAt: 'mq-dead-last-failed-at',
  errorName: 'mq-dead-error-name',
  errorMessage: 'mq-dead-error-message',
  errorStack: 'mq-dead-error-stack',
  host: 'mq-dead-host',
} as const

/** Failure metadata as flat headers; times as decimal ms since the epoch. */
export function deadLetterHeaders(info: DeadLetterInfo): Record<string, string> {
  const headers: Record<string, string> = {
    [DEAD.reason]: info.reason,
    [DEAD.queue]: info.queue,
    [DEAD.attempts]: String(info.attempts),
    [DEAD.firstFailedAt]: String(info.firstFailedAt.getTime()),
    [DEAD.lastFailedAt]: String(info.lastFailedAt.getTime()),
    [DEAD.errorName]: info.error.name,
    [DEAD.errorMessage]: info.error.message,
    [DEAD.errorStack]: info.error.stack,
    [DEAD.host]: info.host,
  }
  if (info.subscription !== null) headers[DEAD.subscription] = info.subscription
  return headers
}

/** The inverse: `undefined` unless a reason is there; whatever else is missing (a foreign writer) becomes empty. */
export function parseDeadLetterHeaders(
  headers: Readonly<Record<string, string | undefined>>,
): DeadLetterInfo | undefined {
  const reason = headers[DEAD.reason]
  if (reason === undefined) return undefined
  return {
    reason: reason as DeadLetterReason,
    queue: headers[DEAD.queue] ?? '',
    subscription: headers[DEAD.subscription] ?? null,
    attempts: Number(headers[DEAD.attempts] ?? 0) || 0,
    firstFailedAt: date(headers[DEAD.firstFailedAt]),
    lastFailedAt: date(headers[DEAD.lastFailedAt]),
    error: {
      name: headers[DEAD.errorName] ?? '',
      message: headers[DEAD.errorMessage] ?? '',
      stack: headers[DEAD.errorStack] ?? '',
    },
    host: headers[DEAD.host] ?? '',
  }
}

function date(text: string | undefined): Date {
  const ms = Number(text)
  return new Date(Number.isFinite(ms) ? ms : 0)
}
