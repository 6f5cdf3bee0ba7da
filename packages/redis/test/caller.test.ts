import { describe, expect, it } from '@jest/globals'
import { createCaller, createTurns } from '../src/caller.ts'

describe('numbers of calls', () => {
  it('follow each other for the keys of one hash tag', () => {
    const { next } = createCaller('me')
    expect(['{a}:', '{b}:', '{a}:dlq:', '{a}:', '{b}:'].map(next)).toEqual([1, 1, 2, 3, 2])
  })

  it('never come again for a tag that was forgotten', () => {
    const { next } = createCaller('me', 2)
    expect(['{a}:', '{a}:', '{b}:', '{c}:', '{a}:', '{b}:', '{a}:'].map(next)).toEqual([1, 2, 1, 1, 3, 3, 4])
  })
})

describe('turns', () => {
  it('have names that no two calls have at once', () => {
    const { take } = createTurns('me')
    const [a, b] = [take('{q}:'), take('{q}:')]
    expect([a.name, a.number, b.name, b.number]).toEqual(['me.1', 1, 'me.2', 1])
    b.done()
    expect(take('{other}:')).toMatchObject({ name: 'me.3', number: 1 })
    expect(take('{q}:dlq:')).toMatchObject({ name: 'me.2', number: 2 })
    expect(take('{q}:')).toMatchObject({ name: 'me.4', number: 1 })
  })

  it('have new names for a tag that was forgotten', () => {
    const { take } = createTurns('me', 1)
    take('{a}:').done()
    take('{b}:').done()
    expect([take('{a}:').name, take('{b}:')]).toMatchObject(['me.3', { name: 'me.2', number: 2 }])
  })
})
