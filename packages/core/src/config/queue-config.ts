import { Type, type Static } from 'typebox'
import { isQueueName } from '../message/names.ts'
import { QUEUE_NAME_EXPECTED } from './consumer-config.ts'
import { isRecord } from './data.ts'
import { boolean, integer, integerOrNone, oneOf, textOrNone } from './field.ts'
import { collector, parseWith, withParse, type Given, type Report } from './parse.ts'
import { foldArguments } from './queue-arguments.ts'
import { show } from './secrets.ts'

const fields = {
  durable: boolean({
    description: 'Survives a restart of the broker, with its messages.',
    brokers: ['rabbitmq'],
    default: true,
  }),
  autoDelete: boolean({
    description: 'Deleted when its last consumer stops; `receive` and `messages` are no consumers.',
    brokers: ['memory', 'redis', 'rabbitmq'],
    default: false,
  }),
  exclusive: boolean({
    description: 'Belongs to the connection that made it.',
    brokers: ['memory', 'redis', 'rabbitmq'],
    default: false,
  }),
  maxLength: integerOrNone({
    description: 'Most messages that wait.',
    unit: 'messages',
    brokers: ['memory', 'redis', 'rabbitmq'],
    minimum: 1,
    defaultText: 'no limit',
  }),
  maxLengthBytes: integerOrNone({
    description: 'Most bytes that wait.',
    unit: 'bytes',
    brokers: ['memory', 'redis', 'rabbitmq'],
    minimum: 1,
    defaultText: 'no limit',
  }),
  overflow: oneOf(['reject', 'drop-oldest'], {
    description: 'What a full queue does: refuse what is sent, or drop (dead-letter) its oldest message.',
    brokers: ['memory', 'redis', 'rabbitmq'],
    default: 'reject',
  }),
  messageTtl: integerOrNone({
    description: 'How long after `send` a message expires.',
    unit: 'ms',
    minimum: 1,
    defaultText: 'never',
  }),
  maxPriority: integerOrNone({
    description: 'Highest priority in use, 1-255. Priorities need it.',
    brokers: ['memory', 'redis', 'rabbitmq'],
    minimum: 1,
    maximum: 255,
    defaultText: 'no priorities',
  }),
  ordered: boolean({
    description: 'Messages with one `key` are handled in the order of sending, one at a time.',
    default: false,
  }),
  partitions: integer({
    description: 'Into how many parts keys are spread.',
    brokers: ['rabbitmq', 'kafka'],
    minimum: 1,
    maximum: 100_000,
    default: 1,
    defaultText: '1 (Kafka: 4)',
  }),
  replicationFactor: integer({
    description: 'Copies of each part; of a quorum queue on RabbitMQ, where it is above 1.',
    brokers: ['rabbitmq', 'kafka'],
    minimum: 1,
    maximum: 32_767,
    default: 1,
  }),
  deadLetterQueue: textOrNone({
    description: 'Queue for dead letters; `enableDeadLetterQueue: false` turns them off.',
    defaultText: '`consumer.deadLetterQueue`, else `<queue>.dlq`',
    expected: QUEUE_NAME_EXPECTED,
  }),
  maxRedeliveries: integer({
    description: 'Above this many unsettled returns a message is dead-lettered without running its handler.',
    minimum: 0,
    default: 20,
  }),
  deduplicationWindowMs: integerOrNone({
    description:
      'How long a `deduplicationId` is remembered. Kafka and RabbitMQ need `options.deduplicationStore`.',
    unit: 'ms',
    minimum: 1,
    defaultText: 'no deduplication',
  }),
  arguments: Type.Record(Type.String(), Type.Unknown(), {
    description: 'RabbitMQ’s names, portable where they can be; others go to the broker as they are.',
    default: {},
    expected: 'an object of arguments',
  }),
}
const exact = { additionalProperties: false }
const schema = Type.Object(
  { name: Type.String({ description: 'Name of the queue.', expected: QUEUE_NAME_EXPECTED }), ...fields },
  exact,
)
/** A QueueConfig without `name`: what `defaultQueueConfig` is. */
export const QueueDefaults = Type.Object(fields, exact)

/** Every default is filled in, so what the user chose must be kept apart: the rest is up to `defaultQueueConfig`. */
const GIVEN = Symbol.for('@mq/given')

/** The fields that were chosen. A copy of a parsed configuration has chosen all of its fields. */
export function chosenFields(config: object): ReadonlySet<string> {
  return (config as { [GIVEN]?: ReadonlySet<string> })[GIVEN] ?? new Set(Object.keys(config))
}

function finish(
  parsed: Static<typeof QueueDefaults> & { name?: string },
  _given: Given,
  report: Report,
): void {
  const { name, deadLetterQueue } = parsed
  if (name !== undefined && !isQueueName(name)) report('name', show(name), QUEUE_NAME_EXPECTED)
  if (typeof deadLetterQueue === 'string') {
    if (!isQueueName(deadLetterQueue)) report('deadLetterQueue', show(deadLetterQueue), QUEUE_NAME_EXPECTED)
    else if (deadLetterQueue === name) report('deadLetterQueue', show(name), 'another queue than this one')
  }
}

/**
 * Notes what an input chose: its own fields (of a parsed one: what that chose), and whatever differs from the default, which covers
 * fields that arguments named and those changed after an earlier parse.
 */
function remember<T extends object>(input: unknown, parsed: T): T {
  if (!isRecord(input ?? {})) return parsed
  const own = (input ?? {}) as Record<string, unknown>
  const chosen = new Set([...chosenFields(own)].filter((name) => own[name] !== undefined))
  for (const [name, { default: fallback }] of Object.entries(
    fields as Record<string, { default?: unknown }>,
  )) {
    if (name !== 'arguments' && (parsed as Record<string, unknown>)[name] !== fallback) chosen.add(name)
  }
  // The one argument whose value can be the default.
  if (isRecord(own['arguments']) && 'x-overflow' in own['arguments']) chosen.add('overflow')
  return Object.defineProperty(parsed, GIVEN, { value: chosen })
}

const collectNamed = collector({ schema, prepare: foldArguments, finish })
const collectUnnamed = collector({ schema: QueueDefaults, prepare: foldArguments, finish })

/** For `defaultQueueConfig`. */
export const collectQueueDefaults: typeof collectUnnamed = (input, report) =>
  remember(input, collectUnnamed(input, report))

/** How one queue is declared. */
export const QueueConfig = withParse(schema, (input) =>
  parseWith((given, report) => remember(given, collectNamed(given, report)), 'QueueConfig', input),
)
/** The complete form, as `QueueConfig.parse` answers it; `null` is "none". */
export type QueueConfig = Static<typeof schema>
/** What may be given: `name` and any other subset. */
export type QueueConfigInput = { readonly name: string } & QueueDefaultsInput
/** The complete form without `name`. */
export type QueueDefaults = Static<typeof QueueDefaults>
export type QueueDefaultsInput = {
  readonly [K in keyof QueueDefaults]?: Readonly<QueueDefaults[K]> | undefined
}
