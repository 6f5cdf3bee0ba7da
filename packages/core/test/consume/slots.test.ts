import { describe, expect, it } from '@jest/globals'
import { Slots } from '../../src/consume/slots.ts'

describe('Slots', () => {
  it('are handed out up to their number', () => {
    const slots = new Slots(2)
    expect([slots.take(() => undefined), slots.take(() => undefined), slots.take(() => undefined)]).toEqual([
      true,
      true,
      false,
    ])
  })

  it('that come free go to who waits, in turn', () => {
    const slots = new Slots(1)
    const got: string[] = []
    slots.take(() => undefined)
    for (const name of ['a', 'b']) {
      const retry = () => {
        if (slots.take(retry)) got.push(name)
      }
      retry()
    }
    slots.give()
    expect(got).toEqual(['a'])
    slots.give()
    expect(got).toEqual(['a', 'b'])
  })

  it('that the first in turn no longer needs go to the next', () => {
    const slots = new Slots(1)
    const got: string[] = []
    slots.take(() => undefined)
    slots.take(() => undefined)
    slots.take(() => got.push('b'))
    slots.give()
    expect(got).toEqual(['b'])
  })

  it('are not offered to who has left', () => {
    const slots = new Slots(1)
    const retry = () => {
      throw new Error('called')
    }
    slots.take(() => undefined)
    slots.take(retry)
    slots.forget(retry)
    slots.give()
    expect(slots.take(() => undefined)).toBe(true)
  })
})
