import { describe, expect, it } from '@jest/globals'
import {
  checkHeaders,
  checkPattern,
  checkQueueName,
  deadLetterQueueName,
  isInternalName,
  isQueueName,
  MAX_HEADER_BYTES,
} from '../../src/message/names.ts'

describe('queue names', () => {
  it.each(['a', '0', 'orders.created_v2-x', 'A'.repeat(200), `${'A'.repeat(200)}.dlq`])('take %s', (name) => {
    expect(isQueueName(name)).toBe(true)
    expect(checkQueueName(name)).toBe(name)
  })

  it.each([
    '',
    '.a',
    '-a',
    '_a',
    'a b',
    'a/b',
    'ä',
    'a\n',
    'A'.repeat(201),
    `${'A'.repeat(201)}.dlq`,
    null,
    undefined,
    7,
    {},
  ])('refuse %p', (name) => {
    expect(isQueueName(name)).toBe(false)
    expect(() => checkQueueName(name)).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it('of the library end in .dlq, .retry or .delay', () => {
    expect(['q.retry', 'q.delay'].every(isInternalName)).toBe(true)
    expect(['q', 'retry', 'q.dlq', 'q.retry.x'].some(isInternalName)).toBe(false)
  })

  it('of dead-letter queues say whose they are', () => {
    expect(deadLetterQueueName('orders', null)).toBe('orders.dlq')
    expect(deadLetterQueueName('orders', 'billing')).toBe('orders.billing.dlq')
  })
})

describe('patterns', () => {
  it.each(['#', '*', 'orders', 'orders.*', '#.eu', '*.b.#', 'a b.c', 'ä'])('take %s', (pattern) => {
    expect(checkPattern(pattern)).toBe(pattern)
  })

  it.each(['', 'or*', '##', 'a.b#.c', 'ä'.repeat(128), null, undefined, 5, {}])('refuse %p', (pattern) => {
    expect(() => checkPattern(pattern)).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })
})

describe('headers', () => {
  it.each(['tenant', 'x-my-header', 'a b', 'slash/quote"', '~', 'x'.repeat(128), 'traceparent'])(
    'take the name %s',
    (name) => {
      expect(() => checkHeaders({ [name]: '' })).not.toThrow()
    },
  )

  it.each([
    '',
    'ä',
    'a\n',
    'x'.repeat(129),
    'mq-ttl',
    'MQ-anything',
    'Content-Type',
    'x-death',
    'x-delivery-count',
    'priority',
    '__proto__',
  ])('refuse the name %p', (name) => {
    expect(() => checkHeaders({ [name]: 'v' })).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it.each([[1], [null], [undefined], [{}], [Buffer.from('a')]])('refuse the value %p', (value) => {
    expect(() => checkHeaders({ name: value })).toThrow('must be a string')
  })

  it('are bounded together', () => {
    expect(() => checkHeaders({ a: 'x'.repeat(MAX_HEADER_BYTES - 1) })).not.toThrow()
    expect(() => checkHeaders({ a: 'ä'.repeat(MAX_HEADER_BYTES / 2) })).toThrow('Headers are 32769 bytes')
  })
})
