import { describe, expect, it } from '@jest/globals'
import { deadLetterHeaders, parseDeadLetterHeaders } from '../../src/adapter/wire.ts'
import type { DeadLetterInfo } from '../../src/adapter/contract.ts'

const info: DeadLetterInfo = {
  reason: 'max-retries',
  queue: 'orders',
  subscription: null,
  attempts: 4,
  firstFailedAt: new Date(1_700_000_000_000),
  lastFailedAt: new Date(1_700_000_001_234),
  error: { name: 'TypeError', message: 'x is not a function', stack: 'TypeError: x\n    at y' },
  host: 'worker-1',
}

describe('failure metadata', () => {
  it.each([info, { ...info, subscription: 'billing' }])('survives the way through headers', (each) => {
    expect(parseDeadLetterHeaders(deadLetterHeaders(each))).toEqual(each)
  })

  it('is absent without a reason', () => {
    expect(parseDeadLetterHeaders({ 'mq-dead-queue': 'orders' })).toBeUndefined()
  })

  it('is empty where a foreign writer left it out', () => {
    expect(parseDeadLetterHeaders({ 'mq-dead-reason': 'expired' })).toMatchObject({
      queue: '',
      attempts: 0,
      firstFailedAt: new Date(0),
    })
  })
})
