import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { faultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, until } from '@mq/conformance/fixtures'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
}, 60_000)
afterAll(() => broker.stop(), 30_000)

it('an exclusive queue that was made by a call without an answer belongs to who made it', async () => {
  const { hostname, port } = new URL(broker.url)
  const proxy = await faultProxy({ host: hostname, port: Number(port) })
  const adapter = redisAdapter({ host: proxy.host, port: proxy.port })
  const isThere = async (name: string): Promise<boolean> =>
    (await broker.run('EXISTS', `{mq:${name}}:meta`)).trim() === '1'
  try {
    const events = await connected(adapter)
    const name = fresh()
    proxy.blackHole('down')
    const unanswered = declare(adapter, name, { exclusive: true })
    await until(() => isThere(name))
    proxy.cut()
    await expect(unanswered).rejects.toThrow()
    await events.gone
    proxy.heal()
    await connected(adapter)
    await declare(adapter, name, { exclusive: true })
    await adapter.disconnect(AbortSignal.timeout(5_000))
    expect(await isThere(name)).toBe(false)
  } finally {
    await adapter.disconnect(AbortSignal.timeout(1_000))
    await proxy.close()
  }
}, 60_000)
