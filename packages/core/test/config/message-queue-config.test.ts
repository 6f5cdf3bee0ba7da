import { describe, expect, it } from '@jest/globals'
import { Value } from 'typebox/value'
import { MessageBroker } from '../../src/config/enums.ts'
import { MessageQueueConfig } from '../../src/config/message-queue-config.ts'
import { pathsOf, problemsOf, refused } from './refusals.ts'

describe('MessageQueueConfig.parse', () => {
  it('fills in every documented default', () => {
    expect(MessageQueueConfig.parse()).toMatchObject({
      broker: 'memory',
      enableMetrics: true,
      enableTracing: false,
      healthCheckInterval: 30,
      workerPoolSize: 4,
      maxConcurrentMessages: 100,
      maxRetryAttempts: 3,
      retryDelaySeconds: 1,
      retryBackoff: 'exponential',
      retryJitter: 0.1,
      retryMaxDelaySeconds: 300,
      enableDeadLetterQueue: true,
      autoDeclare: true,
      connection: { url: 'memory://default', connectionTimeout: 30, heartbeat: 60, sslVerify: true },
      message: {
        messageFormat: 'json',
        compression: 'none',
        encryptionEnabled: false,
        headers: {},
        priority: 0,
      },
      producer: { lingerMs: 0, deliveryTimeoutMs: 120_000, acks: 'all', deliveryMode: 'at_least_once' },
      consumer: {
        prefetchCount: 10,
        sessionTimeoutMs: 30_000,
        heartbeatIntervalMs: 10_000,
        retryAttempts: null,
      },
      defaultQueueConfig: {
        durable: true,
        autoDelete: false,
        exclusive: false,
        ordered: false,
        partitions: 1,
        replicationFactor: 1,
        maxRedeliveries: 20,
      },
    })
  })

  it('leaves no key out, at any level', () => {
    const parsed = MessageQueueConfig.parse()
    expect(Object.keys(parsed)).toEqual(Object.keys(MessageQueueConfig.properties))
    for (const part of ['connection', 'message', 'producer', 'consumer', 'defaultQueueConfig'] as const) {
      expect(Object.keys(parsed[part])).toEqual(Object.keys(MessageQueueConfig.properties[part].properties))
      expect(Object.values(parsed[part])).not.toContain(undefined)
    }
  })

  it('is a schema that its own answers match', () => {
    expect(Value.Check(MessageQueueConfig, MessageQueueConfig.parse())).toBe(true)
    expect(Value.Check(MessageQueueConfig, { broker: 'memory' })).toBe(false)
    expect(Object.keys(MessageQueueConfig)).not.toContain('parse')
  })

  it('gives Kafka four partitions, unless told otherwise', () => {
    expect(MessageQueueConfig.parse({ broker: 'kafka' }).defaultQueueConfig.partitions).toBe(4)
    const own = { broker: 'kafka', defaultQueueConfig: { partitions: 1 } }
    const parsed = MessageQueueConfig.parse(own)
    expect(parsed.defaultQueueConfig.partitions).toBe(1)
    expect(MessageQueueConfig.parse(parsed).defaultQueueConfig.partitions).toBe(1)
  })

  it.each([
    [{}],
    [{ broker: MessageBroker.REDIS, connection: { url: 'rediss://u:p%40@h/3' } }],
    [{ broker: 'redis', connection: { hosts: 'a,b:1', cluster: true } }],
    [{ broker: 'redis', connection: { hosts: ['[::1]', 'b:1'], sentinel: { name: 'main' } } }],
    [{ broker: 'rabbitmq', connection: { url: 'amqps://h', hosts: 'h,g' } }],
    [{ broker: 'kafka', connection: { url: 'kafka+ssl://u:p@h:1' } }],
    [
      {
        broker: 'kafka',
        connection: {
          bootstrapServers: 'a, b:1',
          saslMechanism: 'SCRAM-SHA-512',
          saslUsername: 'u',
          saslPassword: '',
        },
      },
    ],
    [
      {
        consumer: { sessionTimeoutMs: 900 },
        producer: { acks: -1, deliveryMode: 'at_most_once' },
        retryDelaySeconds: 500,
      },
    ],
    [{ message: { encryptionEnabled: true, encryptionKeys: ['a'.repeat(64)] } }],
    [
      {
        defaultQueueConfig: {
          arguments: { 'x-expires': 5, 'x-queue-type': 'quorum', 'x-max-length': 4, deep: [{ a: null }] },
        },
      },
    ],
  ])('answers the same for its own answer, and never changes its input: %j', (input) => {
    const before = JSON.stringify(input)
    const parsed = MessageQueueConfig.parse(input)
    expect(MessageQueueConfig.parse(parsed)).toEqual(parsed)
    expect(MessageQueueConfig.parse(structuredClone(parsed))).toEqual(parsed)
    expect(Value.Check(MessageQueueConfig, parsed)).toBe(true)
    expect(JSON.stringify(input)).toBe(before)
  })

  it('shares nothing with its input nor with other answers', () => {
    const input = { message: { headers: { a: '1' } }, defaultQueueConfig: { arguments: { list: [1] } } }
    const parsed = MessageQueueConfig.parse(input)
    parsed.message.headers['b'] = '2'
    ;(parsed.defaultQueueConfig.arguments['list'] as number[]).push(2)
    expect(input).toEqual({
      message: { headers: { a: '1' } },
      defaultQueueConfig: { arguments: { list: [1] } },
    })
    MessageQueueConfig.parse().message.headers['c'] = '3'
    expect(MessageQueueConfig.parse().message.headers).toEqual({})
  })

  it('takes undefined for "not given"', () => {
    const parsed = MessageQueueConfig.parse({
      broker: undefined,
      connection: undefined,
      consumer: { prefetchCount: undefined },
    })
    expect(parsed).toEqual(MessageQueueConfig.parse())
  })

  it('lists every problem in one readable error', () => {
    const error = refused(() =>
      MessageQueueConfig.parse({
        brokr: 'redis',
        broker: 'Redis',
        workerPoolSize: 0,
        enableMetrics: 'yes',
        connection: { port: 70_000, connectionTimeout: 30_000, url: 'nonsense', hosts: ['a:b'] },
        message: { priority: 256, encryptionEnabled: true },
        producer: { acks: 2, lingerMs: -1, retries: 1.5 },
        consumer: { sessionTimeoutMs: 100, heartbeatIntervalMs: 100 },
        defaultQueueConfig: { name: 'q', overflow: 'drop-head' },
      }),
    )
    expect(error.problems.map(({ path }) => path).sort()).toEqual([
      'broker',
      'brokr',
      'connection.connectionTimeout',
      'connection.hosts.0',
      'connection.port',
      'connection.url',
      'consumer.heartbeatIntervalMs',
      'defaultQueueConfig.name',
      'defaultQueueConfig.overflow',
      'enableMetrics',
      'message.encryptionKey',
      'message.priority',
      'producer.acks',
      'producer.lingerMs',
      'producer.retries',
      'workerPoolSize',
    ])
    expect(error.code).toBe('MQ_CONFIGURATION')
    expect(error.message).toContain('MessageQueueConfig has 16 problems:\n')
    for (const { path, value, expected } of error.problems) {
      expect(error.message).toContain(`\n  ${path}: ${value}, expected ${expected}`)
    }
  })

  it.each([
    ['brokr', 'a known option (did you mean "broker"?)'],
    ['auto_declare', 'a known option (did you mean "autoDeclare"?)'],
    ['maxRetryAttempt', 'a known option (did you mean "maxRetryAttempts"?)'],
    ['completelyDifferentThing', 'a known option'],
  ])('refuses the unknown option %s with a suggestion', (name, expected) => {
    expect(problemsOf(() => MessageQueueConfig.parse({ [name]: 'x' }))).toEqual([
      { path: name, value: '(hidden)', expected },
    ])
  })

  it('does not take __proto__ for anything but an unknown option', () => {
    expect(pathsOf(() => MessageQueueConfig.parse(JSON.parse('{"__proto__":{"broker":"redis"}}')))).toEqual([
      '__proto__',
    ])
  })

  it.each([
    [null, '(null)'],
    ['memory', '(a string)'],
    [[], '(an array)'],
    [new Map(), '(not a plain object)'],
    [4, '(a number)'],
  ])('refuses %p where the whole configuration should be', (input, value) => {
    expect(problemsOf(() => MessageQueueConfig.parse(input))).toEqual([
      { path: '', value, expected: 'an object' },
    ])
    expect(problemsOf(() => MessageQueueConfig.parse({ consumer: input }))).toEqual([
      { path: 'consumer', value, expected: 'an object' },
    ])
  })

  it.each([
    ['healthCheckInterval', 601],
    ['healthCheckInterval', -1],
    ['retryDelaySeconds', -0.1],
    ['retryJitter', 1.1],
    ['retryJitter', Number.NaN],
    ['maxRetryAttempts', 0.5],
    ['maxRetryAttempts', Infinity],
    ['maxConcurrentMessages', 0],
    ['retryBackoff', 'Fixed'],
    ['autoDeclare', 1],
    ['broker', null],
  ])('refuses %s: %p', (field, value) => {
    expect(pathsOf(() => MessageQueueConfig.parse({ [field]: value }))).toEqual([field])
  })

  it('asks whether seconds were meant as ms', () => {
    expect(
      problemsOf(() => MessageQueueConfig.parse({ healthCheckInterval: 30_000 }))[0]?.expected,
    ).toContain('seconds, not ms?')
  })

  it('raises the default of the longest wait to the first wait, but takes no contradiction', () => {
    expect(MessageQueueConfig.parse({ retryDelaySeconds: 400 }).retryMaxDelaySeconds).toBe(400)
    expect(
      pathsOf(() => MessageQueueConfig.parse({ retryDelaySeconds: 4, retryMaxDelaySeconds: 3 })),
    ).toEqual(['retryMaxDelaySeconds'])
  })
})
