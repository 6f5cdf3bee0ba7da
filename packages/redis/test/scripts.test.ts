import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import {
  connected,
  declare,
  failure,
  fresh,
  live,
  outbound,
  plainSettings,
  source,
  until,
} from '@mq/conformance/fixtures'
import type { BrokerAdapter, Receiver } from '@mq/core/adapter'
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
const ids = (list: readonly { id: string }[]): string[] => list.map((d) => d.id)

async function drain(receiver: Receiver): Promise<string[]> {
  const out: string[] = []
  for (;;) {
    const got = await receiver.receive(10, live, 0)
    if (got.length === 0) return out
    out.push(...ids(got))
    expect(await receiver.ack(got)).toEqual(got.map(() => 'settled'))
  }
}

describe('beside other clients', () => {
  it('consumes what redis-cli adds to the stream', async () => {
    const name = fresh()
    await declare(adapter, name)
    await redis('XADD', `{mq:${name}}:s:0`, '*', 'body', '{"a":1}', 'h:user', '42')
    const receiver = await adapter.open(source({ queue: name }), () => undefined)
    const [got] = await receiver.receive(1, live)
    expect(got).toMatchObject({ headers: { user: '42' }, contentType: undefined })
    expect(got?.body.toString()).toBe('{"a":1}')
    expect(got?.id).toMatch(/^\d+-0$/)
    expect(await receiver.ack(got ? [got] : [])).toEqual(['settled'])
  })

  it('takes a stream that a foreign client made as a queue, from its beginning', async () => {
    const name = fresh()
    await redis('XADD', `{mq:${name}}:s:0`, '*', 'body', 'first')
    expect(await adapter.size({ queue: name })).toBe(1)
    const receiver = await adapter.open(source({ queue: name }), () => undefined)
    expect((await receiver.receive(1, live))[0]?.body.toString()).toBe('first')
  })

  it('frees a key that is no text when its message is acknowledged', async () => {
    const queue = await declare(adapter, fresh(), { ordered: true })
    const base = `{mq:${queue.queue}}:`
    await redis('EVAL', `redis.call('XADD', KEYS[1], '*', 'body', '', 'key', '\\255')`, '1', `${base}s:0`)
    const first = await adapter.open(source(queue, { ordered: true }), () => undefined)
    await first.receive(1, live)
    await first.close(live)
    expect((await redis('EXISTS', `${base}o`)).trim()).toBe('1')
    expect(await drain(await adapter.open(source(queue, { ordered: true }), () => undefined))).toHaveLength(1)
    expect((await redis('EXISTS', `${base}o`)).trim()).toBe('0')
  })

  it('writes entries that XRANGE shows as they are', async () => {
    const queue = await declare(adapter, fresh())
    await adapter.publish(
      [outbound(queue, { id: 'one', headers: { user: '42' }, timestamp: 1_700_000_000_000 })],
      live,
    )
    const shown = await redis('XRANGE', `{mq:${queue.queue}}:s:0`, '-', '+')
    expect(shown.trim().split('\n').slice(1)).toEqual([
      'id',
      'one',
      'ts',
      '1700000000000',
      'body',
      '{"a":1}',
      'content-type',
      'application/json',
      'h:user',
      '42',
    ])
  })
})

