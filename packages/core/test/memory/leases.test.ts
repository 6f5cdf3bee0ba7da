import { afterEach, describe, expect, it } from '@jest/globals'
import type { Delivery } from '../../src/adapter/index.ts'
import {
  bench,
  connected,
  consume,
  declare,
  disconnectAll,
  failure,
  ids,
  message,
  NEVER,
  only,
  publish,
  take,
} from './fixture.ts'

afterEach(disconnectAll)

describe('leases in virtual time', () => {
  it('returns a message the moment its lease ends, not before, and counts a redelivery but no attempt', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'))
    const slow = await consume(adapter, { leaseMs: 1000 })
    const other = await consume(adapter)
    await take(slow)
    await clock.advance(999)
    expect(await take(other)).toHaveLength(0)
    await clock.advance(1)
    const again = only(await take(other))
    expect([again.deliveryCount, again.redeliveries]).toEqual([0, 1])
  })

  it('tells the receiver which deliveries it lost', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b'), message('c'))
    const lost: string[] = []
    const receiver = await consume(adapter, { leaseMs: 1000 }, (gone) => void lost.push(...ids(gone)))
    const deliveries = await take(receiver)
    await receiver.ack(deliveries.filter(({ id }) => id === 'b'))
    await clock.advance(1000)
    expect(lost.sort()).toEqual(['a', 'c'])
  })

  it('renews message by message: of one batch, some go on and some end', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b'), message('c'))
    const lost: string[] = []
    const receiver = await consume(adapter, { leaseMs: 1000 }, (gone) => void lost.push(...ids(gone)))
    const [a, b] = (await take(receiver)) as [Delivery, Delivery]
    await clock.advance(600)
    expect(await receiver.renew([a])).toEqual(['settled'])
    await clock.advance(400)
    expect(lost.sort()).toEqual(['b', 'c'])
    expect(await receiver.renew([a, b])).toEqual(['settled', 'lost'])
    await clock.advance(999)
    expect(lost).toHaveLength(2)
    await clock.advance(1)
    expect(lost).toEqual(expect.arrayContaining(['a']))
  })

  it('ends leases in time although later ones began meanwhile', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b'))
    const lost: string[] = []
    const receiver = await consume(adapter, { leaseMs: 1000 }, (gone) => void lost.push(...ids(gone)))
    await take(receiver, 1)
    await clock.advance(500)
    await take(receiver, 1)
    await clock.advance(500)
    expect(lost).toEqual(['a'])
    await clock.advance(500)
    expect(lost).toEqual(['a', 'b'])
  })

  it('keeps no timer when nothing is leased or waits', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'))
    const receiver = await consume(adapter, { leaseMs: 1000 })
    await receiver.ack(await take(receiver))
    await clock.advance(1000)
    expect(clock.timers).toBe(0)
  })
})

describe('fencing', () => {
  const settlements = {
    ack: (receiver: Awaited<ReturnType<typeof consume>>, stale: Delivery) => receiver.ack([stale]),
    release: (receiver: Awaited<ReturnType<typeof consume>>, stale: Delivery) => receiver.release([stale]),
    retry: (receiver: Awaited<ReturnType<typeof consume>>, stale: Delivery) => receiver.retry([stale], 0),
    renew: (receiver: Awaited<ReturnType<typeof consume>>, stale: Delivery) => receiver.renew([stale]),
    deadLetter: (receiver: Awaited<ReturnType<typeof consume>>, stale: Delivery) =>
      receiver.deadLetter([stale], [failure()], { queue: 'q.dlq' }),
  }

  for (const [name, settle] of Object.entries(settlements)) {
    it(`${name} of a delivery that somebody else has by now is lost and changes nothing`, async () => {
      const { adapter, clock } = await bench()
      await declare(adapter)
      await publish(adapter, message('a'))
      const slow = await consume(adapter, { leaseMs: 1000 })
      const stale = only(await take(slow))
      await clock.advance(1000)
      const owner = await consume(adapter)
      const current = only(await take(owner))
      expect(await settle(slow, stale)).toEqual(['lost'])
      expect(await adapter.size({ queue: 'q' })).toBe(0)
      expect(await owner.ack([current])).toEqual(['settled'])
    })
  }

  it('fences the same receiver against its own earlier delivery', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'))
    const receiver = await consume(adapter, { leaseMs: 1000 })
    const first = only(await take(receiver))
    await clock.advance(1000)
    const second = only(await take(receiver))
    expect(await receiver.ack([first])).toEqual(['lost'])
    expect(await receiver.ack([second, second])).toEqual(['settled', 'lost'])
  })

  it('gives each delivery of a call its own outcome', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b'), message('c'))
    const receiver = await consume(adapter)
    const [a, b, c] = (await take(receiver)) as [Delivery, Delivery, Delivery]
    await receiver.ack([b])
    expect(await receiver.ack([a, b, c])).toEqual(['settled', 'lost', 'settled'])
  })

  it('settles a copy of a delivery, as a wrapper would make it', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'))
    const receiver = await consume(adapter)
    const delivery = only(await take(receiver))
    expect(await receiver.ack([{ ...delivery, deliveryCount: 7 }])).toEqual(['settled'])
    expect(await receiver.ack([delivery])).toEqual(['lost'])
  })
})

describe('giving back', () => {
  it('puts released messages where they were, not at the end, and never counts towards poison', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, ...['a', 'b', 'c', 'd'].map((id) => message(id)))
    const receiver = await consume(adapter)
    for (let i = 0; i < 30; i++) {
      const two = await take(receiver, 2)
      expect(ids(two)).toEqual(['a', 'b'])
      await receiver.release([...two].reverse())
    }
    const all = await take(receiver)
    expect(ids(all)).toEqual(['a', 'b', 'c', 'd'])
    expect(all.map(({ deliveryCount, redeliveries }) => [deliveryCount, redeliveries])).toEqual(
      Array(4).fill([0, 0]),
    )
  })

  it('gives the leases of a closed connection to the others at once', async () => {
    const { adapter, broker } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b'))
    const second = await connected(broker)
    const dying = await consume(second)
    const held = await take(dying)
    await second.disconnect(NEVER)
    const receiver = await consume(adapter)
    const back = await take(receiver)
    expect(ids(back)).toEqual(['a', 'b'])
    expect(back.every(({ deliveryCount }) => deliveryCount === 0)).toBe(true)
    expect(await dying.ack(held)).toEqual(['lost', 'lost'])
  })

  it('moves a message that is retried at once behind those that wait', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b'))
    const receiver = await consume(adapter)
    await receiver.retry(await take(receiver, 1), 0)
    await publish(adapter, message('c'))
    expect(ids(await take(receiver))).toEqual(['b', 'a', 'c'])
  })

  it('moves a retried message to the end, after its delay, with one attempt more', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b'))
    const receiver = await consume(adapter)
    const [a] = (await take(receiver, 1)) as [Delivery]
    const failedAt = clock.now()
    await receiver.retry([a], 500)
    await clock.advance(499)
    expect(await adapter.size({ queue: 'q' })).toBe(1)
    await clock.advance(1)
    const [b, again] = (await take(receiver)) as [Delivery, Delivery]
    expect([b.id, again.id, again.deliveryCount, again.firstFailedAt]).toEqual(['b', 'a', 1, failedAt])
    await receiver.retry([again], 0)
    const third = only(await take(receiver))
    expect([third.deliveryCount, third.firstFailedAt]).toEqual([2, failedAt])
  })
})
