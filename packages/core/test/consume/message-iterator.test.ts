import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode } from '../../src/adapter/index.ts'
import type { Message } from '../../src/message/message.ts'
import { lastOf, queueBench, refusal, settled, until } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

/** A loop that has taken its first message, and is asked for the next one. */
async function loopAtSecond() {
  const bench = queueBench()
  await bench.queue.connect()
  const loop = bench.queue.messages('q')
  const first = loop.next()
  await until(() => bench.adapter.receivers.length === 1)
  const receiver = lastOf(bench.adapter.receivers)
  receiver.give(delivery('a'))
  const { value: message } = (await first) as { value: Message }
  return { ...bench, loop, receiver, message, second: loop.next() }
}

describe('a loop over messages', () => {
  it('goes on after the connection was lost', async () => {
    const { queue, adapter, clock, loop, second } = await loopAtSecond()
    lastOf(adapter.connections).lost(new Error('cut'))
    await until(async () => {
      await clock.advance(100)
      return adapter.receivers.length === 2
    })
    lastOf(adapter.receivers).give(delivery('b'))
    expect(await second).toMatchObject({ done: false, value: { id: 'b' } })
    await loop.return()
    await queue.disconnect()
  })

  it('opens its receiver anew when only that lost its connection', async () => {
    const { queue, adapter, clock, loop, receiver, second } = await loopAtSecond()
    receiver.fail(new AdapterError(ErrorCode.CONNECTION, 'reset'))
    await until(async () => {
      await clock.advance(100)
      return adapter.receivers.length === 2
    })
    expect(receiver.closed).toBe(true)
    lastOf(adapter.receivers).give(delivery('b'))
    expect(await second).toMatchObject({ done: false, value: { id: 'b' } })
    await loop.return()
    await queue.disconnect()
  })

  it('ends with an error of this library when its queue is gone', async () => {
    const { queue, receiver, second } = await loopAtSecond()
    receiver.fail(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'no such queue'))
    expect((await refusal(second)).name).toBe('QueueNotFoundError')
    await queue.disconnect()
  })

  it('is left while it waits for a message; one that comes then goes back', async () => {
    const { queue, adapter, receiver, message, loop, second } = await loopAtSecond()
    await queue.acknowledge(message)
    receiver.give(delivery('b'))
    const left = loop.return()
    expect(await Promise.all([second, left])).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ])
    await until(() => receiver.closed)
    expect(receiver.settled.map(({ kind, ids }) => [kind, ...ids])).toEqual([
      ['ack', 'a'],
      ['release', 'b'],
    ])
    expect(adapter.receivers).toHaveLength(1)
    await queue.disconnect()
  })

  it('is left while the connection is down', async () => {
    const { queue, adapter, loop, second } = await loopAtSecond()
    adapter.onConnect = () => Promise.reject(new AdapterError(ErrorCode.CONNECTION, 'refused'))
    lastOf(adapter.connections).lost(new Error('cut'))
    await settled()
    await expect(loop.return()).resolves.toMatchObject({ done: true })
    await expect(second).resolves.toMatchObject({ done: true })
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('ends with disconnect, which gives back what it handed out, and not to this loop', async () => {
    const { queue, adapter, receiver, second } = await loopAtSecond()
    adapter.onSettle = (kind, given) => {
      if (kind === 'release') receiver.give(given)
      return 'settled'
    }
    await queue.disconnect()
    expect(await second).toEqual({ done: true, value: undefined })
    expect(receiver.settled).toMatchObject([{ kind: 'release', ids: ['a'] }])
  })

  it('is forgotten once it was left and what it handed out is settled', async () => {
    const adapter = fakeAdapter()
    let closes = 0
    adapter.onClose = async () => void closes++
    const { queue } = queueBench({}, adapter)
    await queue.connect()
    const loop = queue.messages('q')
    const first = loop.next()
    await until(() => adapter.receivers.length === 1)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'), delivery('b'))
    const { value } = (await first) as { value: Message }
    await loop.return()
    expect(receiver.settled).toMatchObject([{ kind: 'release', ids: ['b'] }])
    expect(closes).toBe(0)
    await queue.acknowledge(value)
    await until(() => closes === 1)
    lastOf(adapter.connections).lost(new Error('cut'))
    await settled()
    expect(closes).toBe(1)
    await queue.disconnect()
  })
})

describe('what a loop left unsettled', () => {
  async function left(ownership: 'lease' | 'connection', extendMs?: number) {
    const bench = queueBench({}, fakeAdapter({ ownership }))
    const { queue, adapter, clock } = bench
    await queue.connect()
    const lost: string[] = []
    queue.on('leaseLost', ({ id }) => lost.push(id))
    const loop = queue.messages('q', { leaseMs: 3000 })
    const first = loop.next()
    await until(() => adapter.receivers.length === 1)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'))
    const { value } = (await first) as { value: Message }
    await clock.advance(60_000)
    if (extendMs !== undefined) await queue.extend(value, extendMs)
    await loop.return()
    receiver.settled.length = 0
    return { ...bench, receiver, message: value, lost }
  }

  it('can still be settled for one more lease, and is renewed no more', async () => {
    const { queue, clock, receiver, message } = await left('lease')
    await clock.advance(2999)
    expect(receiver.settled).toEqual([])
    await queue.acknowledge(message)
    await until(() => receiver.closed)
    await queue.disconnect()
  })

  it.each(['lease', 'connection'] as const)(
    'comes again after that, where ownership is the %s',
    async (ownership) => {
      const { queue, clock, receiver, message, lost } = await left(ownership)
      await clock.advance(120_000)
      expect(receiver.settled.map(({ kind }) => kind)).toEqual(ownership === 'lease' ? [] : ['release'])
      expect([lost, receiver.closed]).toEqual([['a'], true])
      expect((await refusal(queue.acknowledge(message))).name).toBe('LeaseLostError')
      await queue.disconnect()
    },
  )

  it('stays as long as it was asked for', async () => {
    const { queue, clock, receiver, message } = await left('connection', 60_000)
    await clock.advance(59_000)
    expect(receiver.settled.every(({ kind }) => kind === 'renew')).toBe(true)
    await queue.acknowledge(message)
    await queue.disconnect()
  })
})
