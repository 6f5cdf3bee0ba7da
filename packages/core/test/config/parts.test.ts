import { describe, expect, it } from '@jest/globals'
import { ConsumerConfig } from '../../src/config/consumer-config.ts'
import { MessageConfig } from '../../src/config/message-config.ts'
import { ProducerConfig } from '../../src/config/producer-config.ts'
import { nearest } from '../../src/config/suggest.ts'
import { pathsOf, problemsOf } from './refusals.ts'

describe('ProducerConfig.parse', () => {
  it.each<[unknown, object]>([
    [
      {},
      {
        lingerMs: 0,
        deliveryTimeoutMs: 120_000,
        requestTimeoutMs: 30_000,
        acks: 'all',
        retries: 2_147_483_647,
      },
    ],
    [{ acks: -1 }, { acks: 'all' }],
    [{ acks: '1' }, { acks: 'leader' }],
    [{ acks: 0 }, { acks: 'none' }],
    [{ deliveryTimeoutMs: 500 }, { requestTimeoutMs: 500 }],
    [{ deliveryMode: 'at_most_once' }, { retries: 0 }],
    [{ enableIdempotence: true }, { enableIdempotence: true, acks: 'all' }],
  ])('%j', (input, expected) => {
    expect(ProducerConfig.parse(input)).toMatchObject(expected)
  })

  it.each<[unknown, string[]]>([
    [{ acks: 2 }, ['acks']],
    [{ acks: 'ALL' }, ['acks']],
    [{ requestTimeoutMs: 2, deliveryTimeoutMs: 1 }, ['requestTimeoutMs']],
    [{ lingerMs: 10, deliveryTimeoutMs: 10 }, ['lingerMs']],
    [{ retries: 1, deliveryMode: 'at_most_once' }, ['retries']],
    [{ enableIdempotence: true, acks: 1 }, ['acks']],
    [{ deliveryTimeoutMs: 2 ** 31 }, ['deliveryTimeoutMs']],
    [
      { bufferMemory: 0, batchSize: 0, maxInFlightRequests: 0 },
      ['batchSize', 'bufferMemory', 'maxInFlightRequests'],
    ],
  ])('refuses %j', (input, paths) => {
    expect(pathsOf(() => ProducerConfig.parse(input))).toEqual(paths)
  })

  it('names the longest wait that a timer takes', () => {
    expect(problemsOf(() => ProducerConfig.parse({ retryBackoffMs: 2 ** 31 }))).toEqual([
      { path: 'retryBackoffMs', value: '2147483648', expected: 'a whole number from 0 to 2147483647' },
    ])
  })

  it('refuses exactly_once and brotli batches with the reason', () => {
    const problems = problemsOf(() =>
      ProducerConfig.parse({ deliveryMode: 'exactly_once', compressionType: 'brotli' }),
    )
    expect(problems.map(({ path }) => path)).toEqual(['compressionType', 'deliveryMode'])
    expect(problems[0]?.expected).toContain('Kafka has no such codec')
    expect(problems[1]?.expected).toMatch(/nobody can promise it.*deduplicationId/)
  })
})

describe('ConsumerConfig.parse', () => {
  it.each<[unknown, object]>([
    [
      {},
      {
        sessionTimeoutMs: 30_000,
        heartbeatIntervalMs: 10_000,
        prefetchCount: 10,
        acknowledgmentMode: 'auto',
      },
    ],
    [{}, { retryAttempts: null, retryDelayMs: null, deadLetterQueue: null, consumerGroupId: null }],
    [{ sessionTimeoutMs: 900 }, { heartbeatIntervalMs: 300, fetchMaxWaitMs: 300 }],
    [{ sessionTimeoutMs: 90_000 }, { heartbeatIntervalMs: 10_000 }],
    [
      { retryAttempts: 0, retryDelayMs: 0.5, deadLetterQueue: 'dead' },
      { retryAttempts: 0, retryDelayMs: 0.5, deadLetterQueue: 'dead' },
    ],
  ])('%j', (input, expected) => {
    expect(ConsumerConfig.parse(input)).toMatchObject(expected)
  })

  it.each<[unknown, string[]]>([
    [{ sessionTimeoutMs: 100, heartbeatIntervalMs: 100 }, ['heartbeatIntervalMs']],
    [{ sessionTimeoutMs: 100, fetchMaxWaitMs: 200 }, ['fetchMaxWaitMs']],
    [{ deadLetterQueue: 'no good' }, ['deadLetterQueue']],
    [{ acknowledgmentMode: 'AUTO' }, ['acknowledgmentMode']],
    [{ autoOffsetReset: 'none' }, ['autoOffsetReset']],
    [{ prefetchCount: 0, retryAttempts: -1 }, ['prefetchCount', 'retryAttempts']],
    [{ prefetch: 5 }, ['prefetch']],
  ])('refuses %j', (input, paths) => {
    expect(pathsOf(() => ConsumerConfig.parse(input))).toEqual(paths)
  })
})

describe('MessageConfig.parse', () => {
  const hex = '0123456789abcdef'.repeat(4)
  const base64 = Buffer.alloc(32, 7).toString('base64')

  it.each<[unknown, object]>([
    [
      {},
      {
        messageFormat: 'json',
        compression: 'none',
        encryptionKey: null,
        encryptionKeys: [],
        ttlSeconds: null,
        headers: {},
      },
    ],
    [
      { encryptionEnabled: true, encryptionKey: hex },
      { encryptionKey: hex, encryptionKeys: [] },
    ],
    [
      { encryptionEnabled: true, encryptionKeys: [base64, hex] },
      { encryptionKey: base64, encryptionKeys: [base64, hex] },
    ],
    [
      { ttlSeconds: 0.5, priority: 255, headers: { a: '' } },
      { ttlSeconds: 0.5, priority: 255, headers: { a: '' } },
    ],
  ])('%j', (input, expected) => {
    expect(MessageConfig.parse(input)).toMatchObject(expected)
  })

  it.each<[unknown, string[]]>([
    [{ encryptionEnabled: true }, ['encryptionKey']],
    [{ encryptionEnabled: true, encryptionKeys: [] }, ['encryptionKey']],
    [{ encryptionKey: 'short' }, ['encryptionKey']],
    [{ encryptionEnabled: true, encryptionKeys: [hex, 'short'] }, ['encryptionKeys.1']],
    [{ encryptionKeys: [1] }, ['encryptionKeys']],
    [{ messageFormat: 'JSON' }, ['messageFormat']],
    [{ compression: 'zip' }, ['compression']],
    [{ ttlSeconds: 0 }, ['ttlSeconds']],
    [{ headers: { a: 1 } }, ['headers']],
    [{ headers: new Map() }, ['headers']],
    [{ headers: { 'mq-x': 'a' } }, ['headers']],
    [{ maxBodyBytes: 0, maxInflatedBytes: 0 }, ['maxBodyBytes', 'maxInflatedBytes']],
  ])('refuses %j', (input, paths) => {
    expect(pathsOf(() => MessageConfig.parse(input))).toEqual(paths)
  })
})

describe('nearest', () => {
  const known = ['port', 'password', 'maxLength', 'maxLengthBytes', 'url']
  it.each<[string, string | undefined]>([
    ['prot', 'port'],
    ['max_length', 'maxLength'],
    ['MAXLENGTHBYTES', 'maxLengthBytes'],
    ['passwrod', 'password'],
    ['uri', 'url'],
    ['something', undefined],
    ['', undefined],
    ['x'.repeat(10_000), undefined],
  ])('%s is nearest to %s', (name, found) => {
    expect(nearest(name, known)).toBe(found)
  })
})
