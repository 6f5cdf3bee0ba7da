import { describe, expect, it } from '@jest/globals'
import { VARIABLES } from '../../src/config/env.ts'
import { MessageQueueConfig, type MessageQueueConfigInput } from '../../src/config/message-queue-config.ts'
import { problemsOf, refused } from './refusals.ts'

describe('MessageQueueConfig.fromEnv', () => {
  it('gives the defaults for an empty environment, and for empty values', () => {
    expect(MessageQueueConfig.fromEnv({})).toEqual(MessageQueueConfig.parse())
    const empty = Object.fromEntries(VARIABLES.map(({ name }) => [name, '']))
    expect(MessageQueueConfig.fromEnv(empty)).toEqual(MessageQueueConfig.parse())
  })

  it('reads every variable', () => {
    const common = {
      WORKER_POOL_SIZE: '8',
      MAX_CONCURRENT_MESSAGES: ' 50 ',
      ENABLE_METRICS: 'No',
      ENABLE_TRACING: 'ON',
      MAX_RETRY_ATTEMPTS: '0',
      RETRY_DELAY_SECONDS: '0.25',
    }
    expect(MessageQueueConfig.fromEnv(common)).toMatchObject({
      broker: 'memory',
      workerPoolSize: 8,
      maxConcurrentMessages: 50,
      enableMetrics: false,
      enableTracing: true,
      maxRetryAttempts: 0,
      retryDelaySeconds: 0.25,
    })
    const redis = {
      MESSAGE_BROKER: 'redis',
      REDIS_HOST: 'h',
      REDIS_PORT: '7000',
      REDIS_USERNAME: 'u',
      REDIS_PASSWORD: 'p',
      REDIS_DB: '2',
      REDIS_SSL: 'true',
    }
    expect(MessageQueueConfig.fromEnv(redis)).toMatchObject({
      broker: 'redis',
      connection: { host: 'h', port: 7000, username: 'u', password: 'p', db: 2, sslEnabled: true },
    })
    const rabbitmq = {
      MESSAGE_BROKER: 'rabbitmq',
      RABBITMQ_HOST: 'h',
      RABBITMQ_PORT: '7000',
      RABBITMQ_USERNAME: 'u',
      RABBITMQ_PASSWORD: 'p',
      RABBITMQ_VHOST: 'v',
      RABBITMQ_SSL: '1',
    }
    expect(MessageQueueConfig.fromEnv(rabbitmq)).toMatchObject({
      broker: 'rabbitmq',
      connection: { host: 'h', port: 7000, username: 'u', password: 'p', virtualHost: 'v', sslEnabled: true },
    })
    const kafka = {
      MESSAGE_BROKER: 'kafka',
      KAFKA_BOOTSTRAP_SERVERS: 'a:1,b',
      KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'u',
      KAFKA_SASL_PASSWORD: 'p',
      KAFKA_SSL_CA: '/ca.pem',
    }
    expect(MessageQueueConfig.fromEnv(kafka)).toMatchObject({
      broker: 'kafka',
      connection: {
        bootstrapServers: ['a:1', 'b:9092'],
        securityProtocol: 'sasl_ssl',
        saslMechanism: 'scram-sha-512',
        saslUsername: 'u',
        saslPassword: 'p',
        sslCaPath: '/ca.pem',
      },
    })
    const urls = { REDIS_URL: 'redis://a:1', RABBITMQ_URL: 'amqp://b:2' }
    expect(MessageQueueConfig.fromEnv({ ...urls, MESSAGE_BROKER: 'redis' }).connection.port).toBe(1)
    expect(MessageQueueConfig.fromEnv({ ...urls, MESSAGE_BROKER: 'rabbitmq' }).connection.port).toBe(2)
    const read = Object.keys({ ...common, ...redis, ...rabbitmq, ...kafka, ...urls })
    expect(VARIABLES.map(({ name }) => name).sort()).toEqual(read.sort())
  })

  it.each([
    ['true', true],
    ['TRUE', true],
    ['1', true],
    ['yes', true],
    ['On', true],
    ['false', false],
    ['0', false],
    ['NO', false],
    ['off', false],
  ])('takes %s for %p', (text, value) => {
    expect(MessageQueueConfig.fromEnv({ ENABLE_TRACING: text }).enableTracing).toBe(value)
  })

  it('checks the variables of the chosen broker alone', () => {
    const wrong = { REDIS_PORT: 'x', RABBITMQ_URL: 'nonsense', KAFKA_SECURITY_PROTOCOL: 'x' }
    expect(MessageQueueConfig.fromEnv(wrong)).toEqual(MessageQueueConfig.parse())
    expect(
      problemsOf(() => MessageQueueConfig.fromEnv({ ...wrong, MESSAGE_BROKER: 'redis' })).map(
        ({ path }) => path,
      ),
    ).toEqual(['REDIS_PORT'])
  })

  it.each(['redis', 'rabbitmq'])('takes the port that Kubernetes sets for a Service %s as none', (broker) => {
    const name = `${broker.toUpperCase()}_PORT`
    const env = { MESSAGE_BROKER: broker, [name]: 'tcp://10.0.0.1:7000' }
    expect(MessageQueueConfig.fromEnv(env)).toEqual(MessageQueueConfig.parse({ broker: broker as 'redis' }))
    expect(problemsOf(() => MessageQueueConfig.fromEnv({ ...env, [name]: 'http://10.0.0.1' }))).toMatchObject(
      [{ path: name }],
    )
  })

  it('names every problem by its variable, with what was there and what was expected', () => {
    const error = refused(() =>
      MessageQueueConfig.fromEnv({
        MESSAGE_BROKER: 'redis',
        REDIS_PORT: 'abc',
        REDIS_DB: '-1',
        REDIS_URL: 'redis://h:99999',
        WORKER_POOL_SIZE: '0',
        MAX_RETRY_ATTEMPTS: '0x10',
        ENABLE_METRICS: 'perhaps',
      }),
    )
    expect([...error.problems].sort((a, b) => (a.path < b.path ? -1 : 1))).toMatchObject([
      { path: 'ENABLE_METRICS', value: '"perhaps"', expected: 'true or false (or 1, 0, yes, no, on, off)' },
      { path: 'MAX_RETRY_ATTEMPTS', value: '"0x10"', expected: 'a number' },
      { path: 'REDIS_DB', value: '"-1"', expected: 'a whole number from 0 to 999999999' },
      { path: 'REDIS_PORT', value: '"abc"', expected: 'a number' },
      { path: 'REDIS_URL', value: '(hidden)' },
      { path: 'WORKER_POOL_SIZE', value: '"0"', expected: 'a whole number from 1 to 1024' },
    ])
    expect(error.message).toMatch(/^The environment has 6 problems:\n/)
  })

  it('speaks of other variables by their names', () => {
    const both = { MESSAGE_BROKER: 'redis', REDIS_URL: 'redis://h:1', REDIS_PORT: '2' }
    expect(problemsOf(() => MessageQueueConfig.fromEnv(both))).toEqual([
      { path: 'REDIS_PORT', value: '"2"', expected: 'the same as in REDIS_URL, or only one of the two' },
    ])
    expect(
      problemsOf(() => MessageQueueConfig.fromEnv({ MESSAGE_BROKER: 'redis', REDIS_URL: 'amqp://h' }))[0]
        ?.expected,
    ).toContain('MESSAGE_BROKER=rabbitmq')
    expect(
      problemsOf(() => MessageQueueConfig.fromEnv({ MESSAGE_BROKER: 'rabbitmq', RABBITMQ_USERNAME: 'u' })),
    ).toMatchObject([{ path: 'RABBITMQ_PASSWORD', value: 'missing' }])
    expect(problemsOf(() => MessageQueueConfig.fromEnv({ MESSAGE_BROKER: 'Kafka' }))).toMatchObject([
      {
        path: 'MESSAGE_BROKER',
        value: '"Kafka"',
        expected: expect.stringContaining('did you mean "kafka"?'),
      },
    ])
  })

  it.each<[string, MessageQueueConfigInput]>([
    ['consumer', { consumer: { sessionTimeoutMs: 6_000 } }],
    ['producer', { producer: { deliveryTimeoutMs: 5_000 } }],
    ['mode', { producer: { deliveryMode: 'at_most_once' } }],
    ['retries', { retryDelaySeconds: 600 }],
    ['sasl', { broker: 'kafka', connection: { saslUsername: 'u', saslPassword: 'p' } }],
    ['list', { broker: 'kafka', connection: { bootstrapServers: ['a:1'] } }],
  ])('lets defaults follow from what is given beside it: %s', (_, { broker = 'memory', ...given }) => {
    expect(MessageQueueConfig.fromEnv({ MESSAGE_BROKER: broker }, given)).toEqual(
      MessageQueueConfig.parse({ ...given, broker }),
    )
  })

  it('completes the connection of the variables with what is given beside it', () => {
    const env = { MESSAGE_BROKER: 'rabbitmq', RABBITMQ_HOST: 'h' }
    const connection = { sslCaPath: '/ca.pem', heartbeat: undefined }
    expect(MessageQueueConfig.fromEnv(env, { connection }).connection).toMatchObject({
      host: 'h',
      port: 5671,
      sslEnabled: true,
      heartbeat: 60,
    })
  })

  it('prefers what is given to the variable, and names its problems by the field', () => {
    const env = { MESSAGE_BROKER: 'kafka', MAX_RETRY_ATTEMPTS: 'x', REDIS_HOST: 'h', REDIS_PORT: '1' }
    const given = { broker: 'redis', maxRetryAttempts: 1, connection: { port: 2 } } as const
    expect(MessageQueueConfig.fromEnv(env, given)).toMatchObject({
      broker: 'redis',
      maxRetryAttempts: 1,
      connection: { host: 'h', port: 2 },
    })
    expect(
      problemsOf(() => MessageQueueConfig.fromEnv(env, { ...given, connection: { port: 0 } })),
    ).toMatchObject([{ path: 'connection.port' }])
    for (const [wrong, path] of [
      [{ consumr: {} }, 'consumr'],
      [{ connection: 'redis://h' }, 'connection'],
      ['redis', ''],
    ] as const) {
      expect(problemsOf(() => MessageQueueConfig.fromEnv({}, wrong as never))).toMatchObject([{ path }])
    }
  })

  it('takes numbers and booleans of a copy that was parsed before, and names what is neither', () => {
    const parsed = { MESSAGE_BROKER: 'redis', REDIS_PORT: 6380, REDIS_SSL: true, REDIS_DB: null }
    expect(MessageQueueConfig.fromEnv(parsed as never).connection).toMatchObject({
      port: 6380,
      sslEnabled: true,
      db: 0,
    })
    const wrong = { MAX_RETRY_ATTEMPTS: ['3'], ENABLE_METRICS: 1, RETRY_DELAY_SECONDS: Infinity }
    const problems = problemsOf(() => MessageQueueConfig.fromEnv(wrong as never))
    expect([...problems].sort((a, b) => (a.path < b.path ? -1 : 1))).toMatchObject([
      { path: 'ENABLE_METRICS', value: '1', expected: 'true or false (or 1, 0, yes, no, on, off)' },
      { path: 'MAX_RETRY_ATTEMPTS', value: '(an array)', expected: 'a number' },
      { path: 'RETRY_DELAY_SECONDS', value: 'Infinity' },
    ])
  })

  it('reads process.env at the call', () => {
    const before = process.env['WORKER_POOL_SIZE']
    try {
      process.env['WORKER_POOL_SIZE'] = '7'
      expect(MessageQueueConfig.fromEnv().workerPoolSize).toBe(7)
    } finally {
      if (before === undefined) delete process.env['WORKER_POOL_SIZE']
      else process.env['WORKER_POOL_SIZE'] = before
    }
  })
})
