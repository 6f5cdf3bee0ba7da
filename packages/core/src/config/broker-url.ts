import { MessageBroker } from './enums.ts'

/** What a connection URL says; `undefined`: nothing. */
export interface UrlParts {
  readonly broker: MessageBroker
  readonly tls: boolean
  /** Without credentials, path and query: fit to be shown. */
  readonly safe: string
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string
  readonly virtualHost?: string
  readonly db?: number
}

const SCHEMES = new Map<string, { readonly broker: MessageBroker; readonly tls: boolean }>([
  ['memory:', { broker: MessageBroker.MEMORY, tls: false }],
  ['redis:', { broker: MessageBroker.REDIS, tls: false }],
  ['rediss:', { broker: MessageBroker.REDIS, tls: true }],
  ['amqp:', { broker: MessageBroker.RABBITMQ, tls: false }],
  ['amqps:', { broker: MessageBroker.RABBITMQ, tls: true }],
  ['kafka:', { broker: MessageBroker.KAFKA, tls: false }],
  ['kafka+ssl:', { broker: MessageBroker.KAFKA, tls: true }],
])

const FORMS: Readonly<Record<MessageBroker, string>> = {
  memory: 'memory://name',
  redis: 'redis[s]://[user[:password]@]host[:port][/db]',
  rabbitmq: 'amqp[s]://[user[:password]@]host[:port][/vhost]',
  kafka: 'kafka[+ssl]://[user[:password]@]host[:port] (several brokers: bootstrapServers)',
}

/** What a URL for this broker looks like, or for any when there is none yet. */
export function urlForm(broker: MessageBroker | null): string {
  const form = broker === null ? Object.values(FORMS).join(', ') : FORMS[broker]
  return `${form}, special characters of names and passwords percent-encoded, and no query`
}

/**
 * Takes a URL apart. `null`: malformed, without saying where, since Node's own error carries the whole input, password included.
 */
export function readUrl(text: string): UrlParts | null {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  const scheme = SCHEMES.get(url.protocol)
  if (scheme === undefined || url.hostname === '' || url.search !== '' || url.hash !== '' || url.port === '0')
    return null
  const credentials = decoded(url.username, url.password)
  const path = readPath(scheme.broker, url.pathname)
  if (credentials === null || path === null) return null
  if (scheme.broker === MessageBroker.MEMORY) {
    return url.username === '' && url.password === ''
      ? { ...scheme, safe: `${url.protocol}//${url.host}` }
      : null
  }
  const [username, password] = credentials
  return {
    ...scheme,
    ...path,
    safe: `${url.protocol}//${url.host}`,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port !== '' && { port: Number(url.port) }),
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
  }
}

function readPath(broker: MessageBroker, pathname: string): Pick<UrlParts, 'virtualHost' | 'db'> | null {
  const path = pathname.replace(/^\//, '')
  if (path === '') return {}
  // A password with a slash that was not encoded: the host and path are not what they seem.
  if (path.includes('@')) return null
  switch (broker) {
    case MessageBroker.REDIS:
      return /^\d{1,9}$/.test(path) ? { db: Number(path) } : null
    case MessageBroker.RABBITMQ: {
      const names = path.includes('/') ? null : decoded(path)
      return names === null ? null : { virtualHost: names[0] ?? '/' }
    }
    case MessageBroker.MEMORY:
    case MessageBroker.KAFKA:
      return null
  }
}

function decoded(...parts: string[]): string[] | null {
  try {
    return parts.map((part) => decodeURIComponent(part))
  } catch {
    return null
  }
}
