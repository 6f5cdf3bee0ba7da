import { afterEach, describe, expect, it } from '@jest/globals'
import {
  bench,
  codeOf,
  consume,
  declare,
  disconnectAll,
  drain,
  ids,
  message,
  NEVER,
  only,
  publish,
  Q,
  take,
} from './fixture.ts'

afterEach(disconnectAll)

const DLQ = { queue: 'q.dlq' }
const some = (...names: string[]) => names.map((id) => message(id))

describe('limits', () => {
  it('refuse exactly what is too many, message by message, and count what is ready only', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLength: 2 })
    const outcomes = await adapter.publish(some('a', 'b', 'c', 'd'), NEVER)
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, false, false])
    expect(codeOf(outcomes[2])).toBe('MQ_QUEUE_FULL')
    expect(outcomes[2]).toMatchObject({ certainty: 'not-stored' })
    const receiver = await consume(adapter)
    await take(receiver, 1)
    await publish(adapter, message('e'))
    expect(codeOf((await adapter.publish(some('f'), NEVER))[0])).toBe('MQ_QUEUE_FULL')
    expect(await drain(adapter)).toEqual(['b', 'e'])
  })

  it('drop the oldest, to the dead-letter queue where there is one', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLength: 2, overflow: 'drop-oldest', deadLetterQueue: 'q.dlq' })
    await publish(adapter, ...some('a', 'b', 'c', 'd'))
    expect(await drain(adapter)).toEqual(['c', 'd'])
    const receiver = await consume(adapter, { target: DLQ })
    const dropped = await take(receiver)
    expect(ids(dropped)).toEqual(['a', 'b'])
    expect(dropped[0]?.deadLetter).toMatchObject({
      reason: 'max-length',
      queue: 'q',
      subscription: null,
      attempts: 0,
    })
  })

  it('drop without a trace where dead-lettering is off', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLength: 1, overflow: 'drop-oldest' })
    await publish(adapter, ...some('a', 'b'))
    expect(await drain(adapter)).toEqual(['b'])
  })

  it('drop the oldest of an ordered queue too, those behind a busy key included', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLength: 3, overflow: 'drop-oldest', ordered: true })
    const receiver = await consume(adapter, { ordered: true })
    await publish(adapter, message('a1', { key: 'a' }))
    const held = await take(receiver)
    await publish(adapter, ...['a2', 'a3', 'a4', 'a5', 'a6'].map((id) => message(id, { key: 'a' })))
    expect(await adapter.size(Q)).toBe(3)
    await receiver.ack(held)
    for (const id of ['a4', 'a5', 'a6']) {
      const next = await take(receiver)
      expect(ids(next)).toEqual([id])
      await receiver.ack(next)
    }
  })

  it('drop by the place that a message has now: one that was retried is at the end', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { maxLength: 3, overflow: 'drop-oldest', ordered: true })
    const receiver = await consume(adapter, { ordered: true })
    await publish(adapter, message('retried'))
    await receiver.retry(await take(receiver), 10)
    await publish(adapter, ...some('a', 'b'))
    await clock.advance(11)
    await publish(adapter, message('c'))
    expect(await drain(adapter)).toEqual(['b', 'retried', 'c'])
  })

  it('count bytes', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLengthBytes: 10 })
    const body = (length: number) => ({ body: new Uint8Array(length) })
    const outcomes = await adapter.publish(
      [
        message('a', body(6)),
        message('b', body(5)),
        message('c', body(4)),
        message('d', body(0)),
        message('e', body(1)),
      ],
      NEVER,
    )
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, true, false])
  })

  it('feed a receiver that waits before they refuse or drop anything', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLength: 2, overflow: 'drop-oldest' })
    const receiver = await consume(adapter)
    const receiving = receiver.receive(100, NEVER)
    await publish(adapter, ...some('a', 'b', 'c', 'd'))
    expect(ids(await receiving).slice(0, 2)).toEqual(['a', 'b'])
  })

  it('end for expired messages, which count no more', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { maxLength: 1 })
    await publish(adapter, message('a', { expiresAt: clock.now() + 100 }))
    await clock.advance(100)
    await publish(adapter, message('b'))
    expect(await drain(adapter)).toEqual(['b'])
  })

  it('drop what is dropped from a dead-letter queue for good, in whatever circle the queues point at each other', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLength: 1, overflow: 'drop-oldest', deadLetterQueue: 'q.dlq' })
    await declare(adapter, { maxLength: 1, overflow: 'drop-oldest', deadLetterQueue: 'q' }, DLQ)
    await publish(adapter, ...some('a', 'b', 'c', 'd'))
    expect(await adapter.size(Q)).toBe(1)
    expect(await adapter.size(DLQ)).toBe(1)
  })
})

describe('priorities', () => {
  it('come highest first, equal ones in the order of sending, returned ones at their old place', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxPriority: 255 })
    const priorities = { a: 0, b: 255, c: 7, d: 255, e: 7, f: 254 }
    await publish(adapter, ...Object.entries(priorities).map(([id, priority]) => message(id, { priority })))
    const receiver = await consume(adapter)
    const first = await take(receiver, 3)
    expect(ids(first)).toEqual(['b', 'd', 'f'])
    await receiver.release(first)
    expect(ids(await take(receiver))).toEqual(['b', 'd', 'f', 'c', 'e', 'a'])
  })

  it('above the highest that the queue uses count as that one, and come as they were sent', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxPriority: 3 })
    const priorities = { a: 3, b: 255, c: 2 }
    await publish(adapter, ...Object.entries(priorities).map(([id, priority]) => message(id, { priority })))
    const got = await take(await consume(adapter))
    expect(got.map(({ id, priority }) => [id, priority])).toEqual(Object.entries(priorities))
  })

  it('do not disorder a queue that has none', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, message('a'), message('b', { priority: 9 }))
    expect(await drain(adapter)).toEqual(['a', 'b'])
  })
})

