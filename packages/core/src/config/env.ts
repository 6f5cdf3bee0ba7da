import type { ConfigurationProblem } from '../errors.ts'
import { isRecord, withoutUndefined } from './data.ts'
import { isBroker, type MessageBroker } from './enums.ts'
import { throwIfAny, type Collect } from './parse.ts'
import { HIDDEN, show } from './secrets.ts'

export interface Variable {
  readonly name: string
  /** Where the value goes: `connection.port`. */
  readonly path: string
  readonly kind: 'text' | 'number' | 'boolean'
  readonly secret?: true
}

const variable = (name: string, path: string, kind: Variable['kind'] = 'text', secret?: true): Variable => ({
  name,
  path,
  kind,
  ...(secret && { secret }),
})

/** Variables that are read whichever broker is chosen. */
const COMMON: readonly Variable[] = [
  variable('MESSAGE_BROKER', 'broker'),
  variable('WORKER_POOL_SIZE', 'workerPoolSize', 'number'),
  variable('MAX_CONCURRENT_MESSAGES', 'maxConcurrentMessages', 'number'),
  variable('ENABLE_METRICS', 'enableMetrics', 'boolean'),
  variable('ENABLE_TRACING', 'enableTracing', 'boolean'),
  variable('MAX_RETRY_ATTEMPTS', 'maxRetryAttempts', 'number'),
  variable('RETRY_DELAY_SECONDS', 'retryDelaySeconds', 'number'),
]

const OF_BROKER: Readonly<Record<MessageBroker, readonly Variable[]>> = {
  memory: [],
  redis: [
    variable('REDIS_URL', 'connection.url', 'text', true),
    variable('REDIS_HOST', 'connection.host'),
    variable('REDIS_PORT', 'connection.port', 'number'),
    variable('REDIS_USERNAME', 'connection.username'),
    variable('REDIS_PASSWORD', 'connection.password', 'text', true),
    variable('REDIS_DB', 'connection.db', 'number'),
    variable('REDIS_SSL', 'connection.sslEnabled', 'boolean'),
  ],
  rabbitmq: [
    variable('RABBITMQ_URL', 'connection.url', 'text', true),
    variable('RABBITMQ_HOST', 'connection.host'),
    variable('RABBITMQ_PORT', 'connection.port', 'number'),
    variable('RABBITMQ_USERNAME', 'connection.username'),
    variable('RABBITMQ_PASSWORD', 'connection.password', 'text', true),
    variable('RABBITMQ_VHOST', 'connection.virtualHost'),
    variable('RABBITMQ_SSL', 'connection.sslEnabled', 'boolean'),
  ],
  kafka: [
    variable('KAFKA_BOOTSTRAP_SERVERS', 'connection.bootstrapServers'),
    variable('KAFKA_SECURITY_PROTOCOL', 'connection.securityProtocol'),
    variable('KAFKA_SASL_MECHANISM', 'connection.saslMechanism'),
    variable('KAFKA_SASL_USERNAME', 'connection.saslUsername'),
    variable('KAFKA_SASL_PASSWORD', 'connection.saslPassword', 'text', true),
    variable('KAFKA_SSL_CA', 'connection.sslCaPath'),
  ],
}

/** Every variable that is read, for the reference. */
export const VARIABLES: readonly Variable[] = [...COMMON, ...Object.values(OF_BROKER).flat()]

/**
 * Reads the variables, checks them like any configuration, and names each problem by its variable. What is `given` beside them comes
 * first, and counts as chosen while all other fields do not: their defaults still follow from it.
 */
export function readEnvironment<T>(env: NodeJS.ProcessEnv, collect: Collect<T>, given: unknown = {}): T {
  const own = isRecord(given) ? given : {}
  const { broker = env['MESSAGE_BROKER'] } = own
  const part = own['connection'] ?? {}
  const isGiven = (path: string): boolean => {
    const [field = '', inner] = path.split('.')
    return (inner === undefined ? own[field] : isRecord(part) ? part[inner] : part) !== undefined
  }
  const variables = [...COMMON, ...(isBroker(broker) ? OF_BROKER[broker] : [])].filter(
    ({ path }) => !isGiven(path),
  )
  const byPath = new Map(variables.map((one) => [one.path, one]))
  const problems: ConfigurationProblem[] = []
  const connection: Record<string, unknown> = {}
  const input: Record<string, unknown> = {}
  for (const one of variables) {
    const text: unknown = env[one.name] ?? ''
    // Compose files and shells write "not given" as an empty value.
    if (text === '' || isFromKubernetes(one, text)) continue
    const value = convert(text, one.kind)
    if (value === undefined) {
      problems.push({ path: one.name, value: shown(one, text), expected: EXPECTED[one.kind] })
    } else if (one.path.startsWith('connection.')) connection[one.path.slice('connection.'.length)] = value
    else input[one.path] = value
  }
  const all = {
    ...input,
    ...withoutUndefined(own),
    connection: isRecord(part) ? { ...connection, ...withoutUndefined(part) } : part,
  }
  const parsed = collect(isRecord(given) ? all : given, (path, value, expected) => {
    const one = byPath.get(path) ?? byPath.get(path.replace(/\.\d+$/, ''))
    if (one === undefined) problems.push({ path, value, expected })
    else
      problems.push({
        path: one.name,
        value: value === 'missing' ? value : shown(one, env[one.name]),
        expected: inVariables(expected, byPath),
      })
  })
  throwIfAny(problems, 'The environment')
  return parsed
}

/** Beside every pod Kubernetes sets `REDIS_PORT=tcp://10.0.0.1:6379` for a Service called `redis`; Docker's links did the same. */
function isFromKubernetes({ path }: Variable, text: unknown): boolean {
  return path === 'connection.port' && typeof text === 'string' && /^(tcp|udp|sctp):\/\//.test(text)
}

const EXPECTED = {
  text: 'a string',
  number: 'a number',
  boolean: 'true or false (or 1, 0, yes, no, on, off)',
} as const

const BOOLEANS = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['0', false],
  ['no', false],
  ['off', false],
])

function convert(text: unknown, kind: Variable['kind']): unknown {
  // The environment may be a copy whose numbers and booleans somebody made such already.
  if (typeof text === kind) return text
  if (typeof text !== 'string') return undefined
  if (kind === 'text') return text
  const trimmed = text.trim()
  if (kind === 'boolean') return BOOLEANS.get(trimmed.toLowerCase())
  // Number() also takes hexadecimal and the empty string.
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined
}

/** The fields that an expectation mentions, by the names of their variables. */
function inVariables(expected: string, byPath: ReadonlyMap<string, Variable>): string {
  const nameOf = (field: string): string =>
    byPath.get(`connection.${field}`)?.name ?? byPath.get(field)?.name ?? field
  return expected
    .replaceAll(/\b[a-z]+(?:[A-Z][a-z]+)+\b/g, nameOf)
    .replace(/\bin url\b/, () => `in ${nameOf('url')}`)
    .replace(/; or broker: "(\w+)"/, '; or MESSAGE_BROKER=$1')
}

function shown(one: Variable, text: unknown): string {
  return one.secret === true ? HIDDEN : show(text)
}
