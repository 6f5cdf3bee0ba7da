import { isHost, readAddress, writeAddress } from './address.ts'
import { readUrl, urlForm, type UrlParts } from './broker-url.ts'
import type { ConnectionConfig } from './connection-config.ts'
import { MessageBroker } from './enums.ts'
import type { Report } from './parse.ts'
import { HIDDEN, show } from './secrets.ts'

const SENTINEL_PORT = 26_379
const SECRET = new Set(['password', 'saslPassword'])

/**
 * Completes a connection once the broker is known: what the URL says goes into the fields, so that an adapter never looks at the URL,
 * and what the broker decides is filled in. Two places that say different things are a problem: neither wins.
 */
export function resolveConnection(
  connection: ConnectionConfig,
  given: unknown,
  broker: MessageBroker | null,
  report: Report,
): void {
  const parts = urlParts(connection, broker, report)
  if (parts !== null) takeParts(connection, parts, report)
  const { host } = connection
  if (typeof host === 'string' && !isHost(host))
    report('host', show(host), 'a host name or IP address, without a port')
  checkAddresses('hosts', connection.hosts, report)
  checkAddresses('bootstrapServers', connection.bootstrapServers, report)
  resolveTls(connection, (given ?? {}) as Record<string, unknown>, parts, report)
  switch (broker) {
    case MessageBroker.MEMORY:
      connection.url ??= 'memory://default'
      break
    case MessageBroker.REDIS:
      resolveNodes(connection, 'hosts', 6379, report)
      connection.db ??= 0
      break
    case MessageBroker.RABBITMQ:
      resolveNodes(connection, 'hosts', connection.sslEnabled ? 5671 : 5672, report)
      connection.virtualHost ??= '/'
      resolveGuest(connection, report)
      break
    case MessageBroker.KAFKA:
      resolveNodes(connection, 'bootstrapServers', 9092, report)
      connection.bootstrapServers ??= [writeAddress(connection.host ?? '', connection.port ?? 0)]
      resolveSasl(connection, report)
      break
    case null:
      break
  }
  checkRedis(connection, broker, report)
}

function urlParts(
  connection: ConnectionConfig,
  broker: MessageBroker | null,
  report: Report,
): UrlParts | null {
  const { url } = connection
  if (typeof url !== 'string') return null
  const parts = readUrl(url)
  if (parts === null) {
    report('url', HIDDEN, urlForm(broker))
    return null
  }
  if (broker === null || parts.broker === broker) return parts
  report('url', parts.safe, `${urlForm(broker)}; or broker: "${parts.broker}" for this URL`)
  return null
}

function takeParts(connection: ConnectionConfig, parts: UrlParts, report: Report): void {
  const kafka = parts.broker === MessageBroker.KAFKA
  const take = <
    K extends
      'host' | 'port' | 'username' | 'password' | 'saslUsername' | 'saslPassword' | 'virtualHost' | 'db',
  >(
    field: K,
    said: ConnectionConfig[K] | undefined,
  ): void => {
    const own = connection[field]
    if (said === undefined || own === undefined || own === said) return
    if (own === null) connection[field] = said
    else report(field, SECRET.has(field) ? HIDDEN : show(own), 'the same as in url, or only one of the two')
  }
  take('host', parts.host)
  take('port', parts.port)
  take(kafka ? 'saslUsername' : 'username', parts.username)
  take(kafka ? 'saslPassword' : 'password', parts.password)
  take('virtualHost', parts.virtualHost)
  take('db', parts.db)
}

function checkAddresses(field: string, list: readonly string[] | null | undefined, report: Report): void {
  list?.forEach((text, index) => {
    if (readAddress(text) === null)
      report(`${field}.${index}`, show(text), 'host[:port], IPv6 in brackets, no credentials')
  })
}

