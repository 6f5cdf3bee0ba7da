import { describe, expect, it } from '@jest/globals'
import { ConnectionConfig, type ConnectionConfigInput } from '../../src/config/connection-config.ts'
import { MessageQueueConfig } from '../../src/config/message-queue-config.ts'
import { problemsOf } from './refusals.ts'

const connectionOf = (broker: string, connection: ConnectionConfigInput) =>
  MessageQueueConfig.parse({ broker, connection }).connection
const wrong = (broker: string, connection: object) =>
  problemsOf(() => MessageQueueConfig.parse({ broker, connection })).map(({ path }) =>
    path.replace('connection.', ''),
  )

describe('a connection', () => {
  it.each<[string, ConnectionConfigInput, object]>([
    ['memory', {}, { url: 'memory://default', host: null, port: null, sslEnabled: false }],
    ['memory', { url: 'memory://other' }, { url: 'memory://other', host: null }],
    ['redis', {}, { host: 'localhost', port: 6379, db: 0, username: null, password: null, hosts: null }],
    ['redis', { url: 'redis://h' }, { host: 'h', port: 6379, db: 0, sslEnabled: false }],
    [
      'redis',
      { url: 'rediss://u:p%40%2F@h:7000/3' },
      { host: 'h', port: 7000, db: 3, username: 'u', password: 'p@/', sslEnabled: true },
    ],
    ['redis', { url: 'redis://[::1]:1' }, { host: '::1', port: 1 }],
    [
      'redis',
      { url: 'redis://h', password: 'p', port: 7, db: 2 },
      { host: 'h', port: 7, db: 2, password: 'p' },
    ],
    ['redis', { hosts: 'a, b:1', cluster: true }, { hosts: ['a:6379', 'b:1'], host: 'a', port: 6379 }],
    ['redis', { hosts: ['a', 'b:1'], port: 7, cluster: true }, { hosts: ['a:7', 'b:1'], host: 'a', port: 7 }],
    [
      'redis',
      { hosts: 'a', sentinel: { name: 'm' } },
      { hosts: ['a:26379'], sentinel: { name: 'm', username: null, password: null } },
    ],
    [
      'rabbitmq',
      {},
      { host: 'localhost', port: 5672, virtualHost: '/', username: 'guest', password: 'guest' },
    ],
    [
      'rabbitmq',
      { url: 'amqp://u:p@h/%2Fmine' },
      { host: 'h', port: 5672, virtualHost: '/mine', username: 'u' },
    ],
    ['rabbitmq', { url: 'amqps://h/' }, { port: 5671, virtualHost: '/', sslEnabled: true }],
    ['rabbitmq', { sslEnabled: true }, { port: 5671 }],
    ['rabbitmq', { hosts: ['a', 'b:1'] }, { hosts: ['a:5672', 'b:1'], host: 'a', port: 5672 }],
    ['rabbitmq', { hosts: ['a', 'b'], host: 'b' }, { hosts: ['a:5672', 'b:5672'], host: 'b', port: 5672 }],
    [
      'kafka',
      {},
      { bootstrapServers: ['localhost:9092'], securityProtocol: 'plaintext', saslMechanism: null },
    ],
    ['kafka', { bootstrapServers: 'a, b:1' }, { bootstrapServers: ['a:9092', 'b:1'] }],
    ['kafka', { bootstrapServers: ['a:1'] }, { bootstrapServers: ['a:1'], host: 'a', port: 1 }],
    ['kafka', { host: 'h', port: 3 }, { bootstrapServers: ['h:3'] }],
    [
      'kafka',
      { url: 'kafka+ssl://u:p@h' },
      {
        bootstrapServers: ['h:9092'],
        saslUsername: 'u',
        saslPassword: 'p',
        securityProtocol: 'sasl_ssl',
        saslMechanism: 'plain',
        username: null,
      },
    ],
    ['kafka', { sslCaPath: '/ca' }, { sslEnabled: true, securityProtocol: 'ssl' }],
    [
      'kafka',
      { securityProtocol: 'SASL_SSL', saslMechanism: 'SCRAM-SHA-256', saslUsername: 'u', saslPassword: 'p' },
      { securityProtocol: 'sasl_ssl', saslMechanism: 'scram-sha-256', sslEnabled: true },
    ],
  ])('of %s with %j', (broker, connection, expected) => {
    expect(connectionOf(broker, connection)).toMatchObject(expected)
  })

  it.each<[string, object, string[]]>([
    ['redis', { url: 'amqp://h' }, ['url']],
    ['memory', { url: 'redis://h' }, ['url']],
    ['redis', { url: 'http://h' }, ['url']],
    ['redis', { url: 'redis://' }, ['url']],
    ['redis', { url: 'redis://h:99999' }, ['url']],
    ['redis', { url: 'redis://h:0' }, ['url']],
    ['redis', { url: 'redis://h/abc' }, ['url']],
    ['redis', { url: 'redis://h?family=6' }, ['url']],
    ['redis', { url: 'redis://u:%zz@h' }, ['url']],
    ['rabbitmq', { url: 'amqp://h/a/b' }, ['url']],
    ['kafka', { url: 'kafka://a:1,b:2' }, ['url']],
    ['memory', { url: 'memory://u:p@name' }, ['url']],
    ['redis', { url: 'redis://h:1', port: 2 }, ['port']],
    ['redis', { url: 'redis://h', host: 'g' }, ['host']],
    ['redis', { url: 'redis://:a@h', password: 'b' }, ['password']],
    ['redis', { url: 'redis://h/1', db: 2 }, ['db']],
    ['rabbitmq', { url: 'amqp://h/a', virtualHost: 'b' }, ['virtualHost']],
    ['redis', { url: 'rediss://h', sslEnabled: false }, ['sslEnabled']],
    ['kafka', { securityProtocol: 'ssl', sslEnabled: false }, ['sslEnabled']],
    ['kafka', { securityProtocol: 'plaintext', sslCaPath: '/ca' }, ['securityProtocol']],
    ['kafka', { securityProtocol: 'ssl', saslUsername: 'u', saslPassword: 'p' }, ['securityProtocol']],
    ['kafka', { securityProtocol: 'sasl_ssl' }, ['saslUsername', 'saslPassword']],
    ['kafka', { saslMechanism: 'gssapi', saslUsername: 'u', saslPassword: 'p' }, ['saslMechanism']],
    ['rabbitmq', { url: 'amqp://u:1/p@h' }, ['url']],
    ['kafka', { bootstrapServers: 'a:b,c:0' }, ['bootstrapServers.0', 'bootstrapServers.1']],
    ['kafka', { bootstrapServers: '' }, ['bootstrapServers']],
    ['kafka', { bootstrapServers: [1] }, ['bootstrapServers']],
    ['kafka', { bootstrapServers: 'a', host: 'b' }, ['host']],
    ['rabbitmq', { hosts: 'a,b', host: 'c' }, ['host']],
    ['rabbitmq', { hosts: 'a:1', port: 2 }, ['port']],
    ['rabbitmq', { username: 'u' }, ['password']],
    ['rabbitmq', { password: 'p' }, ['username']],
    ['redis', { hosts: 'a,b' }, ['hosts']],
    ['redis', { cluster: true, sentinel: { name: 'm' } }, ['sentinel']],
    ['redis', { cluster: true, db: 1 }, ['db']],
    ['redis', { sentinel: { nam: 'm' } }, ['sentinel']],
    ['redis', { host: 'h:1' }, ['host']],
    ['redis', { host: '' }, ['host']],
    ['redis', { port: 0 }, ['port']],
    ['redis', { port: '6379' }, ['port']],
    ['redis', { sslCertPath: '/c' }, ['sslKeyPath']],
    ['redis', { sslKeyPath: '/k' }, ['sslCertPath']],
    ['redis', { minConnections: 5, maxConnections: 4 }, ['minConnections']],
    ['redis', { connectionTimeout: 0 }, ['connectionTimeout']],
    [
      'redis',
      { heartbeat: 60_000, blockedConnectionTimeout: 300_000 },
      ['heartbeat', 'blockedConnectionTimeout'],
    ],
  ])('of %s is refused with %j', (broker, connection, paths) => {
    expect(wrong(broker, connection)).toEqual(paths)
  })

  it.each(['connectionTimeout', 'heartbeat', 'blockedConnectionTimeout'])(
    'asks whether %s was meant in ms',
    (field) => {
      expect(MessageQueueConfig.parse({ connection: { [field]: 600 } }).connection).toMatchObject({
        [field]: 600,
      })
      const [problem] = problemsOf(() => MessageQueueConfig.parse({ connection: { [field]: 601 } }))
      expect(problem?.expected).toContain('seconds, not ms?')
      expect(problem?.value).toBe('601')
    },
  )

  it('says which broker a URL is for', () => {
    const [problem] = problemsOf(() =>
      MessageQueueConfig.parse({ connection: { url: 'redis://u:hunter2@h:1/2' } }),
    )
    expect(problem?.value).toBe('redis://h:1')
    expect(problem?.expected).toContain('broker: "redis"')
  })
})

describe('ConnectionConfig.parse', () => {
  it('learns the broker from a URL', () => {
    expect(ConnectionConfig.parse({ url: 'amqps://h' })).toMatchObject({
      host: 'h',
      port: 5671,
      virtualHost: '/',
    })
  })

  it('leaves open what only the broker decides', () => {
    expect(ConnectionConfig.parse()).toMatchObject({
      url: null,
      host: null,
      port: null,
      bootstrapServers: null,
    })
    const { connection } = MessageQueueConfig.parse({
      broker: 'redis',
      connection: ConnectionConfig.parse({ db: 3 }),
    })
    expect(connection).toMatchObject({ host: 'localhost', port: 6379, db: 3 })
  })
})
