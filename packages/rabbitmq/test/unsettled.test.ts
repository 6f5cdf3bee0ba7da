import { expect, it } from '@jest/globals'
import { Unsettled } from '../src/unsettled.ts'
import type { Held } from '../src/wire.ts'

const heldOf = (deliveryTag: number): Held => ({ raw: { fields: { deliveryTag } } }) as Held

it('what is not settled is a map by tag, whatever goes first, and however much there was', () => {
  const list = new Unsettled()
  const map = new Map<number, Held>()
  let tag = 0
  for (let round = 0; round < 6000; round++) {
    // Every third goes late; now and then all that are left go at once.
    const held = heldOf((tag += round % 1000 === 0 ? 3 : 1))
    list.add(held)
    map.set(tag, held)
    for (const [old, each] of map) {
      if (old % 3 === 0 ? old > tag - 2000 && round % 2500 !== 0 : old > tag - 40) continue
      expect(list.has(each)).toBe(true)
      list.delete(each)
      map.delete(old)
      expect(list.has(each)).toBe(false)
    }
    if (round % 100 === 0) expect([list.size, list.lowest]).toEqual([map.size, Math.min(...map.keys())])
  }
  expect(list.all()).toEqual([...map.values()])
  expect(list.has(heldOf(tag))).toBe(false)
  list.clear()
  expect([list.size, list.lowest, list.all()]).toEqual([0, Infinity, []])
  const next = heldOf(tag + 1)
  list.add(next)
  expect([list.has(next), list.lowest]).toEqual([true, tag + 1])
})

it('what is kept takes no room for what came and went since', () => {
  const list = new Unsettled()
  const kept = [heldOf(1), heldOf(2)]
  for (const each of kept) list.add(each)
  const passing = { raw: { fields: { deliveryTag: 0 } } }
  const before = process.memoryUsage().heapUsed
  for (let tag = 3; tag < 16_000_000; tag++) {
    passing.raw.fields.deliveryTag = tag
    list.add(passing as Held)
    list.delete(passing as Held)
  }
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024)
  const last = heldOf(16_000_000)
  list.add(last)
  expect([list.size, list.lowest, list.all()]).toEqual([3, 1, [...kept, last]])
  const again = [heldOf(1), heldOf(2)]
  for (const each of again) list.replace(each)
  expect([list.size, list.lowest, list.all(), list.has(kept[0] as Held)]).toEqual([
    3,
    1,
    [...again, last],
    false,
  ])
  for (const each of again) {
    expect(list.has(each)).toBe(true)
    list.delete(each)
    expect(list.has(each)).toBe(false)
  }
  expect([list.size, list.lowest, list.all()]).toEqual([1, 16_000_000, [last]])
})