describe('leases', () => {
  it('compares idle time with the lease of the owner, not of who comes to take over', async () => {
    const queue = await declare(adapter, fresh())
    await adapter.publish([outbound(queue)], live)
    const owner = await adapter.open(source(queue, { leaseMs: 60_000 }), () => undefined)
    const hasty = await adapter.open(source(queue, { leaseMs: 50 }), () => undefined)
    const held = await owner.receive(1, live)
    expect(await hasty.receive(1, live, 300)).toEqual([])
    expect(await owner.ack(held)).toEqual(['settled'])
  })

  it('finds one that ran out behind any number that have not', async () => {
    const queue = await declare(adapter, fresh())
    for (let i = 0; i < 6; i++)
      await adapter.publish(
        Array.from({ length: 200 }, () => outbound(queue)),
        live,
      )
    const [steady, crashed, next] = [
      await adapter.open(source(queue, { leaseMs: 60_000, prefetch: 1_199 }), () => undefined),
      await adapter.open(source(queue, { leaseMs: 200 }), () => undefined),
      await adapter.open(source(queue, { leaseMs: 200 }), () => undefined),
    ]
    for (let held = 0; held < 1_199;) held += (await steady.receive(1_199 - held, live)).length
    const [lost] = await crashed.receive(1, live)
    expect((await next.receive(10, live, 10_000)).map((d) => d.id)).toEqual([lost?.id])
  }, 20_000)

  it('refuses a stale owner each way of settling, and leaves the new owner alone', async () => {
    const queue = await declare(adapter, fresh())
    await adapter.publish([outbound(queue)], live)
    const first = await adapter.open(source(queue, { leaseMs: 50 }), () => undefined)
    const second = await adapter.open(source(queue, { leaseMs: 60_000 }), () => undefined)
    const stale = await first.receive(1, live)
    let held = await second.receive(1, live, 5_000)
    expect(held).toHaveLength(1)
    expect(held[0]?.redeliveries).toBe(1)
    expect(await first.ack(stale)).toEqual(['lost'])
    expect(await first.renew(stale)).toEqual(['lost'])
    expect(await first.release(stale)).toEqual(['lost'])
    expect(await first.retry(stale, 0)).toEqual(['lost'])
    expect(await first.deadLetter(stale, [failure()], { queue: `${queue.queue}.dlq` })).toEqual(['lost'])
    expect(await second.renew(held)).toEqual(['settled'])
    expect(await second.ack(held)).toEqual(['settled'])
    held = await second.receive(1, live, 0)
    expect(held).toEqual([])
  })

  it('gives back everything at once when a consumer closes', async () => {
    const queue = await declare(adapter, fresh())
    await adapter.publish(
      Array.from({ length: 450 }, () => outbound(queue)),
      live,
    )
    const first = await adapter.open(source(queue, { prefetch: 450 }), () => undefined)
    let held = 0
    while (held < 450) held += (await first.receive(450, live)).length
    expect(await adapter.size(queue)).toBe(0)
    await first.close(live)
    expect(await adapter.size(queue)).toBe(450)
    const second = await adapter.open(source(queue), () => undefined)
    const [again] = await second.receive(1, live)
    expect(again).toMatchObject({ deliveryCount: 0, redeliveries: 0 })
  })

  it('leaves nothing of an acknowledged message behind', async () => {
    const queue = await declare(adapter, fresh(), { ordered: true, maxPriority: 3, maxLengthBytes: 10_000 })
    const sent = ['a', 'a', 'b'].map((key, i) =>
      outbound(queue, { key, priority: i, expiresAt: Date.now() + 60_000 }),
    )
    await adapter.publish(sent, live)
    const receiver = await adapter.open(source(queue, { ordered: true }), () => undefined)
    expect((await drain(receiver)).sort()).toEqual(ids(sent).sort())
    const base = `{mq:${queue.queue}}:`
    for (const key of ['x', 'o', 'd', 'dm', 'k:a', 'k:b'])
      expect((await redis('EXISTS', base + key)).trim()).toBe('0')
    expect((await redis('HMGET', `${base}meta`, 'by', 'wait')).match(/\d+/g)).toEqual(['0', '0'])
  })
})

describe('a queue that is deleted', () => {
  it('leaves no key behind', async () => {
    const queue = await declare(adapter, fresh(), { deadLetterQueue: null, messageTtl: 60_000 })
    await adapter.publish([outbound(queue), outbound(queue, { delayMs: 60_000 })], live)
    const receiver = await adapter.open(source(queue), () => undefined)
    await receiver.receive(1, live)
    await receiver.close(live)
    await adapter.remove(queue)
    expect(await redis('KEYS', `{mq:${queue.queue}}*`)).toBe('')
  })
})

describe('the same call again', () => {
  it('is absorbed when the first attempt had run although its answer was lost', async () => {
    const queue = await declare(adapter, fresh())
    const batch = [outbound(queue), outbound(queue)]
    const first = new AbortController()
    const outcome = adapter.publish(batch, first.signal)
    first.abort(new Error('deadline'))
    expect(await outcome).toEqual([
      { ok: false, error: expect.anything(), certainty: 'unknown' },
      { ok: false, error: expect.anything(), certainty: 'unknown' },
    ])
    expect(await adapter.publish(batch, live)).toEqual([{ ok: true }, { ok: true }])
    expect(await adapter.size(queue)).toBe(2)
  })

  it('stores two when a message is sent twice on purpose', async () => {
    const queue = await declare(adapter, fresh())
    const twice = outbound(queue)
    await adapter.publish([twice], live)
    await adapter.publish([{ ...twice, sendToken: 'another' }], live)
    expect(await adapter.size(queue)).toBe(2)
  })
})

