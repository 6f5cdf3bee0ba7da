import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Certificates } from '../certificates.ts'
import type { StartOptions } from '../types.ts'

/** The user of listeners with SASL, written into the metadata when the data folder is formatted. */
export const kafkaUser = { username: 'alice', password: 'alice-password' } as const

/** Ports of one node; 0: no such listener. */
export interface KafkaPorts {
  plain: number
  controller: number
  sasl: number
  tls: number
  saslTls: number
  /** Where the listener for a proxy listens, and the port that it advertises: the proxy's. */
  proxied: number
  proxy: number
}

export interface KafkaNodeParts {
  nodeId: number
  /** Of all nodes, in order of their numbers. */
  controllers: readonly number[]
  ports: KafkaPorts
  bind: string
  folder: string
  certificates: Certificates | undefined
  options: StartOptions
}

/** Writes a node's server.properties and returns its path. */
export function writeKafkaConfig(parts: KafkaNodeParts): string {
  const { ports, options } = parts
  const listeners = [
    { name: 'PLAINTEXT', protocol: 'PLAINTEXT', port: ports.plain, advertised: ports.plain },
    { name: 'SASL', protocol: 'SASL_PLAINTEXT', port: ports.sasl, advertised: ports.sasl },
    { name: 'TLS', protocol: 'SSL', port: ports.tls, advertised: ports.tls },
    { name: 'SASLTLS', protocol: 'SASL_SSL', port: ports.saslTls, advertised: ports.saslTls },
    { name: 'PROXIED', protocol: 'PLAINTEXT', port: ports.proxied, advertised: ports.proxy },
  ].filter(({ port }) => port > 0)
  const nodes = parts.controllers.length
  const replication = String(Math.min(3, nodes))
  const inSync = String(Math.min(2, nodes))
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(parts.nodeId),
    'controller.quorum.voters': parts.controllers
      .map((port, index) => `${index + 1}@127.0.0.1:${port}`)
      .join(','),
    listeners: [
      ...listeners.map(({ name, port }) => `${name}://${parts.bind}:${port}`),
      `CONTROLLER://127.0.0.1:${ports.controller}`,
    ].join(','),
    'advertised.listeners': listeners
      .map(({ name, advertised }) => `${name}://127.0.0.1:${advertised}`)
      .join(','),
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': [
      'CONTROLLER:PLAINTEXT',
      ...listeners.map(({ name, protocol }) => `${name}:${protocol}`),
    ].join(','),
    'log.dirs': path.join(parts.folder, 'data'),
    'auto.create.topics.enable': 'false',
    'default.replication.factor': replication,
    'min.insync.replicas': inSync,
    // A consumer's first message must not wait for members that never come.
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'offsets.topic.replication.factor': replication,
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': replication,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': replication,
    'share.coordinator.state.topic.min.isr': inSync,
    'share.coordinator.state.topic.num.partitions': '1',
    'num.network.threads': '2',
    'num.io.threads': '4',
    'controlled.shutdown.enable': 'false',
    // The default takes half of the heap at each start: a broker with many logs would not come back.
    'log.cleaner.dedupe.buffer.size': '4194304',
    // A killed broker comes back as soon as its old session is over; one that stalls for a second or two must not lose its own.
    'broker.heartbeat.interval.ms': '200',
    'broker.session.timeout.ms': '3000',
    ...(ports.sasl > 0 || ports.saslTls > 0 ? saslSettings() : {}),
    ...(parts.certificates ? tlsSettings(parts, parts.certificates) : {}),
    ...options.extra,
  }
  const file = path.join(parts.folder, 'server.properties')
  // A backslash and a line end inside a value would mean something else to Java.
  const line = ([name, value]: [string, string]): string => `${name}=${value.replaceAll('\\', '\\\\')}\n`
  writeFileSync(file, Object.entries(settings).map(line).join(''), { mode: 0o600 })
  return file
}

function saslSettings(): Record<string, string> {
  const { username, password } = kafkaUser
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const settings: Record<string, string> = {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
  }
  for (const listener of ['sasl', 'sasltls']) {
    settings[`listener.name.${listener}.plain.sasl.jaas.config`] = `${plain} user_${username}="${password}";`
    settings[`listener.name.${listener}.scram-sha-256.sasl.jaas.config`] = scram
    settings[`listener.name.${listener}.scram-sha-512.sasl.jaas.config`] = scram
  }
  return settings
}

function tlsSettings(parts: KafkaNodeParts, certificates: Certificates): Record<string, string> {
  // Java wants key and certificate in one file.
  const keystore = path.join(parts.folder, 'keystore.pem')
  const pem = [certificates.keyPath, certificates.certPath].map((file) => readFileSync(file, 'utf8')).join('')
  writeFileSync(keystore, pem, { mode: 0o600 })
  const settings: Record<string, string> = {}
  for (const listener of ['tls', 'sasltls']) {
    const prefix = `listener.name.${listener}.ssl`
    settings[`${prefix}.keystore.type`] = 'PEM'
    settings[`${prefix}.keystore.location`] = keystore
    settings[`${prefix}.truststore.type`] = 'PEM'
    settings[`${prefix}.truststore.location`] = certificates.caPath
    settings[`${prefix}.client.auth`] = parts.options.clientCertificate ? 'required' : 'requested'
  }
  return settings
}
