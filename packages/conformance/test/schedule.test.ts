import { describe, expect, it } from '@jest/globals'
import { limiter, realClock, turns, within } from '../src/schedule.ts'

/** A task that ends when told. */
function task() {
  let end: () => void = () => undefined
  const ended = new Promise<void>((resolve) => (end = resolve))
  return { end, run: () => ended }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('limiter', () => {
  it('runs as many as its limit allows, and the next when one ends', async () => {
    const limit = limiter(2)
    const started: number[] = []
    const tasks = [task(), task(), task()]
    const all = tasks.map(({ run }, i) =>
      limit(() => {
        started.push(i)
        return run()
      }),
    )
    await settle()
    expect(started).toEqual([0, 1])
    tasks[1]?.end()
    await settle()
    expect(started).toEqual([0, 1, 2])
    for (const { end } of tasks) end()
    await Promise.all(all)
  })
})

describe('turns', () => {
  it('runs one that wants to be alone after those before it, and before those after it', async () => {
    const turn = turns()
    const events: string[] = []
    const [first, alone, later] = [task(), task(), task()]
    const go =
      (name: string, { run }: { run: () => Promise<void> }) =>
      async () => {
        events.push(`${name} starts`)
        await run()
        events.push(`${name} ends`)
      }
    const all = [
      turn(false, go('first', first)),
      turn(true, go('alone', alone)),
      turn(false, go('later', later)),
    ]
    await settle()
    expect(events).toEqual(['first starts'])
    first.end()
    await settle()
    expect(events).toEqual(['first starts', 'first ends', 'alone starts'])
    alone.end()
    await settle()
    expect(events.slice(3)).toEqual(['alone ends', 'later starts'])
    later.end()
    await Promise.all(all)
  })
})

describe('within', () => {
  it('rejects with the description when the work does not end', async () => {
    await expect(within(realClock, new Promise(() => undefined), 1, () => 'too slow')).rejects.toThrow(
      'too slow',
    )
  })

  it('answers what the work answers', async () => {
    await expect(within(realClock, Promise.resolve(1), 1000, () => 'too slow')).resolves.toBe(1)
    await expect(within(realClock, Promise.reject(new Error('no')), 1000, () => 'too slow')).rejects.toThrow(
      'no',
    )
  })
})
