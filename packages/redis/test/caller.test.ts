import { describe, expect, it } from '@jest/globals'
import { createCaller } from '../src/caller.ts'

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
