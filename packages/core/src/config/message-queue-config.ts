import { Type, type Static } from 'typebox'
import { LONGEST_TIMER_MS } from '../adapter/clock.ts'
import { resolveConnection } from './connection-resolve.ts'
import { collectConnection, ConnectionConfig, type ConnectionConfigInput } from './connection-config.ts'
import { collectConsumer, ConsumerConfig, type ConsumerConfigInput } from './consumer-config.ts'
import { isRecord } from './data.ts'
import { MessageBroker } from './enums.ts'
import { readEnvironment } from './env.ts'
import { boolean, integer, MOST_SECONDS, number, oneOf } from './field.ts'
import { collectMessage, MessageConfig, type MessageConfigInput } from './message-config.ts'
import { collector, parseWith, under, withParse, type Report } from './parse.ts'
import { collectProducer, ProducerConfig, type ProducerConfigInput } from './producer-config.ts'
import { chosenFields, collectQueueDefaults, QueueDefaults, type QueueDefaultsInput } from './queue-config.ts'

/** Longest wait between retries, in seconds: 24 days, what a timer takes. */
const LONGEST_WAIT = Math.floor(LONGEST_TIMER_MS / 1000)

const schema = Type.Object(
  {
    broker: oneOf(Object.values(MessageBroker), {
      description: 'Which broker to use.',
      default: MessageBroker.MEMORY,
    }),
    connection: ConnectionConfig,
    message: MessageConfig,
    producer: ProducerConfig,
    consumer: ConsumerConfig,
    defaultQueueConfig: QueueDefaults,
    autoDeclare: boolean({
      description: 'Queues are made on first use; otherwise a missing one rejects.',
      default: true,
    }),
    enableMetrics: boolean({
      description: 'Times handlers, for `processingTime` of `getStats()`; the counters are always kept.',
      default: true,
    }),
    enableTracing: boolean({
      description: 'Adds trace context to every message, also without a tracer.',
      default: false,
    }),
    healthCheckInterval: number({
      description: 'How often a manager checks the health of its queues; 0: never.',
      unit: 'seconds',
      minimum: 0,
      maximum: MOST_SECONDS,
      default: 30,
    }),
    enableDeadLetterQueue: boolean({
      description: 'Failed messages go to a dead-letter queue; otherwise they are dropped.',
      default: true,
    }),
    maxRetryAttempts: integer({ description: 'Retries after the first attempt.', minimum: 0, default: 3 }),
    retryDelaySeconds: number({
      description: 'Wait before the first retry; fractions allowed.',
      unit: 'seconds',
      minimum: 0,
      maximum: LONGEST_WAIT,
      default: 1,
    }),
    retryBackoff: oneOf(['fixed', 'linear', 'exponential'], {
      description: 'How the wait grows with each retry: not at all, by the first wait, or doubling.',
      default: 'exponential',
    }),
    retryMaxDelaySeconds: number({
      description: 'Longest wait between retries, before jitter.',
      unit: 'seconds',
      minimum: 0,
      maximum: LONGEST_WAIT,
      default: 300,
      defaultText: '300, or `retryDelaySeconds` if that is more',
    }),
    retryJitter: number({
      description: 'Share by which each wait is varied at random, up and down.',
      minimum: 0,
      maximum: 1,
      default: 0.1,
    }),
    workerPoolSize: integer({
      description: 'Worker threads of `@mq/workers`.',
      unit: 'threads',
      minimum: 1,
      maximum: 1024,
      default: 4,
    }),
    maxConcurrentMessages: integer({
      description: 'Most handlers running at once, over all consumers of an instance.',
      unit: 'messages',
      minimum: 1,
      default: 100,
    }),
  },
  { additionalProperties: false },
)

const collect = collector({
  schema,
  nested: {
    connection: collectConnection,
    message: collectMessage,
    producer: collectProducer,
    consumer: collectConsumer,
    defaultQueueConfig: collectQueueDefaults,
  },
  finish: (parsed, given, report: Report) => {
    const { broker, connection, defaultQueueConfig } = parsed
    const ownConnection = given['connection'] ?? {}
    // A broker that was refused is no reason to keep quiet about the connection.
    if (isRecord(ownConnection))
      resolveConnection(connection, ownConnection, broker ?? null, under(report, 'connection'))
    if (broker === MessageBroker.KAFKA && !chosenFields(defaultQueueConfig).has('partitions')) {
      defaultQueueConfig.partitions = KAFKA_PARTITIONS
    }
    const { retryDelaySeconds, retryMaxDelaySeconds } = parsed
    if (retryDelaySeconds > retryMaxDelaySeconds) {
      if (given['retryMaxDelaySeconds'] === undefined) parsed.retryMaxDelaySeconds = retryDelaySeconds
      else
        report(
          'retryMaxDelaySeconds',
          String(retryMaxDelaySeconds),
          `at least retryDelaySeconds (${retryDelaySeconds})`,
        )
    }
  },
})

// Consumers beyond the number of partitions would have nothing to do, and adding partitions later moves keys.
const KAFKA_PARTITIONS = 4

/** Everything about one MessageQueue. */
export const MessageQueueConfig = Object.defineProperty(
  withParse(schema, (input) => parseWith(collect, 'MessageQueueConfig', input)),
  'fromEnv',
  {
    value: (env: NodeJS.ProcessEnv = process.env, given?: MessageQueueConfigInput) =>
      readEnvironment(env, collect, given),
  },
) as ReturnType<typeof withParse<typeof schema>> & {
  /**
   * The configuration that environment variables describe, read now; an empty environment gives the defaults. Throws
   * `ConfigurationError`, listing every variable that is wrong. Only the chosen broker's variables are read. What is `given`, any
   * subset, comes before the variables.
   */
  fromEnv(env?: NodeJS.ProcessEnv, given?: MessageQueueConfigInput): MessageQueueConfig
}
/** The complete form, as `MessageQueueConfig.parse` answers it; `null` is "none". */
export type MessageQueueConfig = Static<typeof schema>
/** What may be given: any subset, at every level. */
export type MessageQueueConfigInput = {
  readonly [
    K in keyof Omit<
      MessageQueueConfig,
      'connection' | 'message' | 'producer' | 'consumer' | 'defaultQueueConfig'
    >
  ]?: MessageQueueConfig[K] | undefined
} & {
  readonly connection?: ConnectionConfigInput | undefined
  readonly message?: MessageConfigInput | undefined
  readonly producer?: ProducerConfigInput | undefined
  readonly consumer?: ConsumerConfigInput | undefined
  readonly defaultQueueConfig?: QueueDefaultsInput | undefined
}
