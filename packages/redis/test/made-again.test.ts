import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'
import { scripts } from '../src/scripts/index.ts'

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
const keysOf = async (queue: string): Promise<string[]> =>
  (await redis('KEYS', `{mq:${queue}}:*`)).split('\n').filter((key) => key !== '' && !key.includes(':tk:'))

describe('a queue that has expired', () => {
  const kind = { ordered: true, maxPriority: 3 } as const

  it('leaves nothing behind of what came after its declaration', async () => {
    // Long enough to publish and to start what asks for the keys, on a busy machine too.
    const queue = await declare(adapter, fresh(), { ...kind, expires: 3_000 })
    const far = Date.now() + 600_000
    await adapter.publish(
      [
        outbound(queue, { key: 'a', expiresAt: far }),
        outbound(queue, { key: 'a' }),
        outbound(queue, { key: 'b', priority: 2 }),
        outbound(queue, { key: 'c', delayMs: 60_000 }),
      ],
      live,
    )
    expect((await keysOf(queue.queue)).length).toBeGreaterThan(8)
    await until(async () => (await keysOf(queue.queue)).length === 0, 20_000)
  })

  it('and is made again begins empty, whatever of the old one is left', async () => {
    const queue = await declare(adapter, fresh(), kind)
    await adapter.publish(
      [
        outbound(queue, { key: 'a' }),
        outbound(queue, { key: 'a' }),
        outbound(queue, { key: 'b', delayMs: 1 }),
        outbound(queue, { key: 'c', priority: 3 }),
      ],
      live,
    )
    await redis('DEL', `{mq:${queue.queue}}:meta`, `{mq:${queue.queue}}:s:0`)
    await declare(adapter, queue.queue, kind)
    expect(await adapter.size(queue)).toBe(0)
    const sent = outbound(queue, { key: 'a' })
    await adapter.publish([sent], live)
    const receiver = await adapter.open(source(queue, { ordered: true }), () => undefined)
    const got = await receiver.receive(10, live, 1_000)
    expect(got.map((d) => d.id)).toEqual([sent.id])
    expect(await receiver.receive(10, live, 0)).toEqual([])
  })
})

describe('a queue that expires soon', () => {
  it('lives on while its consumer only works on what it holds', async () => {
    const queue = await declare(adapter, fresh(), { expires: 2_400 })
    await adapter.publish([outbound(queue), outbound(queue)], live)
    const receiver = await adapter.open(source(queue), () => undefined)
    const held = await receiver.receive(1, live)
    let [left, renewals] = [Number.POSITIVE_INFINITY, 0]
    await until(async () => {
      const now = Number(await redis('PTTL', `{mq:${queue.queue}}:s:0`))
      if (now > left) renewals++
      left = now
      return left < 0 || renewals === 3
    })
    expect(left).toBeGreaterThan(0)
    expect(await receiver.ack(held)).toEqual(['settled'])
    await receiver.close(live)
    await until(async () => (await keysOf(queue.queue)).length === 0, 20_000)
  }, 30_000)
})

describe('a queue that is deleted and made again as another kind', () => {
  it('is read as what it is now by a receiver from before', async () => {
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    await receiver.receive(1, live, 0)
    await adapter.remove(queue)
    await declare(adapter, queue.queue, { maxPriority: 9 })
    const sent = outbound(queue, { priority: 5 })
    await adapter.publish([sent], live)
    expect((await receiver.receive(1, live, 5_000)).map((d) => d.id)).toEqual([sent.id])
  })

  it('is acknowledged as what it is now by a receiver from before', async () => {
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    await receiver.receive(1, live, 0)
    await adapter.remove(queue)
    await declare(adapter, queue.queue, { ordered: true })
    const sent = [1, 2, 3].map(() => outbound(queue, { key: 'k' }))
    await adapter.publish(sent, live)
    const got: string[] = []
    while (got.length < 3) {
      const deliveries = await receiver.receive(10, live, 5_000)
      expect(deliveries).toHaveLength(1)
      got.push(...deliveries.map((d) => d.id))
      expect(await receiver.ack(deliveries)).toEqual(['settled'])
    }
    expect(got).toEqual(sent.map((m) => m.id))
  })
})

describe('an exclusive queue that others deleted and made again', () => {
  it('outlives its first owner', async () => {
    const owner = redisAdapter({ url: broker.url })
    await connected(owner)
    const name = fresh()
    await declare(owner, name, { exclusive: true })
    await adapter.remove({ queue: name })
    const queue = await declare(adapter, name)
    await adapter.publish([outbound(queue)], live)
    await owner.disconnect(AbortSignal.timeout(5_000))
    expect(await adapter.size(queue)).toBe(1)
  })

  it('is not kept alive by its first owner', async () => {
    const { queue } = await declare(adapter, fresh(), { expires: 60_000 })
    const [base, meta] = [`{mq:${queue}}:`, `{mq:${queue}}:meta`]
    await redis('PEXPIRE', meta, '50000')
    // What the owner of an exclusive queue does every quarter of a minute.
    await redis('EVALSHA', scripts.open.sha, '1', base, 'beat', '', '0', 'somebody', '0')
    expect(Number(await redis('PTTL', meta))).toBeLessThanOrEqual(50_000)
  })

  it('ends with its owner when it is still the same, as a place for answers does', async () => {
    const owner = redisAdapter({ url: broker.url })
    await connected(owner)
    const name = fresh()
    await declare(owner, name, { exclusive: true })
    const { address } = await owner.openReplies()
    for (const each of [name, address]) expect(await keysOf(each)).not.toEqual([])
    await owner.disconnect(AbortSignal.timeout(5_000))
    for (const each of [name, address]) expect(await keysOf(each)).toEqual([])
  })
})

describe('a queue whose stream or group others deleted', () => {
  it.each([
    ['the stream', 'DEL', []],
    ['the group', 'XGROUP', ['mq']],
  ])('is whole again once it is declared, also where nobody consumes: %s', async (_, command, rest) => {
    const over = { maxLength: 5, maxPriority: 3 }
    const queue = await declare(adapter, fresh(), over)
    const send = async (): Promise<boolean | undefined> =>
      (await adapter.publish([outbound(queue, { priority: 2 })], live))[0]?.ok
    expect(await send()).toBe(true)
    for (const lane of ['0', '2']) {
      const stream = `{mq:${queue.queue}}:s:${lane}`
      await redis(command, ...(command === 'XGROUP' ? ['DESTROY', stream] : [stream]), ...rest)
    }
    await send()
    await expect(adapter.size(queue)).rejects.toMatchObject({ message: expect.stringContaining('NOGROUP') })
    await declare(adapter, queue.queue, over)
    expect(await send()).toBe(true)
    const size = await adapter.size(queue)
    const receiver = await adapter.open(source(queue), () => undefined)
    expect(await receiver.receive(10, live)).toHaveLength(size)
  })
})
