import { readFileSync } from 'node:fs'
import type { MessageQueueConfig } from '@mq/core'
import { ConfigurationError, type AdapterContext, type BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter } from './adapter.ts'
import type { Address } from './link.ts'
import { MOST_BODY_BYTES, type RedisOptions } from './options.ts'

/** The adapter for a portable configuration: what core's factory calls. */
export function createAdapter(config: MessageQueueConfig, context: AdapterContext): BrokerAdapter {
  return redisAdapter(optionsFrom(config, context))
}

/** The part of a portable configuration that concerns this adapter. What the URL says is in the single fields already. */
export function optionsFrom(config: MessageQueueConfig, context: AdapterContext): RedisOptions {
  const { connection, producer } = config
  const { sentinel } = connection
  const nodes = connection.hosts?.map(address) ?? [
    { host: connection.host ?? 'localhost', port: connection.port ?? 6379 },
  ]
  return {
    host: connection.host ?? 'localhost',
    port: connection.port ?? 6379,
    ...(connection.username !== null && { username: connection.username }),
    ...(connection.password !== null && { password: connection.password }),
    ...(connection.db !== null && !connection.cluster && { db: connection.db }),
    ...(connection.sslEnabled && { tls: tlsFrom(connection) }),
    ...(connection.cluster && { cluster: nodes }),
    ...(sentinel !== null && {
      sentinel: {
        name: sentinel.name,
        nodes,
        ...(sentinel.username !== null && { username: sentinel.username }),
        ...(sentinel.password !== null && { password: sentinel.password }),
      },
    }),
    connectTimeoutMs: Math.max(1, Math.round(connection.connectionTimeout * 1000)),
    maxConnections: connection.maxConnections,
    maxBodyBytes: Math.min(config.message.maxBodyBytes, MOST_BODY_BYTES),
    acks: producer.acks === 'all' ? 'all' : 'master',
    logger: context.logger,
  }
}

function tlsFrom(connection: MessageQueueConfig['connection']): NonNullable<RedisOptions['tls']> {
  const { sslCaPath, sslCertPath, sslKeyPath, sslVerify } = connection
  return {
    verify: sslVerify,
    ...(sslCaPath !== null && { ca: file('connection.sslCaPath', sslCaPath) }),
    ...(sslCertPath !== null && { cert: file('connection.sslCertPath', sslCertPath) }),
    ...(sslKeyPath !== null && { key: file('connection.sslKeyPath', sslKeyPath) }),
  }
}

function file(field: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigurationError(`${field}: cannot read ${path}`, { cause })
  }
}

/** `host:port`, IPv6 in brackets: the form that a parsed configuration has. */
function address(text: string): Address {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}
