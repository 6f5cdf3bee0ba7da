import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, until } from '@mq/conformance/fixtures'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker

beforeAll(async () => {
  broker = await startBroker('redis-sentinel', { fresh: true })
}, 120_000)
afterAll(() => broker.stop(), 30_000)

describe('under Sentinel', () => {
  it('finds the master, and the next one after a fail-over with every confirmed message', async () => {
    const nodes = (broker.details['sentinels'] as string).split(',').map((text) => {
      const [host = '', port] = text.split(':')
      return { host, port: Number(port) }
    })
    // A sentinel that is away must not matter.
    const sentinel = {
      name: broker.details['masterName'] as string,
      nodes: [{ host: '127.0.0.1', port: 1 }, ...nodes],
    }
    const adapter = redisAdapter({ sentinel, commandTimeoutMs: 1_000 })
    try {
      const events = await connected(adapter)
      const queue = await declare(adapter, fresh())
      const sent = Array.from({ length: 200 }, () => outbound(queue))
      const outcomes = await Promise.all(sent.map((m) => adapter.publish([m], live)))
      expect(outcomes.flat().every((o) => o.ok)).toBe(true)
      await broker.kill(0)
      await events.gone
      await until(
        () =>
          connected(adapter).then(
            () => true,
            () => false,
          ),
        40_000,
      )
      expect(await adapter.size(queue)).toBe(200)
      await until(
        async () =>
          (await adapter.publish([outbound(queue)], AbortSignal.timeout(5_000)).catch(() => []))[0]?.ok ===
          true,
        20_000,
      )
    } finally {
      await adapter.disconnect(AbortSignal.timeout(3_000))
    }
  }, 90_000)

  it('says which master the sentinels do not know', async () => {
    const nodes = (broker.details['sentinels'] as string)
      .split(',')
      .map((text) => ({ host: '127.0.0.1', port: Number(text.split(':')[1]) }))
    const adapter = redisAdapter({ sentinel: { name: 'nobody', nodes } })
    await expect(connected(adapter)).rejects.toMatchObject({ code: 'MQ_CONFIGURATION' })
  }, 20_000)
})
