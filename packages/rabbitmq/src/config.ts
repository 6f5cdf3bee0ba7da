import { readFileSync } from 'node:fs'
import type { MessageQueueConfig } from '@mq/core'
import { ConfigurationError, type AdapterContext, type BrokerAdapter } from '@mq/core/adapter'
import { rabbitmqAdapter } from './adapter.ts'
import { BODY_BYTES, MOST_BODY_BYTES, type RabbitmqOptions } from './options.ts'

/** The adapter for a portable configuration: what core's factory calls. */
export function createAdapter(config: MessageQueueConfig, context: AdapterContext): BrokerAdapter {
  return rabbitmqAdapter(optionsFrom(config, context))
}

/** The part of a portable configuration that concerns this adapter. What the URL says is in the single fields already. */
export function optionsFrom(config: MessageQueueConfig, context: AdapterContext): RabbitmqOptions {
  const { connection, producer } = config
  // A client certificate and no user of its own (core fills in the guest): the certificate says who we are.
  const guest = connection.username === 'guest' && connection.password === 'guest'
  const external = connection.sslCertPath !== null && guest
  return {
    hosts: connection.hosts?.map(address) ?? [
      {
        host: connection.host ?? 'localhost',
        port: connection.port ?? (connection.sslEnabled ? 5671 : 5672),
      },
    ],
    ...(connection.username !== null && { username: connection.username }),
    ...(connection.password !== null && { password: connection.password }),
    ...(external && { mechanism: 'external' as const }),
    ...(connection.virtualHost !== null && { vhost: connection.virtualHost }),
    ...(connection.sslEnabled && { tls: tlsFrom(connection) }),
    heartbeat: Math.round(connection.heartbeat),
    connectTimeoutMs: Math.max(1, Math.round(connection.connectionTimeout * 1000)),
    blockedTimeoutMs: Math.round(connection.blockedConnectionTimeout * 1000),
    maxConnections: connection.maxConnections,
    maxBodyBytes: Math.min(Math.max(config.message.maxBodyBytes, BODY_BYTES), MOST_BODY_BYTES),
    rpcTimeoutMs: Math.min(600_000, Math.max(50, producer.requestTimeoutMs)),
    acks: producer.acks === 'none' ? 'none' : 'all',
    mandatory: producer.mandatory,
    logger: context.logger,
  }
}

function tlsFrom(
  connection: MessageQueueConfig['connection'],
): Exclude<RabbitmqOptions['tls'], boolean | undefined> {
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
function address(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}
