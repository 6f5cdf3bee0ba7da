import { Type, type Static } from 'typebox'
import { splitList } from './address.ts'
import { readUrl } from './broker-url.ts'
import { resolveConnection } from './connection-resolve.ts'
import { isRecord } from './data.ts'
import {
  boolean,
  integer,
  integerOrNone,
  MOST_SECONDS,
  number,
  oneOfOrNone,
  orNone,
  textOrNone,
} from './field.ts'
import { collector, parseWith, withParse, type Collect, type Given } from './parse.ts'

const NETWORK = ['redis', 'rabbitmq', 'kafka']

const sentinel = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    username: Type.Union([Type.String(), Type.Null()]),
    password: Type.Union([Type.String(), Type.Null()]),
  },
  { additionalProperties: false },
)

const schema = Type.Object(
  {
    url: textOrNone({
      description:
        'Address of the broker. Everything it says is also in the fields below after parsing; a field that says something else is refused.',
      defaultText: '`memory://default` on memory',
      secret: true,
    }),
    host: textOrNone({
      description: 'Host of the broker.',
      brokers: NETWORK,
      defaultText: '`localhost`, or the first of `hosts`',
    }),
    port: integerOrNone({
      description: 'Port of the broker.',
      brokers: NETWORK,
      minimum: 1,
      maximum: 65_535,
      defaultText: 'Redis 6379, RabbitMQ 5672 (TLS: 5671), Kafka 9092',
    }),
    hosts: orNone(Type.Array(Type.String(), { minItems: 1 }), {
      description:
        'Several nodes, `host[:port]`, comma-separated or an array: tried in turn (RabbitMQ), nodes of the cluster, or the sentinels (Redis).',
      brokers: ['redis', 'rabbitmq'],
      defaultText: '`host` alone',
      expected: 'host[:port], comma-separated or an array',
    }),
    username: orNone(Type.String(), {
      description: 'User.',
      brokers: ['redis', 'rabbitmq'],
      defaultText: '`guest` on RabbitMQ',
      expected: 'a string',
    }),
    password: orNone(Type.String(), {
      description: 'Password.',
      brokers: ['redis', 'rabbitmq'],
      defaultText: '`guest` on RabbitMQ',
      secret: true,
      expected: 'a string',
    }),
    virtualHost: textOrNone({ description: 'Virtual host.', brokers: ['rabbitmq'], defaultText: '`/`' }),
    db: integerOrNone({
      description: 'Number of the database.',
      brokers: ['redis'],
      minimum: 0,
      maximum: 999_999_999,
      defaultText: '0',
    }),
    bootstrapServers: orNone(Type.Array(Type.String(), { minItems: 1 }), {
      description: 'Some brokers of the cluster, `host[:port]`, comma-separated or an array.',
      brokers: ['kafka'],
      defaultText: '`host:port`',
      expected: 'host[:port], comma-separated or an array',
    }),
    securityProtocol: oneOfOrNone(['plaintext', 'ssl', 'sasl_plaintext', 'sasl_ssl'], {
      description: 'In any case.',
      brokers: ['kafka'],
      defaultText: 'what `sslEnabled` and the SASL fields say',
    }),
    saslMechanism: oneOfOrNone(['plain', 'scram-sha-256', 'scram-sha-512'], {
      description: 'In any case.',
      brokers: ['kafka'],
      defaultText: '`plain` with `saslUsername`',
    }),
    saslUsername: textOrNone({ description: 'SASL user.', brokers: ['kafka'] }),
    saslPassword: orNone(Type.String(), {
      description: 'SASL password.',
      brokers: ['kafka'],
      secret: true,
      expected: 'a string',
    }),
    minConnections: integer({
      description:
        'Checked against `maxConnections`; connections are opened as they are needed, so nothing opens them ahead.',
      unit: 'sockets',
      brokers: [],
      minimum: 1,
      maximum: 10_000,
      default: 1,
    }),
    maxConnections: integer({
      description: 'Most sockets for publishing and consuming.',
      unit: 'sockets',
      brokers: ['redis', 'rabbitmq'],
      minimum: 1,
      maximum: 10_000,
      default: 100,
    }),
    connectionTimeout: number({
      description: 'When an attempt to connect is given up.',
      unit: 'seconds',
      exclusiveMinimum: 0,
      maximum: MOST_SECONDS,
      default: 30,
    }),
    heartbeat: integer({
      description: 'Interval of the connection’s heartbeats; 0: none.',
      unit: 'seconds',
      brokers: ['rabbitmq'],
      minimum: 0,
      maximum: MOST_SECONDS,
      default: 60,
    }),
    blockedConnectionTimeout: number({
      description:
        'How long a broker may refuse to take messages before the connection counts as lost; 0: for ever.',
      unit: 'seconds',
      brokers: ['rabbitmq'],
      minimum: 0,
      maximum: MOST_SECONDS,
      default: 300,
    }),
    sslEnabled: boolean({
      description: 'TLS. On by itself with a TLS URL, a TLS `securityProtocol` or a certificate path.',
      brokers: NETWORK,
      default: false,
    }),
    sslCertPath: textOrNone({ description: 'File with the client certificate, PEM.', brokers: NETWORK }),
    sslKeyPath: textOrNone({ description: 'File with its key, PEM.', brokers: NETWORK }),
    sslCaPath: textOrNone({
      description: 'File with the authorities to trust, PEM.',
      brokers: NETWORK,
      defaultText: 'those of Node',
    }),
    sslVerify: boolean({
      description: 'Refuse a server whose certificate is not trusted or not its own.',
      brokers: NETWORK,
      default: true,
    }),
    cluster: boolean({
      description: '`hosts` are nodes of a Redis Cluster.',
      brokers: ['redis'],
      default: false,
    }),
    sentinel: orNone(sentinel, {
      description: '`hosts` are sentinels that watch the master `name`: `{ name, username?, password? }`.',
      brokers: ['redis'],
      secret: true,
      expected: 'an object { name, username?, password? }',
    }),
  },
  { additionalProperties: false },
)