describe('after SCRIPT FLUSH', () => {
  it('loads the scripts again and keeps the order of the calls', async () => {
    const queue = await declare(adapter, fresh())
    await redis('SCRIPT', 'FLUSH')
    const sent = Array.from({ length: 20 }, () => outbound(queue))
    const outcomes = await Promise.all(sent.map((m) => adapter.publish([m], live)))
    expect(outcomes.flat().every((o) => o.ok)).toBe(true)
    const receiver = await adapter.open(source(queue), () => undefined)
    expect(await drain(receiver)).toEqual(ids(sent))
  })

  it('numbers a call anew that has to run again: later ones may have run before it', async () => {
    const queue = await declare(adapter, fresh())
    const mark = async (): Promise<number> => {
      const keys = (await redis('KEYS', `{mq:${queue.queue}}:tk:*`)).trim().split('\n')
      return Number(await redis('GET', keys.find((key) => !key.endsWith(':r')) ?? ''))
    }
    await adapter.publish([outbound(queue)], live)
    const before = await mark()
    await redis('SCRIPT', 'FLUSH')
    await adapter.publish([outbound(queue)], live)
    expect(await mark()).toBe(before + 2)
  })
})

describe('limits', () => {
  it('counts bytes of what is ready, whatever happens to it', async () => {
    const queue = await declare(adapter, fresh(), { maxLengthBytes: 100 })
    const big = () => outbound(queue, { body: Buffer.alloc(40, 65) })
    expect((await adapter.publish([big(), big(), big()], live)).map((o) => o.ok)).toEqual([true, true, false])
    const receiver = await adapter.open(source(queue), () => undefined)
    const held = await receiver.receive(1, live)
    expect((await adapter.publish([big()], live))[0]?.ok).toBe(true)
    await receiver.release(held)
    expect((await adapter.publish([big()], live))[0]?.ok).toBe(false)
    expect(await adapter.purge(queue)).toBe(3)
    expect((await adapter.publish([big(), big()], live)).map((o) => o.ok)).toEqual([true, true])
  })

  it.each([
    ['added', true],
    ['took out', false],
  ])('counts as before once what a foreign client %s is gone', async (_, adds) => {
    const queue = await declare(adapter, fresh(), { maxLengthBytes: 100 })
    const stream = `{mq:${queue.queue}}:s:0`
    const big = () => outbound(queue, { body: Buffer.alloc(40, 65) })
    if (adds) await redis('XADD', stream, '*', 'body', 'x'.repeat(80))
    else {
      await adapter.publish([big()], live)
      await redis('XTRIM', stream, 'MAXLEN', '0')
    }
    const receiver = await adapter.open(source(queue), () => undefined)
    await drain(receiver)
    expect((await adapter.publish([big(), big(), big()], live)).map((o) => o.ok)).toEqual([true, true, false])
  })

  it('counts no bytes of what was purged behind its key', async () => {
    const queue = await declare(adapter, fresh(), { ordered: true, maxLengthBytes: 100 })
    const sized = (bytes: number, key = 'k') => outbound(queue, { key, body: Buffer.alloc(bytes, 65) })
    expect((await adapter.publish([sized(33), sized(33), sized(33)], live)).every((o) => o.ok)).toBe(true)
    expect(await adapter.purge(queue)).toBe(3)
    expect((await adapter.publish([sized(40), sized(60), sized(1)], live)).map((o) => o.ok)).toEqual([
      true,
      true,
      false,
    ])
  })

  it('purges any number behind a key that waits for its retry, and leaves the key free', async () => {
    const queue = await declare(adapter, fresh(), { ordered: true, maxLengthBytes: 1_000_000 })
    const many = () => Array.from({ length: 1_250 }, () => outbound(queue, { key: 'k' }))
    await adapter.publish(many(), live)
    const receiver = await adapter.open(source(queue, { ordered: true }), () => undefined)
    expect(await receiver.retry(await receiver.receive(1, live), 60_000)).toEqual(['settled'])
    await adapter.publish(many(), live)
    expect(await adapter.purge(queue)).toBe(2_500)
    const base = `{mq:${queue.queue}}:`
    expect((await redis('HMGET', `${base}meta`, 'by', 'wait')).match(/\d+/g)).toEqual(['0', '0'])
    const next = outbound(queue, { key: 'k' })
    await adapter.publish([next], live)
    expect(await drain(receiver)).toEqual([next.id])
  })

  it('moves what it drops to the dead-letter queue, oldest first', async () => {
    const name = fresh()
    const queue = await declare(adapter, name, {
      maxLength: 2,
      overflow: 'drop-oldest',
      deadLetterQueue: `${name}.dlq`,
    })
    const sent = Array.from({ length: 4 }, () => outbound(queue))
    await adapter.publish(sent, live)
    expect(await adapter.size(queue)).toBe(2)
    const browser = await adapter.open(source({ queue: `${name}.dlq` }, { mode: 'browse' }), () => undefined)
    const dead = await browser.receive(10, live)
    expect(ids(dead)).toEqual(ids(sent.slice(0, 2)))
    expect(dead[0]?.deadLetter).toMatchObject({ reason: 'max-length', queue: name })
  })

  it('drops for good what would go in a circle', async () => {
    const [a, b] = [fresh(), fresh()]
    const over = { maxLength: 2, overflow: 'drop-oldest' } as const
    for (const [name, deadLetterQueue] of [
      [a, b],
      [b, a],
    ] as const)
      await declare(adapter, name, { ...over, deadLetterQueue })
    const filler = [1, 2].map(() => outbound({ queue: b }))
    const sent = [1, 2, 3].map(() => outbound({ queue: a }))
    await adapter.publish(filler, live)
    expect((await adapter.publish(sent, live)).map((o) => o.ok)).toEqual([true, true, true])
    const left = async (queue: string) => drain(await adapter.open(source({ queue }), () => undefined))
    expect(await left(a)).toEqual(ids(sent.slice(1)))
    expect(await left(b)).toEqual(ids([...filler.slice(1), ...sent.slice(0, 1)]))
  })

  it('drops nothing for a body that has no room in an empty queue', async () => {
    const queue = await declare(adapter, fresh(), { maxLengthBytes: 100, overflow: 'drop-oldest' })
    await adapter.publish([outbound(queue), outbound(queue)], live)
    const [outcome] = await adapter.publish([outbound(queue, { body: Buffer.alloc(101) })], live)
    expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
    expect(await adapter.size(queue)).toBe(2)
  })

  it('drops nothing of one subscription for what another refuses', async () => {
    const topic = fresh('topic')
    const subscribe = async (subscription: string, overflow: 'reject' | 'drop-oldest') => {
      const target = { topic, subscription }
      const with1 = { ...plainSettings, maxLength: 1, overflow }
      await adapter.declare(target, { settings: with1, pattern: '#', ifExists: 'take' })
      return target
    }
    const drops = await subscribe('a', 'drop-oldest')
    await subscribe('b', 'reject')
    const first = outbound({ topic })
    expect((await adapter.publish([first], live))[0]?.ok).toBe(true)
    expect((await adapter.publish([outbound({ topic })], live))[0]?.ok).toBe(false)
    const receiver = await adapter.open(source(drops), () => undefined)
    expect(ids(await receiver.receive(10, live))).toEqual([first.id])
  })

  it('drops the oldest that waits behind its key when only those are left', async () => {
    const name = fresh()
    const queue = await declare(adapter, name, {
      ordered: true,
      maxLength: 2,
      overflow: 'drop-oldest',
      deadLetterQueue: `${name}.dlq`,
    })
    const sent = [1, 2, 3, 4].map(() => outbound(queue, { key: 'k' }))
    await adapter.publish(sent.slice(0, 1), live)
    const receiver = await adapter.open(source({ queue: name }, { ordered: true }), () => undefined)
    const held = await receiver.receive(1, live)
    expect((await adapter.publish(sent.slice(1), live)).map((o) => o.ok)).toEqual([true, true, true])
    expect(await adapter.size(queue)).toBe(2)
    expect(await adapter.size({ queue: `${name}.dlq` })).toBe(1)
    expect(await receiver.ack(held)).toEqual(['settled'])
    expect(await drain(receiver)).toEqual(ids(sent.slice(2)))
  })

  it('does not count what has expired, and moves it when noticed', async () => {
    const name = fresh()
    const queue = await declare(adapter, name, { deadLetterQueue: `${name}.dlq` })
    await adapter.publish([outbound(queue, { expiresAt: Date.now() + 30 }), outbound(queue)], live)
    await until(async () => (await adapter.size(queue)) === 1)
    expect(await adapter.size({ queue: `${name}.dlq` })).toBe(1)
  })
})

describe('priorities', () => {
  it('keeps 256 levels, equal ones first in first out', async () => {
    const queue = await declare(adapter, fresh(), { maxPriority: 255 })
    const sent = [0, 255, 7, 6, 7, 254].map((priority) => outbound(queue, { priority }))
    await adapter.publish(sent, live)
    const receiver = await adapter.open(source(queue), () => undefined)
    expect(await drain(receiver)).toEqual(ids([1, 5, 2, 4, 3, 0].map((i) => sent[i] as (typeof sent)[0])))
  })
})
