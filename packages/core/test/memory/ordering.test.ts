import { afterEach, describe, expect, it } from '@jest/globals'
import type { BrokerAdapter, Delivery, Receiver } from '../../src/adapter/index.ts'
import {
  bench,
  consume,
  declare,
  disconnectAll,
  drain,
  failure,
  ids,
  message,
  NEVER,
  only,
  publish,
  Q,
  take,
} from './fixture.ts'

afterEach(disconnectAll)

const keyed = (...names: string[]) => names.map((id) => message(id, { key: id.slice(0, 1) }))

async function ordered(
  ...names: string[]
): Promise<Awaited<ReturnType<typeof bench>> & { receiver: Receiver }> {
  const all = await bench()
  await declare(all.adapter, { ordered: true })
  if (names.length > 0) await publish(all.adapter, ...keyed(...names))
  return { ...all, receiver: await consume(all.adapter, { ordered: true, leaseMs: 1000 }) }
}

async function ackAll(receiver: Receiver): Promise<string[]> {
  const deliveries = await take(receiver)
  await receiver.ack(deliveries)
  return ids(deliveries)
}

describe('an ordered queue', () => {
  it('lets one message per key out at a time, and any number without a key', async () => {
    const { adapter, receiver } = await ordered('a1', 'a2', 'b1', 'b2')
    await publish(adapter, message('x'), message('y'))
    const out = await take(receiver)
    expect(ids(out).sort()).toEqual(['a1', 'b1', 'x', 'y'])
    expect(await adapter.size(Q)).toBe(2)
    await receiver.ack(out)
    expect(await ackAll(receiver)).toEqual(['a2', 'b2'])
  })

  it('is held up by no slow key, however many of its messages wait in front', async () => {
    const { adapter, receiver } = await ordered()
    await publish(
      adapter,
      ...Array.from({ length: 1000 }, (_, i) => message(`a${i}`, { key: 'slow' })),
      ...keyed('b1', 'c1'),
    )
    const [slow] = (await take(receiver, 1)) as [Delivery]
    expect(slow.id).toBe('a0')
    expect((await ackAll(receiver)).sort()).toEqual(['b1', 'c1'])
    expect(await adapter.size(Q)).toBe(999)
  })

  const returns: Record<
    string,
    (receiver: Receiver, a1: Delivery, advance: (ms: number) => Promise<void>) => Promise<unknown>
  > = {
    released: (receiver, a1) => receiver.release([a1]),
    'retried at once': (receiver, a1) => receiver.retry([a1], 0),
    'retried later': async (receiver, a1, advance) => {
      await receiver.retry([a1], 400)
      expect(await take(receiver)).toEqual([])
      await advance(400)
    },
    'taken back by the end of its lease': (_, __, advance) => advance(1000),
  }
  for (const [how, comeBack] of Object.entries(returns)) {
    it(`a message that was ${how} comes back before the rest of its key`, async () => {
      const { receiver, clock } = await ordered('a1', 'a2', 'a3')
      await comeBack(receiver, only(await take(receiver)), (ms) => clock.advance(ms))
      for (const id of ['a1', 'a2', 'a3']) expect(await ackAll(receiver)).toEqual([id])
      expect(await take(receiver)).toEqual([])
    })
  }

  it('keeps a key blocked while its retry waits, and no other', async () => {
    const { adapter, receiver, clock } = await ordered('a1', 'a2')
    await receiver.retry(await take(receiver), 60_000)
    await publish(adapter, ...keyed('a3', 'b1'))
    expect(await ackAll(receiver)).toEqual(['b1'])
    expect(await adapter.size(Q)).toBe(2)
    await clock.advance(60_000)
    expect(await ackAll(receiver)).toEqual(['a1'])
  })

  it('goes on with a key whose message was dead-lettered', async () => {
    const { adapter, receiver } = await ordered('a1', 'a2')
    await receiver.deadLetter(await take(receiver), [failure()], { queue: 'q.dlq' })
    expect(await ackAll(receiver)).toEqual(['a2'])
    expect(await drain(adapter, { queue: 'q.dlq' })).toEqual(['a1'])
  })

  it('does not block a key by a message that is only delayed', async () => {
    const { adapter, receiver, clock } = await ordered()
    await publish(adapter, message('a1', { key: 'a', delayMs: 500 }), ...keyed('a2'))
    expect(await ackAll(receiver)).toEqual(['a2'])
    await clock.advance(500)
    expect(await ackAll(receiver)).toEqual(['a1'])
  })

  it('goes on behind messages that expired: waiting, first of their key, or leased', async () => {
    const { adapter, receiver, clock } = await ordered()
    const soon = { expiresAt: clock.now() + 100, key: 'a' }
    await publish(adapter, message('a1', soon), message('a2', soon), ...keyed('a3'))
    await clock.advance(100)
    expect(await adapter.size(Q)).toBe(1)
    expect(await ackAll(receiver)).toEqual(['a3'])

    const later = { expiresAt: clock.now() + 100, key: 'b' }
    await publish(adapter, message('b1', later), message('b2', later), ...keyed('b3'))
    const held = await take(receiver)
    expect(ids(held)).toEqual(['b1'])
    await clock.advance(100)
    expect(await take(receiver)).toEqual([])
    await receiver.release(held)
    expect(await ackAll(receiver)).toEqual(['b3'])
  })

  it('frees keys by a purge: what is leased can still be settled, what comes later is not stuck', async () => {
    const { adapter, receiver } = await ordered('a1', 'a2', 'b1', 'b2', 'c1')
    const [a1, b1] = (await take(receiver, 2)) as [Delivery, Delivery]
    await receiver.retry([b1], 60_000)
    expect(await adapter.purge(Q)).toBe(4)
    await publish(adapter, ...keyed('a3', 'b3', 'c3'))
    expect((await ackAll(receiver)).sort()).toEqual(['b3', 'c3'])
    expect(await receiver.ack([a1])).toEqual(['settled'])
    expect(await ackAll(receiver)).toEqual(['a3'])
  })

  it('is browsed with what waits behind its key, and goes on when the browse removes a first one', async () => {
    const { adapter, receiver } = await ordered('a1', 'a2', 'b1')
    const browse = await consume(adapter, { mode: 'browse' })
    const shown = await take(browse)
    expect(ids(shown)).toEqual(['a1', 'a2', 'b1'])
    expect(await browse.ack(shown.slice(0, 1))).toEqual(['settled'])
    expect((await ackAll(receiver)).sort()).toEqual(['a2', 'b1'])
  })

  it('forgets keys that have nothing under way', async () => {
    const { receiver } = await ordered('a1')
    await ackAll(receiver)
    expect(await take(receiver)).toEqual([])
  })

  it('gives the messages of every key in order to competing receivers that fail now and then', async () => {
    const { adapter, clock } = await ordered()
    const sent = Array.from({ length: 300 }, (_, i) => message(String(i), { key: `k${i % 7}` }))
    await publish(adapter, ...sent)
    const receivers = await Promise.all(
      [1, 2, 3].map(() => consume(adapter, { ordered: true, leaseMs: 1000 })),
    )
    const handled = await handleAll(adapter, receivers, (ms) => clock.advance(ms))
    for (let k = 0; k < 7; k++) {
      const of = handled.filter((id) => Number(id) % 7 === k)
      expect(of).toEqual(sent.filter(({ key }) => key === `k${k}`).map(({ id }) => id))
    }
  })
})

/** Acknowledges most; releases, retries or forgets the others, by a fixed pattern. */
async function handleAll(
  adapter: BrokerAdapter,
  receivers: readonly Receiver[],
  advance: (ms: number) => Promise<void>,
): Promise<string[]> {
  const handled: string[] = []
  for (let round = 0; handled.length < 300; round++) {
    const receiver = receivers[round % receivers.length] as Receiver
    for (const [i, delivery] of (await take(receiver, 4)).entries()) {
      const fate = (round + i) % 9
      if (fate === 0) await receiver.release([delivery])
      else if (fate === 1) await receiver.retry([delivery], 50)
      else if (fate !== 2) {
        await receiver.ack([delivery])
        handled.push(delivery.id)
      }
    }
    await advance(100)
    if (round > 5000)
      throw new Error(`stuck with ${handled.length} handled and ${await adapter.size(Q)} ready`)
  }
  for (const receiver of receivers) await receiver.close(NEVER)
  return handled
}