/** For the configuration that contains this one and knows the broker: what follows from it is still to be filled in. */
export const collectConnection: Collect<ConnectionConfig> = collector({
  schema,
  prepare: (given): Given => {
    const prepared: Record<string, unknown> = { ...given }
    for (const name of ['hosts', 'bootstrapServers'])
      if (name in given) prepared[name] = splitList(given[name])
    for (const name of ['securityProtocol', 'saslMechanism']) {
      const value = given[name]
      if (typeof value === 'string') prepared[name] = value.toLowerCase()
    }
    const { sentinel: watched } = given
    if (isRecord(watched)) {
      prepared['sentinel'] = {
        ...watched,
        username: watched['username'] ?? null,
        password: watched['password'] ?? null,
      }
    }
    return prepared
  },
})

/** Where the broker is and how to get in. */
export const ConnectionConfig = withParse(schema, (input) =>
  parseWith(
    (given, report) => {
      const parsed = collectConnection(given, report)
      const broker = typeof parsed.url === 'string' ? (readUrl(parsed.url)?.broker ?? null) : null
      resolveConnection(parsed, given, broker, report)
      return parsed
    },
    'ConnectionConfig',
    input,
  ),
)
/**
 * The complete form. `null` is "none"; by itself, without a URL, it does not know the broker yet, and fields whose default
 * depends on it are `null` until `MessageQueueConfig.parse` fills them in.
 */
export type ConnectionConfig = Static<typeof schema>
/** What may be given: any subset; lists comma-separated or as arrays. */
export type ConnectionConfigInput = {
  readonly [
    K in keyof Omit<
      ConnectionConfig,
      'hosts' | 'bootstrapServers' | 'securityProtocol' | 'saslMechanism' | 'sentinel'
    >
  ]?: Readonly<ConnectionConfig[K]> | undefined
} & {
  readonly hosts?: string | readonly string[] | null | undefined
  readonly sentinel?:
    | {
        readonly name: string
        readonly username?: string | null | undefined
        readonly password?: string | null | undefined
      }
    | null
    | undefined
  readonly bootstrapServers?: string | readonly string[] | null | undefined
  readonly securityProtocol?: AnyCase<'plaintext' | 'ssl' | 'sasl_plaintext' | 'sasl_ssl'> | null | undefined
  readonly saslMechanism?: AnyCase<'plain' | 'scram-sha-256' | 'scram-sha-512'> | null | undefined
}
type AnyCase<T extends string> = T | Uppercase<T>
