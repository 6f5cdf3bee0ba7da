import { describe, expect, it } from '@jest/globals'
import { ErrorCode } from '../../src/adapter/index.ts'
import { RejectError, RetryError } from '../../src/errors.ts'
import type { Message } from '../../src/message/message.ts'
import { connectedBench, deferred, settled, until, type EngineBench } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

const calls = (bench: EngineBench) => bench.adapter.receivers.flatMap((receiver) => receiver.settled)
const kinds = (bench: EngineBench) => calls(bench).map(({ kind, ids }) => `${kind} ${ids.join('+')}`)

async function run(bench: EngineBench, ...messages: ReturnType<typeof delivery>[]) {
  const receiver = bench.adapter.receivers.at(-1)
  receiver?.give(...messages)
  await until(() => calls(bench).length > 0)
}

describe('what becomes of a message', () => {
  it.each([
    ['resolves', () => 'done', { kind: 'ack', ids: ['a'] }],
    [
      'throws',
      () => {
        throw new Error('no')
      },
      { kind: 'retry', delayMs: 1000 },
    ],
    ['rejects', () => Promise.reject(new Error('no')), { kind: 'retry', delayMs: 1000 }],
    [
      'throws what is no Error',
      () => {
        throw 'text'
      },
      { kind: 'retry', delayMs: 1000 },
    ],
    [
      'throws undefined',
      () => {
        throw undefined
      },
      { kind: 'retry', delayMs: 1000 },
    ],
    [
      'throws a RetryError',
      () => {
        throw new RetryError('later', { delayMs: 77 })
      },
      { kind: 'retry', delayMs: 77 },
    ],
    [
      'throws a RejectError',
      () => {
        throw new RejectError('never')
      },
      { kind: 'deadLetter', reasons: ['rejected'] },
    ],
  ])('whose handler %s', async (_name, handler, expected) => {
    const bench = await connectedBench({ retryJitter: 0 })
    const { consumer } = await bench.consume(handler)
    await run(bench, delivery('a'))
    expect(calls(bench)[0]).toMatchObject(expected)
    await consumer.stop()
  })

  it.each([
    ['expired', { expiresAt: 5 }, 'expired'],
    ['delivered too often', { redeliveries: 21 }, 'delivery-limit'],
    ['not decodable', { body: new TextEncoder().encode('{') }, 'undecodable'],
    ['out of retries', { deliveryCount: 3 }, 'max-retries'],
  ])('that is %s', async (_name, changed, reason) => {
    const bench = await connectedBench()
    const runs: string[] = []
    const { consumer } = await bench.consume(({ id }) => {
      runs.push(id)
      throw new Error('no')
    })
    await run(bench, delivery('a', changed))
    expect(calls(bench)[0]).toMatchObject({ kind: 'deadLetter', reasons: [reason] })
    expect(runs).toEqual(reason === 'max-retries' ? ['a'] : [])
    expect(bench.events.at(-1)).toMatchObject(['deadLetter', { id: 'a' }, { reason }])
    expect(bench.engine.stats.messagesDeadLettered).toBe(1)
    await consumer.stop()
  })

  it('is dropped, and said to be, where dead-lettering is off', async () => {
    const bench = await connectedBench({ enableDeadLetterQueue: false })
    const { consumer } = await bench.consume(() => {
      throw new RejectError()
    })
    await run(bench, delivery('a'))
    expect(kinds(bench)).toEqual(['ack a'])
    expect(bench.log.some(({ level, message }) => level === 'warn' && message.includes('dropped'))).toBe(true)
    await consumer.stop()
  })

  it('stays with a handler that settles by itself (manual)', async () => {
    const bench = await connectedBench()
    let received: Message | undefined
    const { consumer, receiver } = await bench.consume((message) => void (received = message), {
      acknowledgmentMode: 'manual',
    })
    receiver.give(delivery('a'))
    await until(() => consumer.stats().handled === 1)
    await settled()
    expect(kinds(bench)).toEqual([])
    await bench.receiving.acknowledge(received as Message)
    expect(kinds(bench)).toEqual(['ack a'])
    await consumer.stop()
  })

  it('is acknowledged before the run (none), and does not run when that failed', async () => {
    const bench = await connectedBench()
    const runs: string[] = []
    bench.adapter.onSettle = (_kind, { id }) => (id === 'lost' ? 'lost' : 'settled')
    const { consumer, receiver } = await bench.consume(
      ({ id }) => {
        runs.push(`${id} after ${kinds(bench).join()}`)
        throw new Error('no')
      },
      { acknowledgmentMode: 'none' },
    )
    receiver.give(delivery('lost'), delivery('a'))
    await until(() => consumer.stats().failed === 1)
    expect(runs).toEqual(['a after ack lost,ack a'])
    expect(kinds(bench)).toEqual(['ack lost', 'ack a'])
    await consumer.stop()
  })
})

