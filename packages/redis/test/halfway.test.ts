import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, failure, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, PublishOutcome, SettleOutcome } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker
let adapter: BrokerAdapter

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
  adapter = redisAdapter({ url: broker.url })
  await connected(adapter)
}, 60_000)

afterAll(async () => {
  await adapter.disconnect(AbortSignal.timeout(5_000))
  await broker.stop()
}, 30_000)

const redis = (...args: string[]): Promise<string> => broker.run(...args)
const wide = (n: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`h${i}`, '']))
const codeOf = (outcome: PublishOutcome | SettleOutcome | undefined): string =>
  adapter.classify(typeof outcome === 'object' && 'error' in outcome ? outcome.error : null).code

describe('a message with more fields than a script can handle', () => {
  it('is refused for certain each time, and alone', async () => {
    const queue = await declare(adapter, fresh())
    const batch = [outbound(queue), outbound(queue, { headers: wide(4_100) }), outbound(queue)]
    const first = await adapter.publish(batch, live)
    expect(first).toEqual([
      { ok: true },
      { ok: false, error: expect.anything(), certainty: 'not-stored' },
      { ok: true },
    ])
    expect(codeOf(first[1])).toBe('MQ_MESSAGE_TOO_LARGE')
    const [again] = await adapter.publish(batch.slice(1, 2), live)
    expect(codeOf(again)).toBe('MQ_MESSAGE_TOO_LARGE')
    expect(await adapter.size(queue)).toBe(2)
  })

  it('stays leased when a foreign client wrote it and it is retried, given back or dead-lettered', async () => {
    const queue = await declare(adapter, fresh())
    const fields = Object.keys(wide(3_990)).flatMap((name) => [name, ''])
    await redis('XADD', `{mq:${queue.queue}}:s:0`, '*', ...fields)
    const receiver = await adapter.open(source(queue, { leaseMs: 100 }), () => undefined)
    const held = await receiver.receive(1, live)
    for (const outcome of [
      (await receiver.retry(held, 0))[0],
      (await receiver.release(held))[0],
      (await receiver.deadLetter(held, [failure()], { queue: `${queue.queue}.dlq` }))[0],
    ])
      expect(['MQ_MESSAGE_TOO_LARGE', 'MQ_QUEUE_FULL']).toContain(codeOf(outcome))
    await receiver.close(live)
    const next = await adapter.open(source(queue), () => undefined)
    const again = await next.receive(1, live, 5_000)
    expect(again.map((d) => d.id)).toEqual(held.map((d) => d.id))
    expect(await next.ack(again)).toEqual(['settled'])
  })
})

describe('a dead-letter queue whose stream is something else', () => {
  it.each([false, true])('leaves the message leased (it was declared: %s)', async (declared) => {
    const queue = await declare(adapter, fresh())
    const dead = { queue: `${queue.queue}.dlq` }
    const stream = `{mq:${queue.queue}}:dlq:s:0`
    if (declared) await declare(adapter, dead.queue)
    await redis('DEL', stream)
    await redis('SET', stream, 'mine')
    await adapter.publish([outbound(queue)], live)
    const receiver = await adapter.open(source(queue), () => undefined)
    const held = await receiver.receive(1, live)
    expect(codeOf((await receiver.deadLetter(held, [failure()], dead))[0])).toBe('MQ_QUEUE_CONFLICT')
    await redis('DEL', stream)
    expect(await receiver.deadLetter(held, [failure()], dead)).toEqual(['settled'])
    expect((await redis('XLEN', stream)).trim()).toBe('1')
  })
})

describe('a key of the wrong type amid a move', () => {
  const far = () => Date.now() + 600_000

  it.each([
    ['the keys in order', 'o', { ordered: true }, { key: 'k' }],
    ['a lane', 's:2', { maxPriority: 3 }, { priority: 2 }],
    ['the expiry index', 'x', {}, { expiresAt: far() }],
    ['the wake stream', 'w', { ordered: true }, { key: 'k' }],
  ])(
    '%s: what is delayed stays where it is, and comes once when that is repaired',
    async (_, key, over, fields) => {
      const queue = await declare(adapter, fresh(), over)
      const sent = outbound(queue, { delayMs: 300, ...fields })
      await adapter.publish([sent], live)
      const receiver = await adapter.open(source(queue, { ordered: key === 'o' }), () => undefined)
      const obstacle = `{mq:${queue.queue}}:${key}`
      await redis('DEL', obstacle)
      await redis('SET', obstacle, 'mine')
      await expect(receiver.receive(1, live, 5_000)).rejects.toThrow(/WRONGTYPE/)
      await expect(receiver.receive(1, live, 0)).rejects.toThrow(/WRONGTYPE/)
      await redis('DEL', obstacle)
      const got = await receiver.receive(10, live, 5_000)
      expect(got.map(({ id }) => id)).toEqual([sent.id])
      expect(await receiver.ack(got)).toEqual(['settled'])
      expect(await receiver.receive(10, live, 0)).toEqual([])
    },
  )

  it('a lane: what was refused is stored when it comes again, and then once for its deduplication id', async () => {
    const queue = await declare(adapter, fresh(), { maxPriority: 3, deduplicationWindowMs: 60_000 })
    const obstacle = `{mq:${queue.queue}}:s:2`
    await redis('SET', obstacle, 'mine')
    const sent = outbound(queue, { priority: 2, deduplicationId: 'd' })
    const [refused] = await adapter.publish([sent], live)
    expect(codeOf(refused)).toBe('MQ_QUEUE_CONFLICT')
    await redis('DEL', obstacle)
    for (let n = 0; n < 2; n++) expect(await adapter.publish([sent], live)).toEqual([{ ok: true }])
    expect(await adapter.size(queue)).toBe(1)
  })

  it('the dead-letter queue: what expired stays in its own, and is moved when that is repaired', async () => {
    const name = fresh()
    const queue = await declare(adapter, name, { deadLetterQueue: `${name}.dlq`, ordered: true })
    const obstacle = `{mq:${name}}:dlq:s:0`
    await redis('SET', obstacle, 'mine')
    await redis('DEL', `{mq:${name}}:dlq:meta`)
    const sent = outbound(queue, { expiresAt: Date.now() })
    await adapter.publish([sent], live)
    const receiver = await adapter.open(source({ queue: name }, { ordered: true }), () => undefined)
    await until(async () => {
      const refused = await receiver.receive(1, live, 0).then(
        () => '',
        (error: unknown) => String(error),
      )
      return refused.includes('WRONGTYPE')
    })
    expect((await redis('XLEN', `{mq:${name}}:s:0`)).trim()).toBe('1')
    await redis('DEL', obstacle)
    await receiver.receive(1, live, 0)
    expect(await adapter.size({ queue: `${name}.dlq` })).toBe(1)
    expect((await redis('XLEN', `{mq:${name}}:s:0`)).trim()).toBe('0')
  })
})
