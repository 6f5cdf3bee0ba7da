import { readFileSync } from 'node:fs'
import type { MessageQueueConfig } from '@mq/core'
import {
  ConfigurationError,
  UnsupportedError,
  type AdapterContext,
  type BrokerAdapter,
} from '@mq/core/adapter'
import { kafkaAdapter } from './adapter.ts'
import { BODY_BYTES, MOST_BODY_BYTES, type KafkaOptions } from './options.ts'

/** The adapter for a portable configuration: what core's factory calls. */
export function createAdapter(config: MessageQueueConfig, context: AdapterContext): BrokerAdapter {
  return kafkaAdapter(optionsFrom(config, context))
}

/** The part of a portable configuration that concerns this adapter. */
export function optionsFrom(config: MessageQueueConfig, context: AdapterContext): KafkaOptions {
  const { connection, consumer, producer } = config
  if (producer.enableIdempotence) {
    throw new UnsupportedError(
      'kafka does not support enableIdempotence here: set deduplicationWindowMs on the queue and a deduplicationId on the messages',
    )
  }
  const options: Record<string, unknown> = {
    brokers: brokersFrom(config),
    tls: tlsFrom(config),
    sasl: saslFrom(config),
    groupId: consumer.consumerGroupId ?? undefined,
    startFrom: consumer.autoOffsetReset,
    connectTimeoutMs: Math.max(1, Math.round(connection.connectionTimeout * 1000)),
    requestTimeoutMs: Math.max(100, producer.requestTimeoutMs),
    sessionTimeoutMs: consumer.sessionTimeoutMs,
    acks: producer.acks,
    compression: producer.compressionType,
    maxPollRecords: consumer.maxPollRecords,
    fetchMinBytes: consumer.fetchMinBytes,
    fetchMaxWaitMs: consumer.fetchMaxWaitMs,
    maxBodyBytes: Math.min(Math.max(config.message.maxBodyBytes, BODY_BYTES), MOST_BODY_BYTES),
  }
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  )
  return { ...(given as KafkaOptions), logger: context.logger }
}

function brokersFrom({ connection }: MessageQueueConfig): KafkaOptions['brokers'] {
  const { bootstrapServers, hosts, url, host, port } = connection
  if (present(bootstrapServers) && bootstrapServers.length > 0) return [...bootstrapServers]
  if (present(hosts) && hosts.length > 0) return [...hosts]
  if (present(url)) return url.replace(/^kafka:\/\//, '')
  return `${host ?? '127.0.0.1'}:${port ?? 9092}`
}

function saslFrom({ connection }: MessageQueueConfig): KafkaOptions['sasl'] {
  const { saslMechanism, saslUsername, saslPassword, securityProtocol, username, password } = connection
  const wanted = !present(securityProtocol)
    ? present(saslMechanism) || present(saslUsername)
    : securityProtocol.startsWith('sasl')
  if (!wanted) return undefined
  return {
    mechanism: saslMechanism ?? 'plain',
    username: saslUsername ?? username ?? '',
    password: saslPassword ?? password ?? '',
  }
}

function tlsFrom({ connection }: MessageQueueConfig): KafkaOptions['tls'] {
  const { sslEnabled, sslCaPath, sslCertPath, sslKeyPath, sslVerify, securityProtocol } = connection
  const wanted = !present(securityProtocol)
    ? sslEnabled === true || present(sslCaPath) || present(sslCertPath)
    : securityProtocol.endsWith('ssl')
  if (!wanted) return undefined
  return {
    verify: sslVerify ?? true,
    ...(!present(sslCaPath) ? {} : { ca: file('connection.sslCaPath', sslCaPath) }),
    ...(!present(sslCertPath) ? {} : { cert: file('connection.sslCertPath', sslCertPath) }),
    ...(!present(sslKeyPath) ? {} : { key: file('connection.sslKeyPath', sslKeyPath) }),
  }
}

function file(field: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigurationError(`${field}: cannot read ${path}`, { cause })
  }
}

function present<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined
}
