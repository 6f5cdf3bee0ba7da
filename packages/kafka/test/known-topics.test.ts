import { performance } from 'node:perf_hooks'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { createKnownTopics } from '../src/known-topics.ts'

const topic = (name: string, id = name) => ({ name, id, error: 0, leaders: [1], replicas: 1 })

afterEach(() => {
  jest.restoreAllMocks()
})

describe('what is known of topics', () => {
  it('is forgotten when it is old, whether or not anybody asks', () => {
    let now = 0
    jest.spyOn(performance, 'now').mockImplementation(() => now)
    const known = createKnownTopics()
    for (let n = 0; n < 1_000; n++, now += 1_000) known.learn(topic(`t${n}`), now)
    expect(known.size).toBe(60)
    expect(known.get('t999')).toEqual(topic('t999'))
    expect(known.get('t900')).toBeUndefined()
    now += 60_000
    expect(known.get('t999')).toBeUndefined()
    known.learn(topic('t'), now)
    expect(known.size).toBe(1)
  })

  it('is what was asked last, whatever comes last', () => {
    const known = createKnownTopics()
    const now = performance.now()
    known.learn(topic('t', 'new'), now)
    known.learn(topic('t', 'old'), now - 1)
    known.learn({ ...topic('t'), error: 3 }, now - 1)
    expect(known.get('t')).toEqual(topic('t', 'new'))
    known.learn({ ...topic('t'), error: 3 }, now)
    expect(known.get('t')).toBeUndefined()
    expect(known.size).toBe(0)
  })
})
