import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { faultProxy, startBroker, type RunningBroker } from '../../src/index.ts'
import { kafkaMetadata } from '../../src/net/kafka.ts'
import { tcpAnswers } from '../../src/net/tcp.ts'

const portOf = (address: string | undefined): number => Number((address ?? '').split(':')[1])

describe('a Kafka broker', () => {
  let kafka: RunningBroker

  beforeAll(async () => {
    kafka = await startBroker('kafka', { fresh: true })
  }, 900_000)

  afterAll(() => kafka.stop(), 60_000)

  it('answers on loopback as the only broker', async () => {
    expect(kafka.url).toMatch(/^127\.0\.0\.1:\d+$/)
    const { brokers } = await kafkaMetadata('127.0.0.1', portOf(kafka.url))
    expect(brokers).toEqual([{ id: 1, host: '127.0.0.1', port: portOf(kafka.url) }])
  })

  it('keeps its topics through kill -9', async () => {
    await kafka.run('kafka-topics', '--create', '--topic', 'survivor', '--partitions', '2')
    await kafka.kill()
    await expect(tcpAnswers('127.0.0.1', portOf(kafka.url))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await kafka.start()
    expect(await kafka.run('kafka-topics', '--list')).toBe('survivor')
  }, 240_000)

  it('accepts connections and stays silent while frozen', async () => {
    kafka.freeze()
    try {
      await tcpAnswers('127.0.0.1', portOf(kafka.url))
      await expect(kafkaMetadata('127.0.0.1', portOf(kafka.url), 1_000)).rejects.toThrow('did not answer')
    } finally {
      kafka.thaw()
    }
    expect((await kafkaMetadata('127.0.0.1', portOf(kafka.url), 10_000)).brokers).toHaveLength(1)
  }, 90_000)

  it('brings the administration tools that it names', async () => {
    for (const tool of ['configs', 'consumer-groups', 'delete-records', 'leader-election', 'topics'])
      expect(await kafka.run(`kafka-${tool}`, '--version')).toContain(kafka.details['version'])
    expect(await kafka.run('kafka-metadata-quorum', 'describe', '--status')).toContain('LeaderId')
  }, 120_000)

  it('refuses a tool that it does not have', async () => {
    await expect(kafka.run('kafka-everything')).rejects.toThrow('run() takes one of kafka-topics')
  })
})

describe('a Kafka broker with SASL, TLS and a listener for a proxy', () => {
  let kafka: RunningBroker
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'mq-kafka-test-'))
    kafka = await startBroker('kafka', { sasl: true, tls: true, proxied: true })
  }, 900_000)

  afterAll(async () => {
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  /** Lists the topics as a client with these settings. */
  function listTopics(address: string | undefined, settings: Record<string, string>): Promise<string> {
    const file = path.join(folder, 'client.properties')
    const lines = Object.entries({
      ...settings,
      'default.api.timeout.ms': '30000',
      'request.timeout.ms': '15000',
    })
    writeFileSync(file, lines.map(([name, value]) => `${name}=${value}\n`).join(''))
    return kafka.run('kafka-topics', '--bootstrap-server', address ?? '', '--command-config', file, '--list')
  }

  const trust = (ca: string): Record<string, string> => ({
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': kafka.details[ca] ?? '',
  })

  const user = (mechanism: string, password = kafka.details['password']): Record<string, string> => {
    const kind = mechanism === 'PLAIN' ? 'plain.PlainLoginModule' : 'scram.ScramLoginModule'
    const login = `username="${kafka.details['username'] ?? ''}" password="${password ?? ''}"`
    return {
      'sasl.mechanism': mechanism,
      'sasl.jaas.config': `org.apache.kafka.common.security.${kind} required ${login};`,
    }
  }

  it.each(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])(
    'lets its user in with %s',
    async (mechanism) => {
      const settings = { 'security.protocol': 'SASL_PLAINTEXT', ...user(mechanism) }
      expect(await listTopics(kafka.details['saslUrl'], settings)).toBe('')
    },
    90_000,
  )

  it('refuses a wrong password', async () => {
    const settings = { 'security.protocol': 'SASL_PLAINTEXT', ...user('SCRAM-SHA-256', 'wrong') }
    await expect(listTopics(kafka.details['saslUrl'], settings)).rejects.toThrow(/[Aa]uthentication failed/)
  }, 90_000)

  it('speaks TLS, also with SASL inside', async () => {
    const plain = { 'security.protocol': 'SSL', ...trust('caPath') }
    expect(await listTopics(kafka.details['tlsUrl'], plain)).toBe('')
    const both = { 'security.protocol': 'SASL_SSL', ...trust('caPath'), ...user('SCRAM-SHA-512') }
    expect(await listTopics(kafka.details['saslTlsUrl'], both)).toBe('')
    const stranger = { 'security.protocol': 'SSL', ...trust('otherCaPath') }
    await expect(listTopics(kafka.details['tlsUrl'], stranger)).rejects.toThrow(
      'unable to find valid certification path',
    )
  }, 240_000)

  it('sends clients that come through the proxy back to the proxy', async () => {
    const upstream = { host: '127.0.0.1', port: portOf(kafka.details['proxiedUrl']) }
    const proxy = await faultProxy(upstream, { port: portOf(kafka.details['proxyUrl']) })
    try {
      const { brokers } = await kafkaMetadata(proxy.host, proxy.port)
      expect(brokers).toEqual([{ id: 1, host: '127.0.0.1', port: proxy.port }])
      proxy.blackHole()
      await expect(kafkaMetadata(proxy.host, proxy.port, 500)).rejects.toThrow('did not answer')
    } finally {
      await proxy.close()
    }
  })

  it('removes its data when stopped', async () => {
    const data = path.dirname(path.dirname(kafka.details['caPath'] ?? ''))
    expect(existsSync(data)).toBe(true)
    await kafka.stop()
    expect(existsSync(data)).toBe(false)
  })
})
