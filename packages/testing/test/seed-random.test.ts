import { describe, expect, it } from '@jest/globals'
import { seedRandom } from '../src/index.ts'

function draw(seed: number): number[] {
  const restore = seedRandom(seed)
  try {
    return Array.from({ length: 1000 }, () => Math.random())
  } finally {
    restore()
  }
}

describe('seedRandom', () => {
  it('makes Math.random repeatable, spread evenly, and gives it back', () => {
    const original = Math.random
    const drawn = draw(1)
    expect(Math.random).toBe(original)
    expect(draw(1)).toEqual(drawn)
    expect(draw(2)).not.toEqual(drawn)
    expect(drawn.every((each) => each >= 0 && each < 1)).toBe(true)
    const tenths = Array.from(
      { length: 10 },
      (_, k) => drawn.filter((each) => Math.floor(each * 10) === k).length,
    )
    for (const count of tenths) expect(Math.abs(count - 100)).toBeLessThan(50)
  })

  it('is given back whole, in whichever order and however often', () => {
    const original = Math.random
    const [first, second, third] = [seedRandom(1), seedRandom(2), seedRandom(3)]
    second()
    first()
    expect(Math.random).not.toBe(original)
    third()
    expect(Math.random).toBe(original)

    const mock = () => 0.5
    Math.random = mock
    third()
    expect(Math.random).toBe(mock)
    Math.random = original
  })

  it('refuses a seed that is no whole number', () => {
    expect(() => seedRandom(0.5)).toThrow(/whole number/)
  })
})
