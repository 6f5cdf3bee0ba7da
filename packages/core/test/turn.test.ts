import { describe, expect, it } from '@jest/globals'
import { MessageQueueFactory } from '../src/index.ts'
import { Turn } from '../src/turn.ts'

/** Keeps the event loop from turning, by promises alone, until `done` or for a second. */
async function hold(done: () => boolean): Promise<void> {
  const endsAt = performance.now() + 1000
  while (!done() && performance.now() < endsAt) await Promise.resolve()
}

describe('Turn', () => {
  it('is overdue when promises alone have run for long, and not after the event loop turned', async () => {
    const turn = new Turn()
    expect(turn.overdue()).toBe(false)
    await hold(() => turn.overdue())
    expect(turn.overdue()).toBe(true)
    await turn.next()
    await turn.next()
    expect(turn.overdue()).toBe(false)
  })

  it('is never overdue by a clock that stands still, whatever time it shows', async () => {
    let now = 0
    const turn = new Turn(() => now)
    const endsAt = performance.now() + 20
    await hold(() => turn.overdue() || performance.now() > endsAt)
    expect(turn.overdue()).toBe(false)
    now = 6
    expect(turn.overdue()).toBe(true)
  })

  it('lets timers run beside a tight loop of sends, and of receives', async () => {
    await using queue = MessageQueueFactory.createForTesting()
    await queue.connect()
    let fired = false
    setTimeout(() => (fired = true), 1)
    let sent = 0
    for (; !fired && sent < 100_000; sent++) await queue.send('q', sent)
    expect(fired).toBe(true)
    let consumed = 0
    let firedAt = -1
    setTimeout(() => (firedAt = consumed), 1)
    for (; sent < 20_000; sent++) await queue.send('q', sent)
    await new Promise<void>((resolve) => {
      void queue.consume('q', () => void (++consumed === sent && resolve()), { concurrency: 100 })
    })
    expect(firedAt).toBeLessThan(sent)
  })
})
