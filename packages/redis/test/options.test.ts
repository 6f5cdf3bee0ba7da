import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { ConfigurationError, MessageQueueConfig, type MessageQueueConfigInput } from '@mq/core'
import { optionsFrom } from '../src/config.ts'
import { parseOptions } from '../src/options.ts'

const logger = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() }
const from = (connection: MessageQueueConfigInput['connection'], more: MessageQueueConfigInput = {}) =>
  parseOptions(optionsFrom(MessageQueueConfig.parse({ broker: 'redis', connection, ...more }), { logger }))

describe('parseOptions', () => {
  it.each(['redis://example.org', new URL('redis://example.org'), 5, null] as never[])(
    'refuses what is no object: %p',
    (none) => {
      expect(() => parseOptions(none)).toThrow('such as { url }')
    },
  )

  it('fills in defaults', () => {
    expect(parseOptions({})).toMatchObject({
      host: '127.0.0.1',
      port: 6379,
      db: 0,
      prefix: 'mq',
      acks: 'all',
      commandTimeoutMs: 5000,
      maxConnections: 100,
    })
  })

  it('takes a URL apart', () => {
    expect(parseOptions({ url: 'rediss://me:p%40ss@example.org:7000/3' })).toMatchObject({
      host: 'example.org',
      port: 7000,
      db: 3,
      username: 'me',
      password: 'p@ss',
      tls: true,
    })
  })

  it('lets single fields win over the URL', () => {
    expect(parseOptions({ url: 'redis://a:1/2', port: 9, db: 0 })).toMatchObject({
      host: 'a',
      port: 9,
      db: 0,
    })
  })

  it('names every problem and no secret', () => {
    const wrong = () =>
      parseOptions({ url: 'http://u:hunter2@x', port: 0, prefix: '{}', nonsense: 1 } as object)
    expect(wrong).toThrow(ConfigurationError)
    expect(wrong).toThrow(/port[\s\S]*prefix[\s\S]*url/)
    expect(wrong).not.toThrow(/hunter2/)
    expect(wrong).toThrow(/nonsense|additional/)
  })

  it('refuses a URL that says more than it heeds', () => {
    for (const url of ['redis://h?x=1', 'redis://h/1#x'])
      expect(() => parseOptions({ url })).toThrow(/url must be redis/)
  })

  it('refuses a cluster behind sentinels, and a database of a cluster', () => {
    const nodes = [{ host: 'a', port: 1 }]
    expect(() => parseOptions({ cluster: nodes, sentinel: { name: 'm', nodes } })).toThrow(/exclude/)
    expect(() => parseOptions({ cluster: nodes, db: 1 })).toThrow(/db/)
  })
})

describe('a portable configuration', () => {
  it('maps a URL with its parts', () => {
    expect(from({ url: 'redis://me:secret@h:7/2' })).toMatchObject({
      host: 'h',
      port: 7,
      db: 2,
      username: 'me',
      password: 'secret',
    })
  })

  it('maps time-outs, sockets and acks', () => {
    const options = from(
      { host: 'h', connectionTimeout: 2, maxConnections: 7 },
      { producer: { acks: 'leader' } },
    )
    expect(options).toMatchObject({ connectTimeoutMs: 2000, maxConnections: 7, acks: 'master' })
    expect(from({ host: 'h' })).toMatchObject({ acks: 'all' })
  })

  it('maps the largest body, up to what Redis takes', () => {
    expect(from({ host: 'h' }, { message: { maxBodyBytes: 5_000_000 } })).toMatchObject({
      maxBodyBytes: 5_000_000,
    })
    expect(from({ host: 'h' }, { message: { maxBodyBytes: 2 ** 31 } })).toMatchObject({
      maxBodyBytes: 512 * 1024 * 1024,
    })
  })

  it('maps a cluster and sentinels', () => {
    expect(from({ hosts: 'a:1,[::1]:2', cluster: true }).cluster).toEqual([
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ])
    expect(from({ hosts: ['a', 'b:5'], sentinel: { name: 'm', password: 's' } }).sentinel).toEqual({
      name: 'm',
      password: 's',
      nodes: [
        { host: 'a', port: 26379 },
        { host: 'b', port: 5 },
      ],
    })
  })

  it('reads the files of TLS, and names one that cannot be read', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mq-redis-'))
    const ca = join(folder, 'ca.pem')
    writeFileSync(ca, 'PEM')
    expect(from({ host: 'h', sslEnabled: true, sslCaPath: ca, sslVerify: false }).tls).toEqual({
      ca: 'PEM',
      verify: false,
    })
    expect(() => from({ host: 'h', sslCaPath: join(folder, 'none.pem') })).toThrow(/sslCaPath.*none\.pem/)
  })
})
