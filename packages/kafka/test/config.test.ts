import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ConfigurationError,
  MessageQueueConfig,
  type MessageQueueConfigInput,
  UnsupportedError,
} from '@mq/core'
import { optionsFrom } from '../src/config.ts'
import { parseOptions } from '../src/options.ts'

const logger = { debug() {}, info() {}, warn() {}, error() {} }
const from = (connection: MessageQueueConfigInput['connection'], more: MessageQueueConfigInput = {}) =>
  parseOptions(optionsFrom(MessageQueueConfig.parse({ broker: 'kafka', connection, ...more }), { logger }))

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mq-config-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('a portable configuration', () => {
  it('becomes one broker, with the defaults of the configuration', () => {
    const options = from({})
    expect(options).toMatchObject({
      brokers: [{ host: 'localhost', port: 9092 }],
      connectTimeoutMs: 30_000,
      sessionTimeoutMs: 30_000,
      acks: 'all',
      compression: 'none',
      startFrom: 'earliest',
      maxBodyBytes: 1_032_192,
    })
    expect([options.tls, options.sasl]).toEqual([undefined, undefined])
  })

  it('takes bootstrap servers, IPv6 in brackets', () => {
    expect(from({ bootstrapServers: 'one:1,[::1]:2' }).brokers).toEqual([
      { host: 'one', port: 1 },
      { host: '::1', port: 2 },
    ])
    expect(from({ bootstrapServers: ['one:1', 'two:2'] }).brokers).toHaveLength(2)
  })

  it('authenticates and encrypts as its protocol says', () => {
    const sasl = { saslMechanism: 'scram-sha-512', saslUsername: 'me', saslPassword: 'x' } as const
    const expected = { mechanism: 'scram-sha-512', username: 'me', password: 'x' }
    expect(from({ ...sasl, securityProtocol: 'sasl_ssl' })).toMatchObject({
      sasl: expected,
      tls: { verify: true },
    })
    expect(from({ ...sasl, securityProtocol: 'sasl_plaintext' })).toMatchObject({ sasl: expected })
    expect(from({ ...sasl, securityProtocol: 'sasl_plaintext' }).tls).toBeUndefined()
    const path = join(folder, 'ca.pem')
    writeFileSync(path, 'PEM of ca')
    expect(from({ sslCaPath: path, sslVerify: false }).tls).toMatchObject({ ca: 'PEM of ca', verify: false })
    expect(() => from({ sslCaPath: join(folder, 'none.pem') })).toThrow(ConfigurationError)
  })

  it('raises the largest body, and never lowers what the adapter takes', () => {
    expect(from({}, { message: { maxBodyBytes: 5_000_000 } }).maxBodyBytes).toBe(5_000_000)
    expect(from({}, { message: { maxBodyBytes: 10 } }).maxBodyBytes).toBe(1_032_192)
  })

  it('takes seconds with fractions for whole milliseconds', () => {
    expect(from({ connectionTimeout: 1.0014 }).connectTimeoutMs).toBe(1001)
  })

  it('refuses an idempotent producer, and says what to do', () => {
    expect(() => from({}, { producer: { enableIdempotence: true } })).toThrow(UnsupportedError)
    expect(() => from({}, { producer: { enableIdempotence: true } })).toThrow(/deduplicationWindowMs/)
  })
})

describe('options', () => {
  it.each(['kafka://one:9092', new URL('kafka://one:9092'), 5, null] as never[])('are no %p', (none) => {
    expect(() => parseOptions(none)).toThrow('such as { brokers }')
  })

  it('name every problem at once, without secrets', () => {
    const sasl = { mechanism: 'none', username: 'me', password: 'topsecret' }
    const wrong = () => parseOptions({ brokers: 'a:b', acks: 'some', nonsense: 1, sasl } as object)
    expect(wrong).toThrow(ConfigurationError)
    expect(wrong).toThrow(/acks[\s\S]*brokers must be host:port/)
    expect(wrong).not.toThrow(/topsecret/)
  })

  it('show no password of a URL that is no address', () => {
    const wrong = () => parseOptions({ brokers: 'kafka://me:topsecret@one:9092' })
    expect(wrong).toThrow('brokers must be host:port, not a URL with a user, which sasl takes')
  })

  it('ask for no more bytes than a request can', () => {
    const wrong = () => parseOptions({ fetchMinBytes: 2 ** 31, fetchPartitionBytes: 2 ** 31 })
    expect(wrong).toThrow(/fetchMinBytes[\s\S]*fetchPartitionBytes/)
    expect(parseOptions({ fetchMinBytes: 2 ** 31 - 1 }).fetchMinBytes).toBe(2_147_483_647)
  })
})
