import { ConfigurationError, readOptions, type AdapterLogger } from '@mq/core/adapter'
import { type Static, Type } from 'typebox'
import { LONGEST_TIMER_MS } from './abort.ts'

/** Of what a request can ask for. */
const MOST_BYTES = 2 ** 31 - 1
/** Largest body unless told otherwise: what brokers take by default (1 MiB), with room for the rest of a record. */
export const BODY_BYTES = 1024 * 1024 - 16 * 1024
export const MOST_BODY_BYTES = 1024 * 1024 * 1024

const Tls = Type.Object(
  {
    ca: Type.Optional(Type.String({ description: 'PEM of the authorities to trust.' })),
    cert: Type.Optional(Type.String({ description: 'PEM of the client certificate.' })),
    key: Type.Optional(Type.String({ description: 'PEM of its key.' })),
    /** @default true */
    verify: Type.Boolean({ default: true }),
    servername: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)

const Sasl = Type.Object(
  {
    mechanism: Type.Enum(['plain', 'scram-sha-256', 'scram-sha-512']),
    username: Type.String(),
    password: Type.String(),
  },
  { additionalProperties: false },
)

/** Everything that the adapter can be told, with its defaults; parsed once. */
export const KafkaOptionsSchema = Type.Object(
  {
    /** Brokers to begin with, `host:port` each, as a list or separated by commas; the others are found. @default '127.0.0.1:9092' */
    brokers: Type.Union(
      [Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })],
      { default: '127.0.0.1:9092' },
    ),
    tls: Type.Optional(Type.Union([Type.Boolean(), Tls])),
    sasl: Type.Optional(Sasl),
    /** Shown in the broker's logs and quotas. @default 'mq' */
    clientId: Type.String({ default: 'mq', pattern: '^[A-Za-z0-9._-]{1,128}$' }),
    /** What the names of the consumer groups begin with: `<groupId>.<queue>`, `<groupId>.<topic>:<subscription>`. @default 'mq' */
    groupId: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    /** Where a group without commits starts on a topic that exists. @default 'earliest' */
    startFrom: Type.Enum(['earliest', 'latest'], { default: 'earliest' }),
    /** ms for connecting, authenticating and the first round trip. @default 30000 */
    connectTimeoutMs: Type.Integer({ default: 30_000, minimum: 1, maximum: 600_000 }),
    /** ms without the answer that a request is owed, after which its connection counts as dead. @default 30000 */
    requestTimeoutMs: Type.Integer({ default: 30_000, minimum: 100, maximum: LONGEST_TIMER_MS }),
    /** ms without a sign of life after which a consumer's partitions go to others. Brokers take no less than 6000 unless told otherwise. @default 30000 */
    sessionTimeoutMs: Type.Integer({ default: 30_000, minimum: 10, maximum: LONGEST_TIMER_MS }),
    /** Who must have stored a message: every replica in sync, the leader, or nobody. @default 'all' */
    acks: Type.Enum(['all', 'leader', 'none'], { default: 'all' }),
    /** How batches are compressed on the wire and on disk. @default 'none' */
    compression: Type.Enum(['none', 'gzip', 'snappy', 'lz4', 'zstd'], { default: 'none' }),
    /** Most records that one call of a receiver answers. @default 500 */
    maxPollRecords: Type.Integer({ default: 500, minimum: 1, maximum: 100_000 }),
    /** What a broker waits for before it answers a fetch, in bytes. @default 1 */
    fetchMinBytes: Type.Integer({ default: 1, minimum: 1, maximum: MOST_BYTES }),
    /** How long it waits for that, in ms. @default 500 */
    fetchMaxWaitMs: Type.Integer({ default: 500, minimum: 1, maximum: LONGEST_TIMER_MS }),
    /** Most bytes of one partition in one fetch. @default 1048576 */
    fetchPartitionBytes: Type.Integer({ default: 1_048_576, minimum: 1_024, maximum: MOST_BYTES }),
    /** Longest time between an acknowledgement and its commit, in ms: what a crash repeats. @default 100 */
    commitIntervalMs: Type.Integer({ default: 100, minimum: 1, maximum: 60_000 }),
    /** Largest body, in bytes. The brokers' `message.max.bytes` must be larger. @default 1032192 (1 MiB - 16 KiB) */
    maxBodyBytes: Type.Integer({ default: BODY_BYTES, minimum: 1, maximum: MOST_BODY_BYTES }),
    /** Partitions of a queue that is declared with 1 or less; 0: as declared. @default 0 */
    minPartitions: Type.Integer({ default: 0, minimum: 0, maximum: 10_000 }),
    /** Deletes what a queue's group has consumed, on topics that otherwise keep everything for ever. @default true */
    trim: Type.Boolean({ default: true }),
    /** ms without any broker after which the connection counts as lost. @default 10000 */
    lostAfterMs: Type.Integer({ default: 10_000, minimum: 1, maximum: 600_000 }),
    /** Most bytes of delayed messages that one consumer keeps in memory, per partition; what is due later is read again. One for every 128 bytes at most is remembered. @default 67108864 */
    delayedBytes: Type.Integer({ default: 64 * 1024 * 1024, minimum: 1_024 }),
  },
  { additionalProperties: false },
)

type Parsed = Static<typeof KafkaOptionsSchema>

/** Options of `kafkaAdapter`: any subset. */
export type KafkaOptions = Partial<Parsed> & { readonly logger?: AdapterLogger }

export interface Address {
  readonly host: string
  readonly port: number
}

export interface ResolvedOptions extends Omit<Parsed, 'brokers'> {
  readonly brokers: readonly Address[]
  readonly logger: AdapterLogger
}

/** Checks and fills in defaults. Throws ConfigurationError naming every problem, without secrets. */
export function parseOptions(options: KafkaOptions): ResolvedOptions {
  const {
    values: filled,
    logger,
    problems,
  } = readOptions(KafkaOptionsSchema, options, 'Kafka', '{ brokers }')
  const brokers: Address[] = []
  const list = Array.isArray(filled.brokers) ? filled.brokers : String(filled.brokers).split(',')
  for (const each of list) {
    const address = parseAddress(String(each).trim())
    // What has an @ has a password, most likely.
    const shown = String(each).includes('@') ? 'a URL with a user, which sasl takes' : JSON.stringify(each)
    if (address === null) problems.push(`brokers must be host:port, not ${shown}`)
    else brokers.push(address)
  }
  if (problems.length > 0) throw new ConfigurationError(`Kafka options: ${problems.join('; ')}`)
  return { ...filled, brokers, logger }
}

function parseAddress(text: string): Address | null {
  const parts = /^(?:kafka:\/\/)?(?:\[([^\]]+)\]|([^:@/\s]+))(?::(\d{1,5}))?$/.exec(text)
  if (parts === null) return null
  const port = Number(parts[3] ?? 9092)
  return port > 0 && port < 65_536 ? { host: (parts[1] ?? parts[2]) as string, port } : null
}
