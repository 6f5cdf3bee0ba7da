import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { faultProxy, type FaultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import type { BrokerAdapter, OutboundMessage, PublishOutcome } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'
import { connected, declare, fresh, live, message, source, until } from './support.ts'

let broker: RunningBroker
let proxy: FaultProxy
let adapter: BrokerAdapter

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
  const { hostname, port } = new URL(broker.url)
  proxy = await faultProxy({ host: hostname, port: Number(port) })
  adapter = redisAdapter({ host: proxy.host, port: proxy.port })
}, 60_000)

afterAll(async () => {
  await adapter.disconnect(AbortSignal.timeout(5_000))
  await proxy.close()
  await broker.stop()
}, 30_000)

const redis = (...args: string[]): Promise<string> => broker.run(...args)
const oks = (outcomes: readonly PublishOutcome[]): boolean[] => outcomes.map((o) => o.ok)
const scriptsRun = async (): Promise<string> =>
  /cmdstat_evalsha:calls=(\d+)/.exec(await redis('INFO', 'commandstats'))?.[1] ?? '0'

/** Publishes, and cuts the connection when the server has run it, before its answer has come. */
async function unanswered(events: { gone: Promise<unknown> }, batch: OutboundMessage[]): Promise<void> {
  const before = await scriptsRun()
  proxy.blackHole('down')
  const outcome = adapter.publish(batch, live)
  await until(async () => (await scriptsRun()) !== before)
  proxy.cut()
  expect((await outcome)[0]).toMatchObject({ ok: false, certainty: 'unknown' })
  await events.gone
  proxy.heal()
}

describe('a call that a full queue refused, and whose answer was lost', () => {
  it('is refused again, and stored once there is room', async () => {
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh(), { maxLength: 1 })
    await adapter.publish([message(queue)], live)
    const refused = message(queue)
    await unanswered(events, [refused])
    await connected(adapter)
    for (let i = 0; i < 2; i++) {
      expect((await adapter.publish([refused], live))[0]).toMatchObject({
        ok: false,
        certainty: 'not-stored',
      })
    }
    expect(await adapter.purge(queue)).toBe(1)
    expect(oks(await adapter.publish([refused], live))).toEqual([true])
    expect(await adapter.size(queue)).toBe(1)
    await adapter.disconnect(live)
  }, 20_000)

  it('gets the same answer when some of its messages were stored', async () => {
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh(), { maxLength: 2 })
    const batch = [1, 2, 3].map(() => message(queue))
    await unanswered(events, batch)
    await connected(adapter)
    const receiver = await adapter.open(source(queue.queue), () => undefined)
    expect(await receiver.ack(await receiver.receive(10, live))).toEqual(['settled', 'settled'])
    expect(oks(await adapter.publish(batch, live))).toEqual([true, true, false])
    expect(await adapter.size(queue)).toBe(0)
    await adapter.disconnect(live)
  }, 20_000)
})
