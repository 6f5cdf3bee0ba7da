import { describe, expect, it } from '@jest/globals'
import { Heap } from '../../src/memory/heap.ts'

const byValue = (a: { n: number }, b: { n: number }) => a.n < b.n

describe('Heap', () => {
  it('gives the least first', () => {
    const heap = new Heap<{ n: number }>(byValue)
    const values = Array.from({ length: 500 }, (_, i) => (i * 7919) % 503)
    for (const n of values) heap.push({ n })
    expect(heap.peek()?.n).toBe(Math.min(...values))
    const seen: number[] = []
    for (let next = heap.pop(); next !== undefined; next = heap.pop()) seen.push(next.n)
    expect(seen).toEqual([...values].sort((a, b) => a - b))
  })

  it('lets stale values take no more room than twice the others, and loses none of these', () => {
    const heap = new Heap<{ n: number; stale: boolean }>(byValue, ({ stale }) => stale)
    for (let i = 0; i < 50_000; i++) heap.push({ n: (i * 7919) % 50_021, stale: i % 100 !== 0 })
    expect(heap.size).toBeLessThan(2500)
    const seen: number[] = []
    for (let next = heap.pop(); next !== undefined; next = heap.pop()) if (!next.stale) seen.push(next.n)
    expect(seen).toEqual(
      Array.from({ length: 500 }, (_, i) => (i * 100 * 7919) % 50_021).sort((a, b) => a - b),
    )
  })
})
