import { ConfigurationError, readOptions, type AdapterLogger } from '@mq/core/adapter'
import { type Static, Type } from 'typebox'

/** Largest body unless told otherwise: RabbitMQ's own limit since 4.0. */
export const BODY_BYTES = 16 * 1024 * 1024
export const MOST_BODY_BYTES = 512 * 1024 * 1024

const Address = Type.Object(
  { host: Type.String({ minLength: 1 }), port: Type.Integer({ minimum: 1, maximum: 65535 }) },
  { additionalProperties: false },
)

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

/** Everything that the adapter can be told, with its defaults; parsed once. */
export const RabbitmqOptionsSchema = Type.Object(
  {
    url: Type.Optional(
      Type.String({
        description: 'amqp[s]://[user[:password]@]host[:port][/vhost]. Single fields win over it.',
      }),
    ),
    host: Type.Optional(Type.String({ minLength: 1 })),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    /** Nodes of a cluster, tried in turn. Wins over `host` and `port`. */
    hosts: Type.Optional(Type.Array(Address, { minItems: 1 })),
    /** @default 'guest' */
    username: Type.Optional(Type.String()),
    /** @default 'guest' */
    password: Type.Optional(Type.String()),
    /** `external`: the client certificate says who we are. @default 'plain' */
    mechanism: Type.Enum(['plain', 'external'], { default: 'plain' }),
    /** @default '/' */
    vhost: Type.Optional(Type.String({ minLength: 1 })),
    tls: Type.Optional(Type.Union([Type.Boolean(), Tls])),
    /** Seconds between signs of life; a connection without any for two to three of them is lost. 0: none. @default 60 */
    heartbeat: Type.Integer({ default: 60, minimum: 0, maximum: 600 }),
    /** ms for connecting, authenticating and the first round trip. @default 30000 */
    connectTimeoutMs: Type.Integer({ default: 30_000, minimum: 1, maximum: 600_000 }),
    /** ms for the answer to one administrative call, and for the confirm of a retried or dead-lettered copy. @default 15000 */
    rpcTimeoutMs: Type.Integer({ default: 15_000, minimum: 50, maximum: 600_000 }),
    /** ms that the broker may refuse messages (memory, disk) before the connection counts as lost. 0: for ever. @default 0 */
    blockedTimeoutMs: Type.Integer({ default: 0, minimum: 0, maximum: 86_400_000 }),
    /** 1: one socket for all; 2: publishing apart; 3 or more: administration apart too. @default 3 */
    maxConnections: Type.Integer({ default: 3, minimum: 1, maximum: 10_000 }),
    /** `all`: a publish waits for the broker's confirm (quorum queues: of a majority). `none`: for the socket. @default 'all' */
    acks: Type.Enum(['all', 'none'], { default: 'all' }),
    /** A message for a queue that does not exist is refused. @default true */
    mandatory: Type.Boolean({ default: true }),
    /** Most messages written and not yet confirmed. @default 1000 */
    confirmWindow: Type.Integer({ default: 1000, minimum: 1, maximum: 10_000 }),
    /** Type of queues that could have either. @default 'quorum' */
    queueType: Type.Enum(['quorum', 'classic'], { default: 'quorum' }),
    /** Largest body, in bytes: RabbitMQ 4's own limit by default. @default 16777216 */
    maxBodyBytes: Type.Integer({ default: BODY_BYTES, minimum: 1, maximum: MOST_BODY_BYTES }),
    /** Shown by the management tools. @default 'mq' */
    clientName: Type.String({ default: 'mq', pattern: '^[ -~]{1,128}$' }),
  },
  { additionalProperties: false },
)

type Parsed = Static<typeof RabbitmqOptionsSchema>

/** Options of `rabbitmqAdapter`: any subset. */
export type RabbitmqOptions = Partial<Parsed> & { readonly logger?: AdapterLogger }

export interface ResolvedOptions extends Omit<
  Parsed,
  'url' | 'host' | 'port' | 'hosts' | 'username' | 'password' | 'vhost'
> {
  readonly hosts: readonly Static<typeof Address>[]
  readonly username: string
  readonly password: string
  readonly vhost: string
  readonly logger: AdapterLogger
}

/** Checks, fills in defaults, and takes the URL apart. Throws ConfigurationError naming every problem, without secrets. */
export function parseOptions(options: RabbitmqOptions): ResolvedOptions {
  const {
    values: filled,
    logger,
    problems,
  } = readOptions(RabbitmqOptionsSchema, options, 'RabbitMQ', '{ url }')
  let fromUrl: Partial<Parsed> = {}
  if (typeof filled.url === 'string') {
    const parsed = parseUrl(filled.url)
    if (parsed === null)
      problems.push('url must be amqp[s]://[user[:password]@]host[:port][/vhost] (value hidden)')
    else fromUrl = parsed
  }
  if (filled.mechanism === 'external' && (typeof filled.tls !== 'object' || filled.tls.cert === undefined))
    problems.push('mechanism external needs a client certificate: tls.cert and tls.key')
  if (problems.length > 0) throw new ConfigurationError(`RabbitMQ options: ${problems.join('; ')}`)
  const { url: _, host, port, hosts, ...rest } = { ...fromUrl, ...filled }
  const secure = rest.tls !== undefined && rest.tls !== false
  return {
    username: 'guest',
    password: 'guest',
    vhost: '/',
    ...rest,
    hosts: hosts ?? [{ host: host ?? '127.0.0.1', port: port ?? (secure ? 5671 : 5672) }],
    logger,
  }
}

/** Parts of a URL, or null. Never lets Node's own error out: it carries the whole input, password included. */
function parseUrl(text: string): Partial<Parsed> | null {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  if (url.protocol !== 'amqp:' && url.protocol !== 'amqps:') return null
  if (url.search !== '' || url.hash !== '') return null
  try {
    const vhost = decodeURIComponent(url.pathname.slice(1))
    return {
      ...(url.hostname === '' ? {} : { host: decodeURIComponent(url.hostname).replace(/^\[|\]$/g, '') }),
      ...(url.port === '' ? {} : { port: Number(url.port) }),
      ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
      ...(vhost === '' ? {} : { vhost }),
      ...(url.protocol === 'amqps:' ? { tls: true } : {}),
    }
  } catch {
    return null
  }
}
