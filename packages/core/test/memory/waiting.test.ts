import { afterEach, describe, expect, it } from '@jest/globals'
import {
  bench,
  consume,
  declare,
  disconnectAll,
  ids,
  message,
  NEVER,
  publish,
  Q,
  rejection,
  take,
} from './fixture.ts'
import { settled } from './virtual-clock.ts'

afterEach(disconnectAll)

describe('receivers that wait', () => {
  it('wakes the one that waits longest, and one only, per message', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    const receivers = await Promise.all([consume(adapter), consume(adapter), consume(adapter)])
    const order: string[] = []
    receivers.forEach((receiver, i) => {
      void receiver.receive(1, NEVER).then(([delivery]) => order.push(`${i}:${delivery?.id}`))
    })
    await publish(adapter, message('a'))
    await settled()
    expect(order).toEqual(['0:a'])
    await publish(adapter, message('b'), message('c'))
    await settled()
    expect(order).toEqual(['0:a', '1:b', '2:c'])
  })

  it('gives a receiver that waits all it asked for of one batch', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    const receiver = await consume(adapter)
    const receiving = receiver.receive(10, NEVER)
    await publish(adapter, ...['a', 'b', 'c'].map((id) => message(id)))
    expect(ids(await receiving)).toEqual(['a', 'b', 'c'])
  })

  it('answers nothing no earlier than waitMs (1000 by default), and leaves no timer', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    const receiver = await consume(adapter)
    let answer: unknown = 'none yet'
    void receiver.receive(1, NEVER).then((deliveries) => (answer = deliveries))
    await clock.advance(999)
    expect(answer).toBe('none yet')
    await clock.advance(1)
    expect(answer).toEqual([])
    await receiver.close(NEVER)
    expect(clock.timers).toBe(0)
  })

  it('resolves on abort, and loses nothing to a receiver that went away', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    const [first, second] = await Promise.all([consume(adapter), consume(adapter)])
    const controller = new AbortController()
    const receiving = first.receive(5, controller.signal)
    controller.abort()
    expect(await receiving).toEqual([])
    await publish(adapter, message('a'))
    expect(ids(await take(second))).toEqual(['a'])
    await publish(adapter, message('b'))
    expect(await first.receive(5, controller.signal)).toEqual([])
    expect(await adapter.size(Q)).toBe(1)
  })

  it('wakes for what was released, retried, due, or freed by a lease that ended', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    const [holder, waiter] = await Promise.all([consume(adapter, { leaseMs: 5000 }), consume(adapter)])
    const hold = async () => {
      await publish(adapter, message('a'))
      return take(holder)
    }
    const finish = async (receiving: ReturnType<typeof waiter.receive>) => {
      const deliveries = await receiving
      expect(ids(deliveries)).toEqual(['a'])
      await waiter.ack(deliveries)
    }
    let held = await hold()
    let receiving = waiter.receive(1, NEVER, 60_000)
    await holder.release(held)
    await finish(receiving)

    held = await hold()
    receiving = waiter.receive(1, NEVER, 60_000)
    await holder.retry(held, 0)
    await finish(receiving)

    await publish(adapter, message('a', { delayMs: 700 }))
    receiving = waiter.receive(1, NEVER, 60_000)
    await clock.advance(700)
    await finish(receiving)

    await hold()
    receiving = waiter.receive(1, NEVER, 60_000)
    await clock.advance(5000)
    await finish(receiving)
  })

  it('rejects for a queue that is deleted, and its leases are lost', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'))
    const lost: string[] = []
    const [holder, waiter] = await Promise.all([
      consume(adapter, {}, (gone) => void lost.push(...ids(gone))),
      consume(adapter),
    ])
    const held = await take(holder)
    const receiving = rejection(waiter.receive(1, NEVER))
    await adapter.remove(Q)
    expect((await receiving).code).toBe('MQ_QUEUE_NOT_FOUND')
    expect(lost).toEqual(['a'])
    expect(await holder.ack(held)).toEqual(['lost'])
    expect((await rejection(take(holder))).code).toBe('MQ_QUEUE_NOT_FOUND')
    await declare(adapter)
    expect(await adapter.size(Q)).toBe(0)
  })

  it('hands nothing to a receiver that was closed while it waited', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    const receiver = await consume(adapter)
    const receiving = receiver.receive(1, NEVER)
    await receiver.close(NEVER)
    expect(await receiving).toEqual([])
    await publish(adapter, message('a'))
    expect(await adapter.size(Q)).toBe(1)
  })
})
