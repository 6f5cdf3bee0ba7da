import { isIPv6 } from 'node:net'
import { brokerError, messageOf } from '../errors.ts'
import { tcpAnswers } from '../net/tcp.ts'
import type { BrokerName, StartOptions } from '../types.ts'

interface Address {
  readonly variable: string
  readonly url: string
}

const readers: Partial<Record<BrokerName, () => Address | undefined>> = {
  redis: () => fromUrl('REDIS_URL') ?? fromHost('REDIS', 'redis', 6379),
  rabbitmq: () => fromUrl('RABBITMQ_URL') ?? fromHost('RABBITMQ', 'amqp', 5672),
  kafka: () => fromUrl('KAFKA_BOOTSTRAP_SERVERS'),
}

/** The environment's server of that name, if it has one. */
export function environmentAddress(name: BrokerName): Address | undefined {
  return readers[name]?.()
}

/** True when the caller asked for something only a server of our own can be. */
export function asksForOwn(options: StartOptions): boolean {
  const { sources: _sources, keep: _keep, fresh, ...shaping } = options
  return fresh === true || Object.values(shaping).some((value) => value !== undefined)
}

/** Rejects with one line when a node of the address does not accept connections. */
export async function checkAnswers({ variable, url }: Address): Promise<void> {
  if (url.includes('://') && !URL.canParse(url))
    throw brokerError('BROKER_MISSING', `${variable} gives no valid URL, scheme://host:port (value hidden)`)
  for (const { host, port } of endpoints(url)) {
    await tcpAnswers(host, port, 5_000).catch((error: unknown) => {
      const problem = messageOf(error) || 'no answer'
      throw brokerError('BROKER_MISSING', `${variable} names ${host}:${port}, which fails: ${problem}`, error)
    })
  }
}

/** Hosts and ports of `scheme://…` or of `host:port[,host:port]`. */
export function endpoints(url: string): { host: string; port: number }[] {
  if (url.includes('://')) {
    const parsed = new URL(url)
    const usual = { 'redis:': 6379, 'rediss:': 6379, 'amqp:': 5672, 'amqps:': 5671 }[parsed.protocol] ?? 0
    return [{ host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port || usual) }]
  }
  return addressList(url).map((part) => {
    const [, ip, name = part, port = 9092] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(part) ?? []
    return { host: ip ?? name, port: Number(port) }
  })
}

/** The parts of `host:port[,host:port]`; a comma at the end names nothing. */
export function addressList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function fromUrl(variable: string): Address | undefined {
  const url = process.env[variable]
  return url ? { variable, url } : undefined
}

function fromHost(prefix: string, scheme: string, usualPort: number): Address | undefined {
  const host = process.env[`${prefix}_HOST`]
  if (!host) return undefined
  const user = process.env[`${prefix}_USERNAME`] ?? ''
  const password = process.env[`${prefix}_PASSWORD`] ?? ''
  const login = user || password ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : ''
  const name = isIPv6(host) ? `[${host}]` : host
  const said = process.env[`${prefix}_PORT`] ?? ''
  // Kubernetes sets `REDIS_PORT=tcp://…` for a Service called `redis`.
  const port = said === '' || said.includes('://') ? usualPort : said
  return { variable: `${prefix}_HOST`, url: `${scheme}://${login}${name}:${port}` }
}
