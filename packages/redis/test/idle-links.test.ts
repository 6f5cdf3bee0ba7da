import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import { redisAdapter } from '../src/index.ts'
import { createIdleLinks } from '../src/idle-links.ts'
import type { Link } from '../src/link.ts'

type FakeLink = Link & { dead: boolean }

function fake(): FakeLink {
  const link = { dead: false, destroy: () => void (link.dead = true) }
  return link as unknown as FakeLink
}

describe('idle sockets', () => {
  beforeEach(() => void jest.useFakeTimers())
  afterEach(() => void jest.useRealTimers())

  it('are taken again, the one that was used last first, and never a dead one', () => {
    const gone: Link[] = []
    const idle = createIdleLinks((link) => void gone.push(link))
    const [a, b, c] = [fake(), fake(), fake()]
    for (const link of [a, b, c]) idle.put(link)
    c.dead = true
    expect(idle.take()).toBe(b)
    expect(gone).toEqual([c])
    expect(idle.all()).toEqual([a])
    expect(idle.take()).toBe(a)
    expect(idle.take()).toBeUndefined()
    idle.destroy(undefined)
  })

  it('are closed when nobody has needed them for a while, and leave no timer behind', () => {
    const gone: Link[] = []
    const idle = createIdleLinks((link) => void gone.push(link))
    const [old, busy] = [fake(), fake()]
    idle.put(old)
    for (let second = 0; second < 20; second++) {
      idle.put(busy)
      jest.advanceTimersByTime(1_000)
      expect(idle.take()).toBe(busy)
    }
    expect(gone).toEqual([old])
    expect([old.dead, busy.dead]).toEqual([true, false])
    idle.put(busy)
    jest.advanceTimersByTime(20_000)
    expect([busy.dead, idle.size, jest.getTimerCount()]).toEqual([true, 0, 0])
  })
})

describe('many queues', () => {
  it('share sockets: none is opened anew for every wait', async () => {
    const broker = await startBroker('redis', { fresh: true })
    const adapter = redisAdapter({ url: broker.url })
    try {
      await connected(adapter)
      const names = Array.from({ length: 40 }, () => fresh())
      const queues = await Promise.all(names.map((name) => declare(adapter, name)))
      const receivers = await Promise.all(
        names.map((name) => adapter.open(source({ queue: name }), () => undefined)),
      )
      const opened = async (): Promise<number> =>
        Number(/total_connections_received:(\d+)/.exec(await broker.run('INFO', 'stats'))?.[1])
      // Each turn, all of them wait for a message of their own at once.
      const turn = async (): Promise<void> => {
        const waits = receivers.map((receiver) => receiver.receive(1, live, 5_000))
        for (const queue of queues) await adapter.publish([outbound(queue)], live)
        for (const [i, got] of (await Promise.all(waits)).entries()) {
          expect(got).toHaveLength(1)
          expect(await receivers[i]?.ack(got)).toEqual(['settled'])
        }
      }
      await turn()
      const before = await opened()
      for (let n = 0; n < 5; n++) await turn()
      // Those who ask are connections as well.
      expect((await opened()) - before).toBeLessThanOrEqual(40)
    } finally {
      await adapter.disconnect(AbortSignal.timeout(5_000))
      await broker.stop()
    }
  }, 60_000)
})
