import { describe, expect, it } from '@jest/globals'
import { growth } from '../src/growth.ts'
import { render, type Figures } from '../src/report.ts'
import type { Shape, Side } from '../src/side.ts'

/** An array as a broker, which notes how many messages wait whenever one is handled. */
function notingSide(name: string): { side: Side; waiting: number[][]; shapes: (Shape | undefined)[] } {
  const waiting: number[][] = []
  const shapes: (Shape | undefined)[] = []
  const side: Side = {
    name,
    shapes: true,
    open(_bytes, shape) {
      const items: number[] = []
      const seen: number[] = []
      waiting.push(seen)
      shapes.push(shape)
      let closed = false
      return Promise.resolve({
        publish: (i) => Promise.resolve(items.push(i)),
        publishBatch: (from, count) =>
          Promise.resolve(items.push(...Array.from({ length: count }, (_, n) => from + n))),
        consume(arrived) {
          const next = (): void => {
            const i = closed ? undefined : items.shift()
            if (i !== undefined) {
              seen.push(items.length)
              arrived(i)
            }
            if (!closed) setImmediate(next)
          }
          setImmediate(next)
          return Promise.resolve()
        },
        close() {
          closed = true
          return Promise.resolve()
        },
      })
    },
  }
  return { side, waiting, shapes }
}

describe('W6', () => {
  it('keeps as many messages waiting as it says, and asks for the shapes that it compares', async () => {
    const reference = notingSide('reference')
    const ours = notingSide('ours')
    const rows = await growth(
      [reference.side, ours.side],
      { messages: 400, rounds: 1, backlog: [200, 1_000] },
      () => undefined,
    )
    const [few, many] = ours.waiting as [number[], number[]]
    expect(Math.min(...few.slice(0, 400))).toBeGreaterThanOrEqual(100)
    expect(Math.max(...few)).toBeLessThanOrEqual(200)
    expect(Math.min(...many.slice(0, 400))).toBeGreaterThanOrEqual(900)
    expect(Math.max(...many)).toBeLessThanOrEqual(1_000)
    expect(ours.shapes).toContainEqual({ queues: 100, consumers: 1 })
    expect(ours.shapes).toContainEqual({ queues: 1, consumers: 10 })
    expect(rows.map(({ what, name }) => `${what}, ${name}`)).toEqual([
      '200 → 1,000 waiting, reference',
      '200 → 1,000 waiting, ours',
      '10 → 100 queues, reference',
      '10 → 100 queues, ours',
      '1 → 10 consumers of a queue, ours',
      'bodies of 1 KiB → 10 KiB, reference',
      'bodies of 1 KiB → 10 KiB, ours',
    ])
    for (const { before, after, ratio } of rows) {
      expect(before).toBeGreaterThan(0)
      expect(ratio).toBeCloseTo(after / before)
    }
  })
})

describe('the figures', () => {
  it('become tables that say where they come from', () => {
    const figures: Figures = {
      bench: 'redis',
      machine: 'a machine',
      date: '2026-01-31',
      server: '7.0.15',
      reference: 'bare',
      messages: 20_000,
      rounds: 7,
      throughput: [
        {
          bytes: 256,
          rows: [
            {
              workload: 'W1',
              name: 'weak',
              median: 1234.4,
              ratio: 0.5,
              lowerQuartile: 0.25,
              weaker: 'forgets',
            },
          ],
        },
      ],
      latency: [{ name: 'weak', p50: 1, p99: 2, ratio: 1.5, upperQuartile: 1.75, weaker: undefined }],
      stored: {
        some: 100_000,
        many: 1_000_000,
        rows: [{ name: 'weak', idle: 50, published: 60, growth: 3.25, consuming: 70 }],
      },
      growth: [{ what: 'queues', name: 'weak', before: 10, after: 11, ratio: 1.1, upperQuartile: 1.2 }],
      imports: [{ name: '@mq/redis', ms: 90, mib: 18 }],
      starts: [{ name: 'weak', connect: 5, first: 1 }],
    }
    const text = render(figures, 3)
    expect(text).toContain(
      '2026-01-31, a machine, server 7.0.15 on the same machine. 20,000 messages a run, 7 alternations.',
    )
    expect(text).toContain('| W1 | weak | 1,234 | 0.50 | 0.25 | forgets |')
    expect(text).toContain('| weak | 50.0 MiB | 60.0 MiB | 3.3 MiB | 70.0 MiB |')
    expect(text).toContain('| queues | weak | 10.0 | 11.0 | 1.10 | 1.20 |')
    expect(text).toContain('#### redis: start (W7)')
  })
})
