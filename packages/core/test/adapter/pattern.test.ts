import { describe, expect, it } from '@jest/globals'
import { matchesPattern } from '../../src/adapter/pattern.ts'

describe('matchesPattern', () => {
  it.each([
    ['#', '', true],
    ['#', 'a.b.c', true],
    ['orders.*', 'orders.new', true],
    ['orders.*', 'orders', false],
    ['orders.*', 'orders.new.eu', false],
    ['orders.#', 'orders', true],
    ['orders.#', 'orders.new.eu', true],
    ['*', '', false],
    ['*', 'a', true],
    ['#.eu', 'eu', true],
    ['#.eu', 'orders.new.eu', true],
    ['#.eu', 'orders.new.us', false],
    ['a.#.z', 'a.z', true],
    ['a.#.z', 'a.b.c.z', true],
    ['a.#.z', 'a.b.c', false],
    ['#.b.#', 'a.b.c', true],
    ['a.b', 'a.b', true],
    ['a.b', 'a.B', false],
    ['a.+', 'a.b', false],
  ])('%s and %j: %s', (pattern, key, matches) => {
    expect(matchesPattern(pattern, key)).toBe(matches)
  })
})
