import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { faultProxy, type FaultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, OutboundMessage, PublishOutcome } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'

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

/** Publishes, and comes back when the server has run it; no answer arrives. */
async function unheard(batch: OutboundMessage[]): Promise<Promise<readonly PublishOutcome[]>[]> {
  const before = await scriptsRun()
  proxy.blackHole('down')
  const outcome = adapter.publish(batch, live)
  await until(async () => (await scriptsRun()) !== before)
  return [outcome]
}

/** Cuts the connection, so that none of these answers arrives. */
async function lost(
  events: { gone: Promise<unknown> },
  outcomes: Promise<readonly PublishOutcome[]>[],
): Promise<void> {
  proxy.cut()
  for (const outcome of outcomes)
    expect((await outcome)[0]).toMatchObject({ ok: false, certainty: 'unknown' })
  await events.gone
  proxy.heal()
}

/** Publishes, and cuts the connection when the server has run it, before its answer has come. */
async function unanswered(events: { gone: Promise<unknown> }, batch: OutboundMessage[]): Promise<void> {
  await lost(events, await unheard(batch))
}

describe('a call that a full queue refused, and whose answer was lost', () => {
  it('is refused again, and stored once there is room', async () => {
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh(), { maxLength: 1 })
    await adapter.publish([outbound(queue)], live)
    const refused = outbound(queue)
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
    const batch = [1, 2, 3].map(() => outbound(queue))
    await unanswered(events, batch)
    await connected(adapter)
    const receiver = await adapter.open(source(queue), () => undefined)
    expect(await receiver.ack(await receiver.receive(10, live))).toEqual(['settled', 'settled'])
    expect(oks(await adapter.publish(batch, live))).toEqual([true, true, false])
    expect(await adapter.size(queue)).toBe(0)
    await adapter.disconnect(live)
  }, 20_000)
})

describe('a call that the server refused, and that leaves no trace of its own', () => {
  it('runs when it comes again, although a later one has run and both answers were lost', async () => {
    const events = await connected(adapter)
    const [queue, other] = [await declare(adapter, fresh()), await declare(adapter, fresh())]
    await adapter.publish([outbound(queue)], live)
    await adapter.publish([outbound(other)], live)
    const batch = (): OutboundMessage[] => [outbound(queue)]
    const [early, refused, alsoRefused, late] = [batch(), batch(), batch(), batch()]
    const outcomes = await unheard(early)
    await redis('CONFIG', 'SET', 'maxmemory', '1')
    try {
      outcomes.push(...(await unheard(refused)))
      outcomes.push(...(await unheard(alsoRefused)))
    } finally {
      await redis('CONFIG', 'SET', 'maxmemory', '0')
    }
    outcomes.push(...(await unheard(late)))
    await lost(events, outcomes)
    await connected(adapter)
    expect(await adapter.size(queue)).toBe(3)
    for (const each of [late, alsoRefused, early, refused])
      expect(oks(await adapter.publish(each, live))).toEqual([true])
    expect(await adapter.size(queue)).toBe(5)
    await adapter.disconnect(live)
  }, 20_000)

  it('is refused again while its queue is missing, and stored once it is there', async () => {
    const events = await connected(adapter)
    // Under one hash tag, so that one mark stands for the calls to both.
    const queue = await declare(adapter, fresh())
    const missing = { queue: `${queue.queue}.dlq` }
    const [refused, stored] = [[outbound(missing)], [outbound(queue)]]
    await lost(events, [...(await unheard(refused)), ...(await unheard(stored))])
    await connected(adapter)
    expect((await adapter.publish(refused, live))[0]).toMatchObject({ ok: false, certainty: 'not-stored' })
    await declare(adapter, missing.queue)
    expect(oks(await adapter.publish(refused, live))).toEqual([true])
    expect(oks(await adapter.publish(stored, live))).toEqual([true])
    expect([await adapter.size(missing), await adapter.size(queue)]).toEqual([1, 1])
    await adapter.disconnect(live)
  }, 20_000)
})

describe('the calls of a publisher', () => {
  it('leave one mark where none was refused, however many queues take turns', async () => {
    await connected(adapter)
    const queues = [await declare(adapter, fresh()), await declare(adapter, fresh(), { maxLength: 1_000 })]
    for (let i = 0; i < 3; i++)
      for (const queue of queues) expect(oks(await adapter.publish([outbound(queue)], live))).toEqual([true])
    for (const { queue } of queues) expect(await redis('KEYS', `{mq:${queue}}:tk:*:r`)).toBe('')
    await adapter.disconnect(live)
  }, 20_000)
})