describe('deduplication', () => {
  const twice = (id: string) => message(id, { deduplicationId: 'same' })

  it('ends exactly with the window', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { deduplicationWindowMs: 1000 })
    await publish(adapter, twice('a'), twice('b'))
    await clock.advance(999)
    await publish(adapter, twice('c'))
    expect(await drain(adapter)).toEqual(['a'])
    await clock.advance(1)
    await publish(adapter, twice('d'))
    expect(await drain(adapter)).toEqual(['d'])
  })

  it('lets redriven messages pass, and remembers nothing that was refused', async () => {
    const { adapter } = await bench()
    await declare(adapter, { deduplicationWindowMs: 1000, maxLength: 2 })
    await publish(adapter, twice('a'), { ...twice('b'), redriven: true })
    const other = message('c', { deduplicationId: 'other' })
    expect(codeOf((await adapter.publish([other], NEVER))[0])).toBe('MQ_QUEUE_FULL')
    await drain(adapter)
    await publish(adapter, other)
    expect(await drain(adapter)).toEqual(['c'])
  })

  it('accepts a repetition although the queue is full, and drops nothing for it', async () => {
    const { adapter } = await bench()
    await declare(adapter, { deduplicationWindowMs: 1000, maxLength: 1 })
    await publish(adapter, twice('a'), twice('b'))
    const dropping = { queue: 'dropping' }
    await declare(adapter, { deduplicationWindowMs: 1000, maxLength: 1, overflow: 'drop-oldest' }, dropping)
    await publish(adapter, ...['a', 'b'].map((id) => ({ ...twice(id), destination: dropping })))
    expect(await drain(adapter, dropping)).toEqual(['a'])
  })
})

describe('delays and expiry in virtual time', () => {
  it('makes a message of a month from now ready exactly then, those due at the same time in their order', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    const month = 30 * 24 * 3600 * 1000
    await publish(adapter, ...['a', 'b', 'c'].map((id) => message(id, { delayMs: month })))
    await publish(adapter, message('early', { delayMs: 5 }))
    await clock.advance(month - 1)
    expect(await drain(adapter)).toEqual(['early'])
    await clock.advance(1)
    expect(await drain(adapter)).toEqual(['a', 'b', 'c'])
  })

  it('dead-letters what expires while nobody looks, without its expiry, and leaves what is leased to its receiver', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { deadLetterQueue: 'q.dlq' })
    const expiresAt = clock.now() + 100
    await publish(
      adapter,
      message('a', { expiresAt }),
      message('b', { expiresAt }),
      message('c', { expiresAt, delayMs: 50 }),
    )
    const receiver = await consume(adapter)
    const held = only(await take(receiver, 1))
    expect(held.expiresAt).toBe(expiresAt)
    await clock.advance(100)
    expect(await adapter.size(Q)).toBe(0)
    const dead = await take(await consume(adapter, { target: DLQ }))
    expect(ids(dead).sort()).toEqual(['b', 'c'])
    expect(dead.map(({ deadLetter, expiresAt: expiry }) => [deadLetter?.reason, expiry])).toEqual([
      ['expired', undefined],
      ['expired', undefined],
    ])
    expect(await receiver.ack([held])).toEqual(['settled'])
  })

  it('expires one that comes back too late: released, retried, or waiting for a retry', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { deadLetterQueue: 'q.dlq' })
    const expiresAt = clock.now() + 100
    await publish(adapter, ...['a', 'b', 'c', 'd'].map((id) => message(id, { expiresAt })))
    const receiver = await consume(adapter)
    const [a, b, c, d] = await take(receiver)
    await receiver.retry([d as never], 500)
    await clock.advance(100)
    await receiver.release([a as never])
    await receiver.retry([b as never], 0)
    await receiver.retry([c as never], 500)
    await clock.advance(500)
    expect(await adapter.size(Q)).toBe(0)
    expect((await drain(adapter, DLQ)).sort()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('notices both at the next call when its timers are late', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { maxLength: 1 })
    await publish(adapter, message('a', { expiresAt: clock.now() + 100 }))
    clock.jump(100)
    await publish(adapter, message('b'))
    expect(await drain(adapter)).toEqual(['b'])
    await publish(adapter, message('c', { expiresAt: clock.now() + 100 }), message('d', { delayMs: 100 }))
    clock.jump(100)
    expect(await adapter.size(Q)).toBe(1)
    expect(await drain(adapter)).toEqual(['d'])
  })

  it('browses and removes without leasing, from a place on', async () => {
    const { adapter } = await bench()
    await declare(adapter)
    await publish(adapter, ...some('a', 'b', 'c', 'd'))
    const browse = await consume(adapter, { mode: 'browse' })
    const page = await take(browse, 2)
    expect(ids(page)).toEqual(['a', 'b'])
    const rest = await consume(adapter, { mode: 'browse', after: page[1]?.position })
    expect(ids(await take(rest))).toEqual(['c', 'd'])
    expect(await take(rest)).toEqual([])
    expect(await adapter.size(Q)).toBe(4)
    const receiver = await consume(adapter)
    await take(receiver, 1)
    expect(await browse.ack(page)).toEqual(['lost', 'settled'])
    expect(ids(await take(receiver))).toEqual(['c', 'd'])
  })
})