function resolveTls(
  connection: ConnectionConfig,
  given: Record<string, unknown>,
  parts: UrlParts | null,
  report: Report,
): void {
  const { sslCertPath, sslKeyPath, sslCaPath, securityProtocol } = connection
  const reasons: string[] = []
  if (parts?.tls === true) reasons.push('url')
  if (securityProtocol === 'ssl' || securityProtocol === 'sasl_ssl') reasons.push('securityProtocol')
  if (typeof sslCertPath === 'string') reasons.push('sslCertPath')
  if (typeof sslKeyPath === 'string') reasons.push('sslKeyPath')
  if (typeof sslCaPath === 'string') reasons.push('sslCaPath')
  const asked = reasons[0]
  if (asked !== undefined && given['sslEnabled'] === false)
    report('sslEnabled', 'false', `true, or left out, with this ${asked}`)
  else if (asked !== undefined && connection.sslEnabled === false) connection.sslEnabled = true
  const pair = 'sslCertPath and sslKeyPath together'
  if (typeof sslCertPath === 'string' && sslKeyPath === null) report('sslKeyPath', 'missing', pair)
  if (typeof sslKeyPath === 'string' && sslCertPath === null) report('sslCertPath', 'missing', pair)
}

/**
 * `host`, `port` and a list of nodes agree: every node gets a port, and `host:port` is one of them. Without a list, `host:port` is all
 * there is.
 */
function resolveNodes(
  connection: ConnectionConfig,
  list: 'hosts' | 'bootstrapServers',
  brokerPort: number,
  report: Report,
): void {
  const texts = connection[list]
  if (texts === null || texts === undefined) {
    connection.host ??= 'localhost'
    connection.port ??= brokerPort
    return
  }
  const { host, port, sentinel } = connection
  const nodePort = port ?? ((sentinel ?? null) === null ? brokerPort : SENTINEL_PORT)
  const nodes: { readonly host: string; readonly port: number }[] = []
  for (const text of texts) {
    const node = readAddress(text)
    // Reported by checkAddresses.
    if (node === null) return
    nodes.push({ host: node.host, port: node.port ?? nodePort })
  }
  const named = nodes.find((node) => node.host === (host ?? node.host) && node.port === (port ?? node.port))
  if (named === undefined) {
    report((host ?? null) === null ? 'port' : 'host', show(host ?? port), `one of ${list}, or left out`)
    return
  }
  connection[list] = nodes.map((node) => writeAddress(node.host, node.port))
  connection.host = named.host
  connection.port = named.port
}

// RabbitMQ's own account, which its server accepts from this machine alone.
function resolveGuest(connection: ConnectionConfig, report: Report): void {
  const { username, password } = connection
  if (username === null && password === null) {
    connection.username = 'guest'
    connection.password = 'guest'
  } else if (username === null) report('username', 'missing', 'a user, since there is a password')
  else if (password === null) report('password', 'missing', 'a password, since there is a user')
}

function resolveSasl(connection: ConnectionConfig, report: Report): void {
  const { saslMechanism, saslUsername, saslPassword, securityProtocol, sslEnabled } = connection
  const wanted = saslMechanism !== null || saslUsername !== null || saslPassword !== null
  const transport = sslEnabled ? 'ssl' : 'plaintext'
  const protocol =
    securityProtocol === null ? (wanted ? (`sasl_${transport}` as const) : transport) : securityProtocol
  if (protocol === undefined) return
  connection.securityProtocol = protocol
  if (sslEnabled && !protocol.endsWith('ssl')) {
    report('securityProtocol', `"${protocol}"`, '"ssl" or "sasl_ssl", or left out, since TLS is on')
  }
  if (!protocol.startsWith('sasl_')) {
    if (wanted)
      report(
        'securityProtocol',
        `"${protocol}"`,
        '"sasl_plaintext" or "sasl_ssl", or left out, with SASL fields',
      )
    return
  }
  if (saslMechanism === null) connection.saslMechanism = 'plain'
  if (saslUsername === null) report('saslUsername', 'missing', 'a user, since SASL is on')
  if (saslPassword === null) report('saslPassword', 'missing', 'a password, since SASL is on')
}

function checkRedis(connection: ConnectionConfig, broker: MessageBroker | null, report: Report): void {
  const { cluster, sentinel, db, hosts, minConnections, maxConnections } = connection
  if (minConnections > maxConnections)
    report('minConnections', String(minConnections), `at most maxConnections (${maxConnections})`)
  if (cluster && (sentinel ?? null) !== null)
    report('sentinel', HIDDEN, 'null with cluster: true: they exclude each other')
  if (cluster && typeof db === 'number' && db !== 0) report('db', String(db), '0 in a cluster')
  if (broker === MessageBroker.REDIS && (hosts?.length ?? 0) > 1 && !cluster && sentinel === null) {
    report('hosts', '(an array)', 'one host, or cluster: true or sentinel beside it')
  }
}
