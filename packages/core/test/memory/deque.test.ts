import { describe, expect, it } from '@jest/globals'
import { Deque } from '../../src/memory/deque.ts'

describe('Deque', () => {
  it('keeps its order while it grows around its end', () => {
    const deque = new Deque<number>()
    const seen: number[] = []
    for (let i = 0; i < 5000; i++) {
      deque.push(i)
      if (i % 3 === 0) seen.push(deque.shift() as number)
    }
    expect([deque.peek(), deque.at(0), deque.at(deque.size - 1)]).toEqual([seen.length, seen.length, 4999])
    for (let next = deque.shift(); next !== undefined; next = deque.shift()) seen.push(next)
    expect(seen).toEqual(Array.from({ length: 5000 }, (_, i) => i))
    expect(deque.size).toBe(0)
  })

  it('keeps what passes, in its order', () => {
    const deque = new Deque<number>()
    for (let i = 0; i < 100; i++) deque.push(i)
    for (let i = 0; i < 10; i++) deque.shift()
    deque.keep((n) => n % 10 === 0)
    expect([...deque]).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90])
    deque.push(100)
    expect(deque.at(9)).toBe(100)
  })
})