describe('a time-out', () => {
  it('fails the run, aborts its signal, and ignores what the handler does later', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    const gate = deferred()
    let signal: AbortSignal | undefined
    const { consumer, receiver } = await bench.consume(
      async (_message, context) => {
        signal = context.signal
        await gate.promise
      },
      { timeoutMs: 50 },
    )
    receiver.give(delivery('a'))
    await until(() => signal !== undefined)
    await bench.clock.advance(50)
    expect(kinds(bench)).toEqual(['retry a'])
    expect(signal?.reason).toMatchObject({ code: ErrorCode.HANDLER_TIMEOUT })
    gate.resolve()
    await settled()
    expect(kinds(bench)).toEqual(['retry a'])
    expect(consumer.stats()).toMatchObject({ failed: 1, handled: 0, running: 0 })
    await consumer.stop()
  })

  it('is counted for each run by itself', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => new Promise(() => undefined), {
      timeoutMs: 50,
      concurrency: 2,
    })
    receiver.give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    await bench.clock.advance(30)
    receiver.give(delivery('b'))
    await until(() => consumer.stats().running === 2)
    await bench.clock.advance(20)
    expect(kinds(bench)).toEqual(['retry a'])
    await bench.clock.advance(30)
    expect(kinds(bench)).toEqual(['retry a', 'retry b'])
    await consumer.stop()
  })
})

describe('gates', () => {
  it('lets at most `max` runs start in `perMs`', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => undefined, {
      rateLimit: { max: 2, perMs: 100 },
      prefetch: 10,
    })
    receiver.give(...['a', 'b', 'c', 'd', 'e'].map((id) => delivery(id)))
    await until(() => consumer.stats().handled === 2)
    await bench.clock.advance(99)
    expect(consumer.stats().handled).toBe(2)
    await bench.clock.advance(1)
    expect(consumer.stats().handled).toBe(4)
    await consumer.stop()
  })

  it('opens the breaker after failures in a row; a failing probe stays, uncounted', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    let broken = true
    const { consumer, receiver } = await bench.consume(
      () => {
        if (broken) throw new Error('down')
      },
      { circuitBreaker: { failures: 2, openMs: 100 }, prefetch: 10 },
    )
    receiver.give(...['a', 'b', 'c'].map((id) => delivery(id)))
    await until(() => consumer.stats().failed === 2)
    await settled()
    expect(kinds(bench)).toEqual(['retry a', 'retry b'])
    expect(consumer.stats()).toMatchObject({ circuit: 'open', buffered: 1 })
    await bench.clock.advance(100)
    expect(consumer.stats().buffered).toBe(1)
    broken = false
    await bench.clock.advance(100)
    await until(() => consumer.stats().handled === 1)
    expect(consumer.stats().circuit).toBe('closed')
    await settled()
    // Nothing was told to the broker that it could count.
    expect(kinds(bench)).toEqual(['retry a', 'retry b', 'ack c'])
    await consumer.stop()
  })

  it('takes no outcome but the probe’s for a sign once the breaker is open', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    const ends = new Map<string, ReturnType<typeof deferred<void>>>()
    const { consumer, receiver } = await bench.consume(
      ({ id }) => {
        const end = deferred()
        ends.set(id, end)
        return end.promise
      },
      { circuitBreaker: { failures: 2, openMs: 100 }, concurrency: 4, prefetch: 10 },
    )
    receiver.give(...['a', 'b', 'c', 'd', 'e', 'f'].map((id) => delivery(id)))
    await until(() => ends.size === 4)
    // The first failure lets e start in its place.
    ends.get('a')?.reject(new Error('down'))
    ends.get('b')?.reject(new Error('down'))
    await until(() => consumer.stats().circuit === 'open')
    ends.get('c')?.resolve()
    await until(() => consumer.stats().handled === 1)
    expect(consumer.stats().circuit).toBe('open')
    await bench.clock.advance(100)
    expect([...ends.keys()]).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    ends.get('d')?.reject(new Error('down'))
    await until(() => consumer.stats().failed === 3)
    expect([consumer.stats().circuit, ends.size]).toEqual(['half-open', 6])
    ends.get('f')?.reject(new Error('down'))
    await until(() => consumer.stats().circuit === 'open')
    expect(kinds(bench).filter((kind) => kind !== 'ack c')).toEqual(['retry a', 'retry b', 'retry d'])
    await consumer.stop({ timeoutMs: 0 })
  })

  it('dead-letters a probe that is rejected: it would be probed with for ever', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    let runs = 0
    const { consumer, receiver } = await bench.consume(
      () => {
        throw runs++ === 0 ? new Error('down') : new RejectError('poison')
      },
      { circuitBreaker: { failures: 1, openMs: 100 }, prefetch: 10 },
    )
    receiver.give(delivery('a'), delivery('b'))
    await until(() => consumer.stats().failed === 1)
    await bench.clock.advance(100)
    await until(() => consumer.stats().failed === 2)
    await settled()
    expect(kinds(bench)).toEqual(['retry a', 'deadLetter b'])
    await consumer.stop()
  })
})

