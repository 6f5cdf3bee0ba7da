import { describe, expect, it } from '@jest/globals'
import { MessageQueue } from '@mq/core'
import { quietMemory, record, virtualClock } from '../src/index.ts'

const DAY_MS = 24 * 60 * 60 * 1000

describe('virtual time', () => {
  it('lets a month of retries pass, at exactly the times of the policy', async () => {
    const clock = virtualClock()
    const queue = new MessageQueue(quietMemory(clock), {}, { clock })
    const seen = record(queue)
    await queue.connect()
    const start = clock.now()
    const days: number[] = []
    const retry = {
      maxRetries: 30,
      delayMs: DAY_MS,
      maxDelayMs: DAY_MS,
      backoff: 'fixed',
      jitter: 0,
    } as const
    await queue.consume(
      'q',
      () => {
        days.push((clock.now() - start) / DAY_MS)
        throw new Error('not yet')
      },
      { retry },
    )
    await queue.send('q', 'patience')
    await clock.advanceUntil(() => seen.deadLettered.length > 0)
    expect(days).toEqual(Array.from({ length: 31 }, (_, day) => day))
    expect(() => seen.assertDeadLettered('q', 'rejected')).toThrow(/q: max-retries/)
    seen.assertDeadLettered('q', 'max-retries')
    expect(seen.failed).toHaveLength(31)
    await queue.disconnect()
  })

  it('lets nothing wake up in a year without messages', async () => {
    const clock = virtualClock()
    const set: number[] = []
    const watched = {
      ...clock,
      setTimeout: (fn: () => void, ms: number) => {
        set.push(ms)
        return clock.setTimeout(fn, ms)
      },
    }
    const queue = new MessageQueue(quietMemory(watched), {}, { clock: watched })
    await queue.connect()
    await queue.consume('q', () => undefined)
    await clock.advance(1000)
    const before = set.length
    await clock.advance(364 * DAY_MS)
    expect(set).toHaveLength(before)
    await queue.disconnect()
  })

  it('fires timers in the order of their times, then of their setting, each with what follows from it', async () => {
    const clock = virtualClock(0)
    const fired: string[] = []
    const note = (name: string) => fired.push(`${name} ${clock.now()}`)
    clock.setTimeout(() => note('late'), 20)
    clock.setTimeout(() => {
      note('first')
      setImmediate(() => clock.setTimeout(() => note('from it'), 0))
    }, 10)
    clock.setTimeout(() => note('second'), 10)
    clock.clearTimeout(clock.setTimeout(() => note('never'), 15))
    await clock.advance(19)
    expect(fired).toEqual(['first 10', 'second 10', 'from it 10'])
    expect(clock.now()).toBe(19)
    await clock.advance(1)
    expect(fired.at(-1)).toBe('late 20')
  })

  it('stops where the condition holds', async () => {
    const clock = virtualClock(0)
    let done = false
    clock.setTimeout(() => (done = true), 5)
    clock.setTimeout(() => undefined, 10)
    await clock.advanceUntil(() => done)
    expect(clock.now()).toBe(5)
  })

  it('says when something does not happen', async () => {
    await expect(virtualClock().advanceUntil(() => false, 1000)).rejects.toThrow(/1000 ms of virtual time/)
  })

  it('refuses a condition that answers a promise, which would count as true', async () => {
    const later = (() => Promise.resolve(false)) as unknown as () => boolean
    await expect(virtualClock().advanceUntil(later)).rejects.toThrow(/true or false, and no promise/)
  })

  it('starts at a number', () => {
    for (const start of [NaN, new Date(0), '2024'])
      expect(() => virtualClock(start as number)).toThrow(/ms since the epoch/)
  })

  it('never goes backwards, nor on for ever', async () => {
    const clock = virtualClock(0)
    await Promise.all([clock.advance(10), clock.advance(20), clock.advance(5)])
    expect(clock.now()).toBe(20)
    for (const ms of [-1, NaN, Infinity]) await expect(clock.advance(ms)).rejects.toThrow(TypeError)
    await expect(clock.advanceUntil(() => false, NaN)).rejects.toThrow(TypeError)
    const fired: number[] = []
    for (const ms of [NaN, -5]) clock.setTimeout(() => fired.push(clock.now()), ms)
    await clock.advance(0)
    expect(fired).toEqual([20, 20])
  })

  it('lets a job that sends itself on for the first of the next month run for two years', async () => {
    const clock = virtualClock(Date.UTC(2024, 0, 1))
    const queue = new MessageQueue(quietMemory(clock), {}, { clock })
    await queue.connect()
    const ran: string[] = []
    const untilNextMonth = () => {
      const now = new Date(clock.now())
      return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1) - now.getTime()
    }
    await queue.consume('monthly', async () => {
      ran.push(new Date(clock.now()).toISOString())
      await queue.send('monthly', null, { delay: untilNextMonth() })
    })
    await queue.send('monthly', null, { delay: untilNextMonth() })
    await clock.advanceUntil(() => ran.length === 24, 2 * 366 * DAY_MS)
    expect(ran).toEqual(
      Array.from({ length: 24 }, (_, month) => new Date(Date.UTC(2024, month + 1, 1)).toISOString()),
    )
    await queue.disconnect()
  })
})
