import { describe, expect, it } from '@jest/globals'
import { CircuitBreaker, RateLimiter, TurnGate } from '../../src/consume/gates.ts'

describe('TurnGate', () => {
  it('closes after so many starts, until the event loop has turned', async () => {
    let calls = 0
    const gate = new TurnGate(2, () => calls++)
    for (let i = 0; i < 2; i++) {
      expect(gate.open()).toBe(true)
      gate.started()
    }
    expect(gate.open()).toBe(false)
    expect(gate.open()).toBe(false)
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(calls).toBe(1)
    expect(gate.open()).toBe(true)
  })
})

describe('RateLimiter', () => {
  it('lets max runs start in any window of perMs', () => {
    const limiter = new RateLimiter(2, 100)
    for (const now of [0, 10]) {
      expect(limiter.waitMs(now)).toBe(0)
      limiter.started(now)
    }
    expect(limiter.waitMs(20)).toBe(80)
    expect(limiter.waitMs(100)).toBe(0)
    limiter.started(100)
    expect(limiter.waitMs(101)).toBe(9)
  })
})

describe('CircuitBreaker', () => {
  const opened = () => {
    const breaker = new CircuitBreaker(2, 100)
    breaker.ended(false, false, 0)
    breaker.ended(false, false, 1)
    return breaker
  }

  it('opens after so many failures in a row, for so long', () => {
    const breaker = opened()
    expect(breaker.state).toBe('open')
    expect(breaker.waitMs(51)).toBe(50)
    expect(breaker.waitMs(101)).toBe(0)
  })

  it('counts failures in a row only', () => {
    const breaker = new CircuitBreaker(2, 100)
    breaker.ended(false, false, 0)
    breaker.ended(false, true, 0)
    breaker.ended(false, false, 1)
    expect(breaker.state).toBe('closed')
  })

  it('probes with one run, whose success closes it', () => {
    const breaker = opened()
    expect(breaker.started()).toBe(true)
    expect(breaker.waitMs(102)).toBe(Infinity)
    breaker.ended(true, true, 102)
    expect(breaker.waitMs(102)).toBe(0)
    expect(breaker.started()).toBe(false)
  })

  it('opens again when the probe fails', () => {
    const breaker = opened()
    breaker.started()
    breaker.ended(true, false, 150)
    expect(breaker.waitMs(160)).toBe(90)
  })

  it('lets another probe go when the first one said nothing', () => {
    const breaker = opened()
    breaker.started()
    breaker.ended(true, null, 102)
    expect(breaker.waitMs(102)).toBe(0)
  })

  it('takes the end of another run for no sign once it is open', () => {
    const breaker = opened()
    breaker.ended(false, true, 50)
    expect(breaker.waitMs(50)).toBe(51)
    breaker.started()
    breaker.ended(false, false, 150)
    expect([breaker.state, breaker.waitMs(150)]).toEqual(['half-open', Infinity])
  })
})
