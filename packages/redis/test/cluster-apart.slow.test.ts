import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import { redisAdapter } from '../src/index.ts'
import { slotOf } from '../src/slots.ts'

let broker: RunningBroker

beforeAll(async () => {
  const extra = { 'cluster-require-full-coverage': 'no' }
  broker = await startBroker('redis-cluster', { fresh: true, replicas: 0, extra })
}, 120_000)
afterAll(() => broker.stop(), 30_000)

/** A queue of the first master, or of the last of three. */
function queueOf(master: 'first' | 'last'): string {
  for (;;) {
    const name = fresh()
    const slot = slotOf(`{mq:${name}}:`)
    if (master === 'first' ? slot < 5_000 : slot > 11_000) return name
  }
}

describe('a master that nothing replaces', () => {
  it('takes its own queues away, and brings them back, while the others go on', async () => {
    const cluster = broker.urls.map((url) => ({ host: '127.0.0.1', port: Number(new URL(url).port) }))
    const adapter = redisAdapter({ cluster, commandTimeoutMs: 2_000 })
    const events = await connected(adapter)
    try {
      const there = await declare(adapter, queueOf('first'))
      const away = await declare(adapter, queueOf('last'))
      const receiver = await adapter.open(source(there), () => undefined)
      const goesOn = async (): Promise<void> => {
        expect(await adapter.publish([outbound(there)], live)).toEqual([{ ok: true }])
        expect(await receiver.ack(await receiver.receive(1, live, 5_000))).toEqual(['settled'])
      }
      const sent = async (): Promise<boolean> =>
        (await adapter.publish([outbound(away)], live))[0]?.ok === true
      broker.freeze(2)
      try {
        // Longer than a master is waited for before it counts as lost.
        for (const end = Date.now() + 75_000; Date.now() < end;) {
          expect(await sent()).toBe(false)
          await goesOn()
        }
      } finally {
        broker.thaw(2)
      }
      await until(sent, 30_000)
      expect(events.lost).toEqual([])
    } finally {
      await adapter.disconnect(AbortSignal.timeout(5_000))
    }
  }, 150_000)

  it.each<[string, () => void | Promise<void>, () => void | Promise<void>]>([
    ['stands still', () => broker.freeze(2), () => broker.thaw(2)],
    ['is down', () => broker.kill(2), () => broker.start(2)],
  ])(
    'and %s keeps nobody from connecting who uses the others',
    async (_, hurt, heal) => {
      const cluster = broker.urls.map((url) => ({ host: '127.0.0.1', port: Number(new URL(url).port) }))
      const adapter = redisAdapter({ cluster, commandTimeoutMs: 2_000 })
      const away = queueOf('last')
      try {
        await hurt()
        try {
          await connected(adapter)
          await adapter.ping(live)
          const there = await declare(adapter, queueOf('first'))
          expect(await adapter.publish([outbound(there)], live)).toEqual([{ ok: true }])
          const receiver = await adapter.open(source(there), () => undefined)
          expect(await receiver.ack(await receiver.receive(1, live, 5_000))).toEqual(['settled'])
          const error: unknown = await declare(adapter, away).catch((reason: unknown) => reason)
          expect(adapter.classify(error).retryable).toBe(true)
        } finally {
          await heal()
        }
        const declared = (): Promise<boolean> =>
          declare(adapter, away).then(
            () => true,
            () => false,
          )
        await until(declared, 30_000)
        expect(await adapter.publish([outbound({ queue: away })], live)).toEqual([{ ok: true }])
      } finally {
        await adapter.disconnect(AbortSignal.timeout(5_000))
      }
    },
    120_000,
  )
})
