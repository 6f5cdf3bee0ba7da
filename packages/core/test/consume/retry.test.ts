import { describe, expect, it } from '@jest/globals'
import { RejectError, RetryError, ValidationError } from '../../src/errors.ts'
import { decide, type RetryPolicy } from '../../src/consume/retry.ts'

const policy: RetryPolicy = {
  maxRetries: 3,
  backoff: 'exponential',
  delayMs: 1000,
  maxDelayMs: 60_000,
  jitter: 0,
}
const retryIn = (delayMs: number) => ({ action: 'retry', delayMs })
const dead = (reason: string) => ({ action: 'dead-letter', reason })

describe('decide', () => {
  it.each([
    ['an error, first run', new Error('x'), 0, retryIn(1000)],
    ['an error, third run', new Error('x'), 2, retryIn(4000)],
    ['an error, no run left', new Error('x'), 3, dead('max-retries')],
    ['not an error at all', 'x', 0, retryIn(1000)],
    ['undefined', undefined, 0, retryIn(1000)],
    ['a RejectError', new RejectError(), 0, dead('rejected')],
    ['a RejectError, no run left', new RejectError(), 3, dead('rejected')],
    ['a RetryError with a delay', new RetryError('later', { delayMs: 7 }), 0, retryIn(7)],
    ['a RetryError without one', new RetryError(), 1, retryIn(2000)],
    ['a RetryError, no run left', new RetryError('later', { delayMs: 7 }), 3, dead('max-retries')],
    ['another error of this library', new ValidationError('x'), 0, retryIn(1000)],
  ])('%s', (_name, error, deliveryCount, decision) => {
    expect(decide(error, deliveryCount, policy)).toEqual(decision)
  })

  it('knows a RejectError of another copy of the package', () => {
    const foreign = Object.defineProperty(
      Object.assign(new Error('no'), { code: 'MQ_REJECT' }),
      Symbol.for('@mq/error'),
      { value: true },
    )
    expect(decide(foreign, 0, policy)).toEqual(dead('rejected'))
  })

  it('never retries with maxRetries 0', () => {
    expect(decide(new Error('x'), 0, { ...policy, maxRetries: 0 })).toEqual(dead('max-retries'))
  })
})
