import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
}, 60_000)
afterAll(() => broker.stop(), 30_000)

it.each([{}, { maxPriority: 3 }])(
  'an autoDelete queue that others deleted and made again stays while a consumer from before reads on: %j',
  async (settings) => {
    const [adapter, others] = [redisAdapter({ url: broker.url }), redisAdapter({ url: broker.url })]
    try {
      for (const each of [adapter, others]) await connected(each)
      const queue = await declare(adapter, fresh(), { ...settings, autoDelete: true })
      const receiver = await adapter.open(source(queue), () => undefined)
      await others.remove(queue)
      await declare(others, queue.queue, { ...settings, autoDelete: true })
      expect(await receiver.receive(1, live, 300)).toEqual([])
      const passing = await others.open(source(queue), () => undefined)
      expect(await others.publish([outbound(queue)], live)).toEqual([{ ok: true }])
      await passing.close(live)
      expect(await receiver.receive(1, live, 5_000)).toHaveLength(1)
      await receiver.close(live)
      await expect(adapter.size(queue)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
    } finally {
      for (const each of [adapter, others]) await each.disconnect(AbortSignal.timeout(5_000))
    }
  },
  60_000,
)