describe('middleware', () => {
  it.each([
    ['one message', {}],
    ['a batch', { batch: { size: 1, waitMs: 50 } }],
  ])('that is added to a running consumer of %s wraps what comes from then on', async (_name, options) => {
    const bench = await connectedBench()
    const seen: string[] = []
    const { consumer, receiver } = await bench.consume(() => undefined, options)
    receiver.give(delivery('a'))
    await until(() => consumer.stats().handled === 1)
    bench.middlewares.push({
      name: 'late',
      process: (message, next) => {
        seen.push(message.id)
        return next()
      },
    })
    receiver.give(delivery('b'))
    await until(() => consumer.stats().handled === 2)
    expect(seen).toEqual(['b'])
    await consumer.stop()
  })
})

describe('batches', () => {
  const batch = { size: 3, waitMs: 50 }

  it('run when full, or when no more came within waitMs', async () => {
    const bench = await connectedBench()
    const seen: string[][] = []
    const { consumer, receiver } = await bench.consume(
      ((messages: Message[]) => void seen.push(messages.map(({ id }) => id))) as never,
      { batch },
    )
    receiver.give(...['a', 'b', 'c', 'd'].map((id) => delivery(id)))
    await until(() => seen.length === 1)
    await bench.clock.advance(49)
    expect(seen).toEqual([['a', 'b', 'c']])
    await bench.clock.advance(1)
    expect(seen).toEqual([['a', 'b', 'c'], ['d']])
    await consumer.stop()
  })

  it('take an outcome per message', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    const { consumer, receiver } = await bench.consume(
      () => [undefined, new Error('no'), { status: 'rejected', reason: new RejectError() }],
      { batch },
    )
    receiver.give(...['a', 'b', 'c'].map((id) => delivery(id)))
    await until(() => kinds(bench).length === 3)
    expect(kinds(bench).sort()).toEqual(['ack a', 'deadLetter c', 'retry b'])
    expect(consumer.stats()).toMatchObject({ handled: 1, failed: 2, running: 0 })
    await consumer.stop()
  })

  it('fail as a whole when the handler throws or takes too long', async () => {
    for (const handler of [() => Promise.reject(new Error('no')), () => new Promise(() => undefined)]) {
      const bench = await connectedBench({ retryJitter: 0 })
      const { consumer, receiver } = await bench.consume(handler, { batch, timeoutMs: 20 })
      receiver.give(...['a', 'b', 'c'].map((id) => delivery(id)))
      await until(() => consumer.stats().running === 1 || consumer.stats().failed === 3)
      await bench.clock.advance(20)
      expect(kinds(bench).sort()).toEqual(['retry a', 'retry b', 'retry c'])
      await consumer.stop()
    }
  })
})
