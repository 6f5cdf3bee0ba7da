import { Type, type Static } from 'typebox'
import { LONGEST_TIMER_MS } from '../adapter/clock.ts'
import { isQueueName } from '../message/names.ts'
import { AcknowledgmentMode } from './enums.ts'
import { integer, integerOrNone, numberOrNone, oneOf, textOrNone } from './field.ts'
import { collector, parseWith, withParse } from './parse.ts'
import { show } from './secrets.ts'

export const QUEUE_NAME_EXPECTED =
  'a queue name: 1-200 letters, digits, dots, underscores or hyphens, the first a letter or digit'

const schema = Type.Object(
  {
    consumerGroupId: textOrNone({
      description:
        'What the names of the consumer groups begin with: `<id>.<queue>`, `<id>.<topic>:<subscription>`.',
      brokers: ['kafka'],
      defaultText: '`mq`',
    }),
    autoOffsetReset: oneOf(['earliest', 'latest'], {
      description: 'Where a group without commits starts on an existing topic.',
      brokers: ['kafka'],
      default: 'earliest',
    }),
    maxPollRecords: integer({
      description: 'Most records handed over by one fetch.',
      brokers: ['kafka'],
      minimum: 1,
      maximum: 100_000,
      default: 500,
    }),
    fetchMinBytes: integer({
      description: 'How much a broker gathers before it answers a fetch.',
      unit: 'bytes',
      brokers: ['kafka'],
      minimum: 1,
      default: 1,
    }),
    fetchMaxWaitMs: integer({
      description: 'How long a broker waits for `fetchMinBytes`.',
      unit: 'ms',
      brokers: ['kafka'],
      minimum: 1,
      maximum: LONGEST_TIMER_MS,
      default: 500,
      defaultText: '500, or a third of `sessionTimeoutMs` if that is less',
    }),
    sessionTimeoutMs: integer({
      description: 'The lease: how long a message stays with a consumer that gives no sign of life.',
      unit: 'ms',
      minimum: 10,
      maximum: LONGEST_TIMER_MS,
      default: 30_000,
    }),
    heartbeatIntervalMs: integer({
      description:
        'How often leases are renewed: less than `sessionTimeoutMs`, at most a third of it recommended.',
      unit: 'ms',
      minimum: 1,
      maximum: LONGEST_TIMER_MS,
      default: 10_000,
      defaultText: '10000, or a third of `sessionTimeoutMs` if that is less',
    }),
    maxPollIntervalMs: integer({
      description: 'How long no handler may end, while one runs, before health calls the consumer stuck.',
      unit: 'ms',
      minimum: 1,
      maximum: LONGEST_TIMER_MS,
      default: 300_000,
    }),
    prefetchCount: integer({
      description: 'Most messages that a consumer holds unsettled; never below what its concurrency needs.',
      minimum: 1,
      maximum: 65_535,
      default: 10,
    }),
    acknowledgmentMode: oneOf(Object.values(AcknowledgmentMode), {
      description:
        'Who settles: the library after the handler, the handler itself, or nobody (settled as it is delivered).',
      default: AcknowledgmentMode.AUTO,
    }),
    retryAttempts: integerOrNone({
      description: 'Retries after the first attempt.',
      minimum: 0,
      defaultText: '`maxRetryAttempts`',
    }),
    retryDelayMs: numberOrNone({
      description: 'Wait before the first retry.',
      unit: 'ms',
      minimum: 0,
      defaultText: '`retryDelaySeconds`',
    }),
    deadLetterQueue: textOrNone({
      description: 'Queue for dead letters, unless `QueueConfig.deadLetterQueue` names one.',
      defaultText: '`<queue>.dlq`',
      expected: QUEUE_NAME_EXPECTED,
    }),
  },
  { additionalProperties: false },
)

/** For the configuration that contains this one. */
export const collectConsumer = collector({
  schema,
  finish: (parsed, given, report) => {
    const { sessionTimeoutMs, heartbeatIntervalMs, deadLetterQueue } = parsed
    if (sessionTimeoutMs !== undefined) {
      const third = Math.max(1, Math.floor(sessionTimeoutMs / 3))
      if (given['heartbeatIntervalMs'] === undefined)
        parsed.heartbeatIntervalMs = Math.min(heartbeatIntervalMs, third)
      if (given['fetchMaxWaitMs'] === undefined)
        parsed.fetchMaxWaitMs = Math.min(parsed.fetchMaxWaitMs, third)
    }
    if (parsed.heartbeatIntervalMs >= sessionTimeoutMs) {
      report(
        'heartbeatIntervalMs',
        String(heartbeatIntervalMs),
        `less than sessionTimeoutMs (${sessionTimeoutMs}), at most a third of it recommended`,
      )
    }
    if (parsed.fetchMaxWaitMs >= sessionTimeoutMs) {
      report(
        'fetchMaxWaitMs',
        String(parsed.fetchMaxWaitMs),
        `less than sessionTimeoutMs (${sessionTimeoutMs})`,
      )
    }
    if (typeof deadLetterQueue === 'string' && !isQueueName(deadLetterQueue)) {
      report('deadLetterQueue', show(deadLetterQueue), QUEUE_NAME_EXPECTED)
    }
  },
})

/** How messages are received and retried. */
export const ConsumerConfig = withParse(schema, (input) =>
  parseWith(collectConsumer, 'ConsumerConfig', input),
)
/** The complete form, as `ConsumerConfig.parse` answers it; `null` leaves the decision to the configuration around it. */
export type ConsumerConfig = Static<typeof schema>
/** What may be given: any subset. */
export type ConsumerConfigInput = { readonly [K in keyof ConsumerConfig]?: ConsumerConfig[K] | undefined }
