import { afterEach, describe, expect, it } from '@jest/globals'
import { asksForOwn, endpoints, environmentAddress } from '../../src/sources/environment.ts'

const before = { ...process.env }

describe('the address in the environment', () => {
  afterEach(() => {
    process.env = { ...before }
  })

  it.each([
    ['redis', { REDIS_URL: 'redis://a:1' }, 'redis://a:1'],
    ['redis', { REDIS_HOST: 'a' }, 'redis://a:6379'],
    ['redis', { REDIS_HOST: 'a', REDIS_PORT: '7', REDIS_PASSWORD: 'p@ss' }, 'redis://:p%40ss@a:7'],
    ['rabbitmq', { RABBITMQ_URL: 'amqps://a' }, 'amqps://a'],
    ['rabbitmq', { RABBITMQ_HOST: 'a', RABBITMQ_USERNAME: 'u', RABBITMQ_PASSWORD: 'p' }, 'amqp://u:p@a:5672'],
    ['kafka', { KAFKA_BOOTSTRAP_SERVERS: 'a:1,b:2' }, 'a:1,b:2'],
    ['redis', { REDIS_HOST: '::1' }, 'redis://[::1]:6379'],
    ['redis', { REDIS_HOST: 'a', REDIS_PORT: 'tcp://10.0.0.1:7' }, 'redis://a:6379'],
    ['redis', {}, undefined],
    ['redis-cluster', { REDIS_URL: 'redis://a:1' }, undefined],
  ] as const)('of %s with %j is %s', (name, variables, url) => {
    process.env = { ...variables }
    expect(environmentAddress(name)?.url).toBe(url)
  })

  it.each([
    ['redis://a', [{ host: 'a', port: 6379 }]],
    ['rediss://u:p@[::1]:7/0', [{ host: '::1', port: 7 }]],
    ['[::1]:9093,', [{ host: '::1', port: 9093 }]],
    ['[::1]', [{ host: '::1', port: 9092 }]],
    ['amqps://a/vhost', [{ host: 'a', port: 5671 }]],
    [
      'a:1, b:2,c',
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
        { host: 'c', port: 9092 },
      ],
    ],
  ])('%s means %j', (url, expected) => {
    expect(endpoints(url)).toEqual(expected)
  })

  it.each([
    [{}, false],
    [{ keep: true, sources: ['path'] }, false],
    [{ fresh: false }, false],
    [{ fresh: true }, true],
    [{ appendfsync: 'always' }, true],
    [{ tls: true }, true],
  ] as const)('with options %j a server of our own is asked for: %s', (options, expected) => {
    expect(asksForOwn(options)).toBe(expected)
  })
})
