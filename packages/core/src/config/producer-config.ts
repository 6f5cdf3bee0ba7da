import { Type, type Static } from 'typebox'
import { LONGEST_TIMER_MS } from '../adapter/clock.ts'
import { CompressionType, DeliveryMode } from './enums.ts'
import { boolean, integer, oneOf } from './field.ts'
import { collector, parseWith, withParse } from './parse.ts'

const schema = Type.Object(
  {
    batchSize: integer({
      description: 'What is sent in one tick goes to the broker in calls of at most this size.',
      unit: 'bytes',
      minimum: 1,
      default: 1_048_576,
    }),
    lingerMs: integer({
      description: 'How long a message waits for others to go with it. 0: for those of the same tick alone.',
      unit: 'ms',
      minimum: 0,
      maximum: 60_000,
      default: 0,
    }),
    bufferMemory: integer({
      description: 'Most bytes sent and not yet confirmed; further sends reject.',
      unit: 'bytes',
      minimum: 1,
      default: 33_554_432,
    }),
    compressionType: oneOf(['none', 'gzip', 'zstd', 'snappy', 'lz4'], {
      description:
        'How batches are compressed on the wire and on disk. Bodies are compressed by `message.compression`.',
      brokers: ['kafka'],
      refusals: {
        [CompressionType.BROTLI]: 'Kafka has no such codec; message.compression compresses bodies with it',
      },
      default: CompressionType.NONE,
    }),
    retries: integer({
      description:
        'How often one message is published again after a failure, all within `deliveryTimeoutMs`.',
      minimum: 0,
      default: 2_147_483_647,
      defaultText: '2147483647; 0 with `deliveryMode: "at_most_once"`',
    }),
    retryBackoffMs: integer({
      description: 'Wait before publishing again.',
      unit: 'ms',
      minimum: 0,
      maximum: LONGEST_TIMER_MS,
      default: 100,
    }),
    requestTimeoutMs: integer({
      description: 'Longest wait for one answer of the broker.',
      unit: 'ms',
      minimum: 1,
      maximum: LONGEST_TIMER_MS,
      default: 30_000,
      defaultText: '30000, or `deliveryTimeoutMs` if that is less',
    }),
    deliveryTimeoutMs: integer({
      description: 'When a send that is not confirmed rejects, outages included.',
      unit: 'ms',
      minimum: 1,
      maximum: LONGEST_TIMER_MS,
      default: 120_000,
    }),
    maxInFlightRequests: integer({
      description:
        'Most calls at once per destination; 1 on ordered queues, and for messages with a key to a topic.',
      minimum: 1,
      maximum: 10_000,
      default: 20,
    }),
    acks: oneOf(['all', 'leader', 'none'], {
      description:
        'Who must have stored a message before `send` resolves. Weaker than `all` is the explicit way to lose messages. `-1`, `1` and `0` are understood.',
      brokers: ['redis', 'rabbitmq', 'kafka'],
      default: 'all',
    }),
    enableIdempotence: boolean({
      description: '`true` is refused so far: a send whose outcome stayed unknown may be stored twice.',
      brokers: ['kafka'],
      default: false,
    }),
    deliveryMode: oneOf([DeliveryMode.AT_LEAST_ONCE, DeliveryMode.AT_MOST_ONCE], {
      description: '`at_most_once` never publishes a message again whose outcome is unknown.',
      refusals: {
        [DeliveryMode.EXACTLY_ONCE]:
          'no broker can see whether a handler’s effect happened, so nobody can promise it; use at_least_once with deduplicationId, or handlers that may run twice',
      },
      default: DeliveryMode.AT_LEAST_ONCE,
    }),
    mandatory: boolean({
      description: 'A message that no queue takes rejects. Publishing to a topic is never mandatory.',
      brokers: ['rabbitmq'],
      default: true,
    }),
  },
  { additionalProperties: false },
)

const ACKS = new Map<unknown, string>([
  [-1, 'all'],
  ['-1', 'all'],
  [1, 'leader'],
  ['1', 'leader'],
  [0, 'none'],
  ['0', 'none'],
])

/** For the configuration that contains this one. */
export const collectProducer = collector({
  schema,
  prepare: (given) => {
    const acks = ACKS.get(given['acks'])
    return acks === undefined ? given : { ...given, acks }
  },
  finish: (parsed, given, report) => {
    const { deliveryTimeoutMs } = parsed
    if (given['requestTimeoutMs'] === undefined) {
      parsed.requestTimeoutMs = Math.min(parsed.requestTimeoutMs, deliveryTimeoutMs ?? Infinity)
    } else if (parsed.requestTimeoutMs > deliveryTimeoutMs) {
      report(
        'requestTimeoutMs',
        String(parsed.requestTimeoutMs),
        `at most deliveryTimeoutMs (${deliveryTimeoutMs})`,
      )
    }
    if (parsed.lingerMs >= deliveryTimeoutMs) {
      report('lingerMs', String(parsed.lingerMs), `less than deliveryTimeoutMs (${deliveryTimeoutMs})`)
    }
    if (parsed.deliveryMode === DeliveryMode.AT_MOST_ONCE) {
      if (given['retries'] === undefined) parsed.retries = 0
      else if (parsed.retries > 0)
        report('retries', String(parsed.retries), '0 with deliveryMode "at_most_once"')
    }
    if (parsed.enableIdempotence && parsed.acks !== undefined && parsed.acks !== 'all') {
      report('acks', `"${parsed.acks}"`, '"all" with enableIdempotence')
    }
  },
})

/** How messages are sent. */
export const ProducerConfig = withParse(schema, (input) =>
  parseWith(collectProducer, 'ProducerConfig', input),
)
/** The complete form, as `ProducerConfig.parse` answers it. */
export type ProducerConfig = Static<typeof schema>
/** What may be given: any subset. */
export type ProducerConfigInput = {
  readonly [K in keyof Omit<ProducerConfig, 'acks'>]?: ProducerConfig[K] | undefined
} & {
  readonly acks?: ProducerConfig['acks'] | -1 | 0 | 1 | undefined
}
