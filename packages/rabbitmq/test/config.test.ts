import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigurationError, MessageQueueConfig, type MessageQueueConfigInput } from '@mq/core'
import { optionsFrom } from '../src/config.ts'
import { parseOptions } from '../src/options.ts'

const logger = { debug() {}, info() {}, warn() {}, error() {} }
const from = (connection: MessageQueueConfigInput['connection'], more: MessageQueueConfigInput = {}) =>
  parseOptions(optionsFrom(MessageQueueConfig.parse({ broker: 'rabbitmq', connection, ...more }), { logger }))

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mq-config-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function pem(name: string): string {
  const path = join(folder, `${name}.pem`)
  writeFileSync(path, `PEM of ${name}`)
  return path
}

describe('a portable configuration', () => {
  it('becomes a single node, with the defaults of the configuration', () => {
    expect(from({})).toMatchObject({
      hosts: [{ host: 'localhost', port: 5672 }],
      username: 'guest',
      vhost: '/',
      heartbeat: 60,
      connectTimeoutMs: 30_000,
      blockedTimeoutMs: 300_000,
      acks: 'all',
      mandatory: true,
      mechanism: 'plain',
    })
  })

  it('takes a URL, and nodes of a cluster, IPv6 in brackets', () => {
    expect(from({ url: 'amqp://me:p%40ss@broker:7000/orders' })).toMatchObject({
      hosts: [{ host: 'broker', port: 7000 }],
      username: 'me',
      password: 'p@ss',
      vhost: 'orders',
    })
    expect(from({ hosts: ['one:1', '[::1]:2'] }).hosts).toEqual([
      { host: 'one', port: 1 },
      { host: '::1', port: 2 },
    ])
  })

  it('has the port of TLS with TLS, and reads the files that it names', () => {
    expect(from({ sslEnabled: true }).hosts).toEqual([{ host: 'localhost', port: 5671 }])
    expect(from({ username: 'me', password: 'x', sslCaPath: pem('ca'), sslVerify: false })).toMatchObject({
      mechanism: 'plain',
      tls: { ca: 'PEM of ca', verify: false },
    })
    expect(() => from({ sslCaPath: join(folder, 'none.pem') })).toThrow(ConfigurationError)
  })

  it('with a client certificate and no user of its own means EXTERNAL', () => {
    const files = { sslCertPath: pem('cert'), sslKeyPath: pem('key') }
    expect(from(files)).toMatchObject({
      mechanism: 'external',
      tls: { cert: 'PEM of cert', key: 'PEM of key' },
    })
    expect(from({ ...files, username: 'me', password: 'x' }).mechanism).toBe('plain')
  })

  it('raises the largest body, and never lowers what the adapter takes', () => {
    expect(from({}, { message: { maxBodyBytes: 50_000_000 } }).maxBodyBytes).toBe(50_000_000)
    expect(from({}, { message: { maxBodyBytes: 10 } }).maxBodyBytes).toBe(16 * 1024 * 1024)
  })

  it('waits for the confirm unless it says otherwise', () => {
    expect(from({}, { producer: { acks: 'leader' } }).acks).toBe('all')
    expect(from({}, { producer: { acks: 'none', mandatory: false } })).toMatchObject({
      acks: 'none',
      mandatory: false,
    })
  })
})
