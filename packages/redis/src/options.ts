import { ConfigurationError, readOptions, type AdapterLogger } from '@mq/core/adapter'
import { type Static, Type } from 'typebox'

/** Redis takes no longer value, unless `proto-max-bulk-len` is raised. */
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
export const RedisOptionsSchema = Type.Object(
  {
    url: Type.Optional(
      Type.String({
        description: 'redis[s]://[user[:password]@]host[:port][/db]. Single fields win over it.',
      }),
    ),
    host: Type.Optional(Type.String({ minLength: 1 })),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    username: Type.Optional(Type.String()),
    password: Type.Optional(Type.String()),
    db: Type.Optional(Type.Integer({ minimum: 0 })),
    tls: Type.Optional(Type.Union([Type.Boolean(), Tls])),
    cluster: Type.Optional(
      Type.Array(Address, { minItems: 1, description: 'Some nodes of the cluster; the others are found.' }),
    ),
    sentinel: Type.Optional(
      Type.Object(
        {
          name: Type.String({ minLength: 1, description: 'Name of the master that the sentinels watch.' }),
          nodes: Type.Array(Address, { minItems: 1 }),
          username: Type.Optional(Type.String()),
          password: Type.Optional(Type.String()),
        },
        { additionalProperties: false },
      ),
    ),
    /** First part of every key. @default 'mq' */
    prefix: Type.String({ default: 'mq', pattern: '^[A-Za-z0-9._-]{1,64}$' }),
    /** ms for connecting, authenticating and the first round trip. @default 30000 */
    connectTimeoutMs: Type.Integer({ default: 30_000, minimum: 1, maximum: 600_000 }),
    /** ms without any answer, while one is owed, after which a connection counts as dead. @default 5000 */
    commandTimeoutMs: Type.Integer({ default: 5_000, minimum: 50, maximum: 600_000 }),
    /** Most sockets: one for commands, one for each receiver that waits; more receivers than that take turns. @default 100 */
    maxConnections: Type.Integer({ default: 100, minimum: 1, maximum: 10_000 }),
    /** `all`: a publish also waits for one replica, when the server has any. `master`: the server alone. @default 'all' */
    acks: Type.Enum(['all', 'master'], { default: 'all' }),
    /** Longest wait for the replica, in ms; afterwards the outcome is unknown. @default 5000 */
    replicaTimeoutMs: Type.Integer({ default: 5_000, minimum: 1, maximum: 600_000 }),
    /** Largest body, in bytes. Above 512 MiB Redis refuses by itself. @default 1032192 (1 MiB - 16 KiB) */
    maxBodyBytes: Type.Integer({ default: 1024 * 1024 - 16 * 1024, minimum: 1, maximum: MOST_BODY_BYTES }),
    /** Shown by CLIENT LIST. @default 'mq' */
    clientName: Type.String({ default: 'mq', pattern: '^[!-~]{1,128}$' }),
  },
  { additionalProperties: false },
)

type Parsed = Static<typeof RedisOptionsSchema>

/** Options of `redisAdapter`: any subset. */
export type RedisOptions = Partial<Parsed> & { readonly logger?: AdapterLogger }

export interface ResolvedOptions extends Omit<Parsed, 'url'> {
  readonly host: string
  readonly port: number
  readonly db: number
  readonly logger: AdapterLogger
  /** Whether its sockets may stay open without keeping the process alive. */
  readonly background?: boolean
}

/** Checks, fills in defaults, and takes the URL apart. Throws ConfigurationError naming every problem, without secrets. */
export function parseOptions(options: RedisOptions): ResolvedOptions {
  const { values: filled, logger, problems } = readOptions(RedisOptionsSchema, options, 'Redis', '{ url }')
  if (filled.cluster && filled.sentinel) problems.push('cluster and sentinel exclude each other')
  if (filled.cluster && (filled.db ?? 0) !== 0) problems.push('db must be 0 in a cluster')
  let fromUrl: Partial<ResolvedOptions> = {}
  if (typeof filled.url === 'string') {
    const parsed = parseUrl(filled.url)
    if (parsed === null)
      problems.push('url must be redis[s]://[user[:password]@]host[:port][/db] (value hidden)')
    else fromUrl = parsed
  }
  if (problems.length > 0) throw new ConfigurationError(`Redis options: ${problems.join('; ')}`)
  const { url: _, ...rest } = filled
  return {
    host: '127.0.0.1',
    port: 6379,
    db: 0,
    ...fromUrl,
    ...rest,
    logger,
  }
}

/** Parts of a URL, or null. Never lets Node's own error out: it carries the whole input, password included. */
function parseUrl(text: string): Partial<ResolvedOptions> | null {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') return null
  if (url.search !== '' || url.hash !== '') return null
  const db = url.pathname.length > 1 ? Number(url.pathname.slice(1)) : 0
  if (!Number.isInteger(db) || db < 0) return null
  try {
    return {
      host: url.hostname === '' ? '127.0.0.1' : url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? 6379 : Number(url.port),
      db,
      ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
      ...(url.protocol === 'rediss:' ? { tls: true } : {}),
    }
  } catch {
    return null
  }
}
