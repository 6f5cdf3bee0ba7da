import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { AdapterError, completeClock, ErrorCode, systemClock } from '../../src/adapter/index.ts'
import { connectedBench, lastOf, queueBench, refusal, until } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'
import {
  bench,
  consume as open,
  declare,
  disconnectAll,
  ids,
  message,
  publish,
  take,
} from '../memory/fixture.ts'

const HOUR = 3_600_000

afterEach(disconnectAll)

describe('systemClock', () => {
  it('goes with timers that a test has replaced', () => {
    jest.useFakeTimers()
    try {
      const before = systemClock.monotonic()
      jest.advanceTimersByTime(1000)
      expect(systemClock.monotonic() - before).toBe(1000)
    } finally {
      jest.useRealTimers()
    }
  })

  it('measures in whole ms', () => {
    expect(Number.isInteger(systemClock.monotonic())).toBe(true)
  })
})

describe('completeClock', () => {
  it('measures by a clock that only knows the time of day, whatever class it is of', () => {
    class Plain {
      time = 7
      now() {
        return this.time
      }
      setTimeout() {
        return this.time
      }
      clearTimeout() {
        this.time = 0
      }
    }
    const plain = new Plain()
    const clock = completeClock(plain)
    expect([clock.now(), clock.monotonic(), clock.setTimeout(() => undefined, 1)]).toEqual([7, 7, 7])
    clock.clearTimeout(null)
    expect(clock.monotonic()).toBe(0)
  })

  it('leaves a whole one as it is', () => {
    expect(completeClock(systemClock)).toBe(systemClock)
  })
})

describe.each([
  ['forward', HOUR],
  ['back', -HOUR],
])('while the time of day is set an hour %s', (_way, jump) => {
  it('a send is tried again for deliveryTimeoutMs', async () => {
    const { queue, adapter, clock } = queueBench({ producer: { deliveryTimeoutMs: 60_000 } })
    await queue.connect()
    await queue.createQueue({ name: 'q' })
    const error = new AdapterError(ErrorCode.CONNECTION, 'cut')
    adapter.onPublish = async (batch) => batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
    let over = false
    const failed = refusal(queue.send('q', 1)).finally(() => (over = true))
    await until(() => adapter.published.length > 0)
    clock.set(jump)
    await clock.advance(59_000)
    expect(over).toBe(false)
    await clock.advance(1000)
    expect(await failed).toMatchObject({ certainty: 'not-stored' })
    await queue.disconnect()
  })

  it('receive waits for timeoutMs', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    let over = false
    const received = queue.receive('q', { timeoutMs: 5000 }).finally(() => (over = true))
    await until(() => adapter.receivers.length > 0)
    clock.set(jump)
    await clock.advance(4000)
    expect(over).toBe(false)
    await clock.advance(1000)
    expect(await received).toBeNull()
  })

  it('each run of a handler has its timeoutMs', async () => {
    const { clock, consume, engine } = await connectedBench()
    const { receiver, consumer } = await consume(() => new Promise(() => undefined), {
      timeoutMs: 1000,
      concurrency: 2,
    })
    receiver.give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    await clock.advance(500)
    receiver.give(delivery('b'))
    await until(() => consumer.stats().running === 2)
    clock.set(jump)
    await clock.advance(500)
    expect(engine.stats.messagesFailed).toBe(1)
    await clock.advance(500)
    expect(engine.stats.messagesFailed).toBe(2)
    await consumer.stop()
  })

  it.each([
    ['the rate limit', { rateLimit: { max: 1, perMs: 1000 } }],
    ['an open breaker', { circuitBreaker: { failures: 1, openMs: 1000 } }],
  ])('%s lets runs start when its time has passed', async (_name, options) => {
    const { clock, consume } = await connectedBench()
    const ran: string[] = []
    const { receiver, consumer } = await consume(({ id }) => {
      ran.push(id)
      throw new Error('no')
    }, options)
    receiver.give(delivery('a'))
    await until(() => ran.length === 1)
    clock.set(jump)
    receiver.give(delivery('b'))
    await until(() => consumer.stats().buffered === 1)
    await clock.advance(999)
    expect(ran).toEqual(['a'])
    await clock.advance(1)
    expect(ran).toEqual(['a', 'b'])
    await consumer.stop()
  })

  it('a received message stays for its lease', async () => {
    const { queue, adapter, clock } = queueBench({}, fakeAdapter({ ownership: 'connection' }))
    await queue.connect()
    const received = queue.receive('q', { leaseMs: 30_000, timeoutMs: 1000 })
    await until(() => adapter.receivers.length > 0)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'))
    await received
    clock.set(jump)
    await clock.advance(29_000)
    expect(receiver.settled).toEqual([])
    await clock.advance(1000)
    expect(receiver.settled).toMatchObject([{ kind: 'release', ids: ['a'] }])
  })

  it('the in-memory broker delays, leases and deduplicates for as long as it was asked to', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter, { deduplicationWindowMs: 2000 })
    const once = () => publish(adapter, message('once', { deduplicationId: 'once' }))
    await once()
    await publish(adapter, message('later', { delayMs: 2000 }))
    let lost = ''
    const receiver = await open(adapter, { leaseMs: 1000 }, (gone) => (lost += ids(gone).join('')))
    const held = await take(receiver)
    await clock.advance(500)
    await receiver.renew(held)
    clock.set(jump)
    await once()
    await clock.advance(999)
    expect([ids(await take(receiver)), lost]).toEqual([[], ''])
    await clock.advance(1)
    expect([ids(await take(receiver)), lost]).toEqual([['once'], 'once'])
    await clock.advance(500)
    await once()
    expect(ids(await take(receiver))).toEqual(['later', 'once'])
  })
})
