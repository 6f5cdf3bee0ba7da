import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode, type SettleOutcome } from '../../src/adapter/index.ts'
import { RejectError } from '../../src/errors.ts'
import type { Message } from '../../src/message/message.ts'
import { connectedBench, deferred, lastOf, settled, until, type EngineBench } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

const many = (count: number, changed = {}) =>
  Array.from({ length: count }, (_, i) => delivery(`m${i}`, changed))
const settlements = (bench: EngineBench) =>
  bench.adapter.receivers
    .flatMap(({ settled: calls }) => calls)
    .flatMap(({ kind, ids }) => ids.map((id) => `${kind} ${id}`))

/** Handlers that run until they are told to end. */
function held() {
  const running = new Map<string, () => void>()
  let most = 0
  const handler = async ({ id }: Message) => {
    const gate = deferred()
    running.set(id, gate.resolve)
    most = Math.max(most, running.size)
    await gate.promise
    running.delete(id)
  }
  const end = async (id: string) => {
    running.get(id)?.()
    await settled()
  }
  return { running, handler, end, most: () => most }
}

describe('how much a consumer takes', () => {
  it('runs at most `concurrency` handlers, and asks for at most `prefetch` unsettled messages', async () => {
    const bench = await connectedBench()
    const { running, handler, end, most } = held()
    const { consumer, receiver } = await bench.consume(handler, { concurrency: 2, prefetch: 4 })
    receiver.give(...many(8))
    await until(() => running.size === 2)
    expect(receiver.asked).toEqual([4])
    expect(consumer.stats()).toMatchObject({ running: 2, buffered: 2, unsettled: 4 })
    for (let i = 0; i < 8; i++) await end(`m${i}`)
    await until(() => consumer.stats().handled === 8)
    expect(most()).toBe(2)
    await until(() => settlements(bench).length === 8)
    expect(bench.engine.stats).toMatchObject({ messagesReceived: 8, messagesProcessed: 8, inFlight: 0 })
    await consumer.stop()
  })

  it('reads on while acknowledgements wait for their answer, up to four times the prefetch', async () => {
    const bench = await connectedBench()
    const answer = deferred()
    bench.adapter.onSettle = async (): Promise<SettleOutcome> => {
      await answer.promise
      return 'settled'
    }
    const { consumer, receiver } = await bench.consume(() => undefined, { concurrency: 2, prefetch: 2 })
    for (let i = 0; i < 20; i += 2) receiver.give(delivery(`m${i}`), delivery(`m${i + 1}`))
    // Four times the prefetch without an answer, and one prefetch more that counts as unsettled.
    await until(() => consumer.stats().handled === 10)
    await settled()
    expect(consumer.stats()).toMatchObject({ handled: 10, unsettled: 2 })
    expect(bench.engine.stats.inFlight).toBe(10)
    answer.resolve()
    await until(() => consumer.stats().handled === 20)
    await until(() => bench.engine.stats.inFlight === 0)
    expect(Math.max(...receiver.asked)).toBe(2)
    await consumer.stop()
  })

  it('lets the event loop turn after as many starts as the broker asks for', async () => {
    const bench = await connectedBench({}, { ...fakeAdapter(), pace: { start: 2 } })
    const turns: number[] = []
    let turn = 0
    const { consumer, receiver } = await bench.consume(
      () => {
        if (turns.length === 0)
          setImmediate(function next() {
            if (++turn < 20) setImmediate(next)
          })
        turns.push(turn)
      },
      { concurrency: 5, prefetch: 5 },
    )
    receiver.give(...many(5))
    await until(() => turns.length === 5)
    expect(new Set(turns).size).toBe(3)
    expect(turns[0]).toBe(turns[1])
    expect(turns[2]).toBe(turns[3])
    await until(() => settlements(bench).length === 5)
    await consumer.stop()
  })

  it('never prefetches less than concurrency needs', async () => {
    const bench = await connectedBench()
    const { receiver, consumer } = await bench.consume(() => undefined, { concurrency: 25, prefetch: 1 })
    expect(receiver.source.prefetch).toBe(25)
    await consumer.stop()
  })

  it('shares maxConcurrentMessages with the other consumers', async () => {
    const bench = await connectedBench({ maxConcurrentMessages: 2 })
    const { running, handler, end, most } = held()
    const first = await bench.consume(handler, { concurrency: 5 })
    const second = await bench.consumers.start(
      (bench.consumers.register(
        { target: { queue: 'r' }, label: 'r', config: undefined, validate: undefined },
        { run: handler as never, onError: null },
        { concurrency: 5 },
      ),
      { target: { queue: 'r' }, label: 'r', config: undefined, validate: undefined }),
      {},
    )
    first.receiver.give(...many(3))
    lastOf(bench.adapter.receivers).give(delivery('r0'))
    await until(() => running.size === 2)
    await settled()
    for (const id of ['m0', 'm1', 'm2', 'r0']) await end(id)
    await until(() => running.has('r0') || second.stats().handled === 1)
    await end('r0')
    await end('m2')
    await until(() => second.stats().handled === 1 && first.consumer.stats().handled === 3)
    expect(most()).toBe(2)
    await Promise.all([first.consumer.stop(), second.stop()])
  })

  it('keeps up with a message that is acknowledged together with others', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => undefined, { prefetch: 4 })
    receiver.give(...many(100))
    await until(() => consumer.stats().handled === 100)
    await until(() => settlements(bench).length === 100)
    expect(Math.max(...receiver.asked)).toBe(4)
    expect(receiver.settled.length).toBeLessThan(100)
    await consumer.stop()
  })
})

describe('Consumer.pause', () => {
  it('stops fetching and starting, and resume goes on where it was', async () => {
    const bench = await connectedBench()
    const { running, handler, end } = held()
    const { consumer, receiver } = await bench.consume(handler, { prefetch: 2 })
    receiver.give(...many(4))
    await until(() => running.has('m0'))
    consumer.pause()
    await end('m0')
    await settled()
    expect(running.size).toBe(0)
    const asked = receiver.asked.length
    await settled()
    expect(receiver.asked).toHaveLength(asked)
    expect(consumer.stats().state).toBe('paused')
    consumer.resume()
    await until(() => running.has('m1'))
    for (let i = 1; i < 4; i++) {
      await until(() => running.has(`m${i}`))
      await end(`m${i}`)
    }
    await until(() => consumer.stats().handled === 4)
    await consumer.stop()
  })
})

describe('Consumer.stop', () => {
  it('waits for what runs, gives back what was not started, and closes', async () => {
    const bench = await connectedBench()
    const { running, handler, end } = held()
    const { consumer, receiver } = await bench.consume(handler, { prefetch: 3 })
    receiver.give(...many(3))
    await until(() => running.has('m0'))
    await expect(consumer.stop({ timeout: 1 } as never)).rejects.toMatchObject({ code: 'MQ_VALIDATION' })
    const stopping = [consumer.stop(), consumer.stop()]
    await settled()
    expect(settlements(bench)).toEqual(['release m1', 'release m2'])
    await end('m0')
    const [first, second] = await Promise.all(stopping)
    expect(first).toEqual({ drained: true, abandoned: [] })
    expect(second).toBe(first)
    expect(settlements(bench)).toContain('ack m0')
    expect(receiver.closed).toBe(true)
    expect(consumer.stats().state).toBe('stopped')
    expect(bench.consumers.running).toEqual([])
  })

  it('waits for what leads to a settlement: a dead-letter queue that is being declared', async () => {
    const bench = await connectedBench()
    const declared = deferred()
    const { consumer, receiver } = await bench.consume(() => {
      throw new RejectError('no')
    })
    bench.adapter.onDeclare = async () => {
      await declared.promise
      return {}
    }
    receiver.give(delivery('m0'))
    await until(() => consumer.stats().failed === 1)
    const stopping = consumer.stop()
    for (let turn = 0; turn < 20; turn++) await settled()
    expect(settlements(bench)).toEqual([])
    declared.resolve()
    await stopping
    expect(settlements(bench)).toEqual(['deadLetter m0'])
  })

  it('waits for the answer of a request, and acknowledges it', async () => {
    const bench = await connectedBench()
    const answered = deferred()
    bench.adapter.onPublish = async (batch) => {
      await answered.promise
      return batch.map(() => ({ ok: true }))
    }
    const { consumer, receiver } = await bench.consume(() => 'answer')
    receiver.give(delivery('m0', { replyTo: 'reply:there', correlationId: 'c' }))
    await until(() => consumer.stats().handled === 1)
    const stopping = consumer.stop()
    for (let turn = 0; turn < 20; turn++) await settled()
    expect(settlements(bench)).toEqual([])
    answered.resolve()
    await stopping
    expect(settlements(bench)).toEqual(['ack m0'])
  })

  it('aborts and lists what still runs when its time is up, and gives it back uncounted', async () => {
    const bench = await connectedBench()
    let signal: AbortSignal | undefined
    const { consumer, receiver } = await bench.consume((_message, context) => {
      signal = context.signal
      return new Promise(() => undefined)
    })
    receiver.give(delivery('a'))
    await until(() => signal !== undefined)
    const stopping = consumer.stop({ timeoutMs: 100 })
    // Its time starts once nothing more is fetched.
    for (let i = 0; i < 10; i++) await settled()
    await bench.clock.advance(100)
    await expect(stopping).resolves.toEqual({ drained: false, abandoned: ['a'] })
    expect(signal?.aborted).toBe(true)
    expect(settlements(bench)).toEqual(['release a'])
    expect(bench.engine.stats.inFlight).toBe(0)
  })

  it('settles although the receiver neither returns nor closes', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => undefined)
    bench.adapter.onSettle = () => new Promise(() => undefined)
    bench.adapter.onClose = () => new Promise(() => undefined)
    receiver.give(delivery('a'))
    await until(() => receiver.settled.length > 0)
    let stopped = false
    void consumer.stop({ timeoutMs: 0 }).then(() => (stopped = true))
    for (let i = 0; i < 60 && !stopped; i++) await bench.clock.advance(1000)
    expect(stopped).toBe(true)
  })

  it('settles in the middle of an outage', async () => {
    const bench = await connectedBench()
    const { consumer } = await bench.consume(() => undefined)
    bench.adapter.onConnect = () => Promise.reject(new Error('down'))
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    await bench.clock.advance(500)
    await expect(consumer.stop()).resolves.toEqual({ drained: true, abandoned: [] })
  })

  it('settles while the receiver is being opened again', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => undefined)
    const opening = deferred()
    bench.adapter.onOpen = () => opening.promise
    receiver.fail(new Error('channel closed'))
    await bench.clock.advance(100)
    const stopping = consumer.stop()
    await settled()
    opening.resolve()
    await expect(stopping).resolves.toMatchObject({ drained: true })
    expect(lastOf(bench.adapter.receivers).closed).toBe(true)
  })
})

describe('a receiver that fails', () => {
  it('is closed and opened again; what was fetched is given back', async () => {
    const bench = await connectedBench()
    const { running, handler } = held()
    const { consumer, receiver } = await bench.consume(handler, { prefetch: 8 })
    receiver.give(...many(2))
    await until(() => running.size === 1)
    receiver.fail(new Error('channel closed'))
    await until(() => receiver.closed)
    expect(settlements(bench)).toEqual(['release m1'])
    await bench.clock.advance(100)
    await until(() => bench.adapter.receivers.length === 2)
    lastOf(bench.adapter.receivers).give(delivery('next'))
    running.get('m0')?.()
    await until(() => running.has('next'))
    await consumer.stop({ timeoutMs: 0 })
  })

  it('makes a queue again that was deleted underneath', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => undefined)
    const before = bench.adapter.declared.length
    receiver.fail(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'deleted'))
    await until(() => receiver.closed)
    await bench.clock.advance(100)
    await until(() => bench.adapter.receivers.length === 2)
    expect(bench.adapter.declared.length).toBe(before + 1)
    await consumer.stop()
  })

  it('makes the consumer count as stuck when it lasts', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => undefined)
    bench.adapter.onOpen = () => Promise.reject(new Error('refused'))
    receiver.fail(new Error('channel closed'))
    await settled()
    expect(consumer.stats().stuck).toBe(false)
    await bench.clock.advance(2000)
    expect(consumer.stats().stuck).toBe(true)
    bench.adapter.onOpen = () => Promise.resolve()
    await bench.clock.advance(10_000)
    await until(() => bench.adapter.receivers.length === 2)
    lastOf(bench.adapter.receivers).give(delivery('a'))
    await until(() => consumer.stats().handled === 1)
    expect(consumer.stats().stuck).toBe(false)
    await consumer.stop()
  })

  it('after a lost connection is opened anew, and running handlers are told', async () => {
    const bench = await connectedBench()
    let signal: AbortSignal | undefined
    const { consumer, receiver } = await bench.consume(
      (_message, context) => {
        signal ??= context.signal
        return signal === context.signal ? new Promise(() => undefined) : undefined
      },
      { concurrency: 2 },
    )
    receiver.give(delivery('a'))
    await until(() => signal !== undefined)
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    expect(signal?.aborted).toBe(true)
    expect(bench.events.map(([name]) => name)).toContain('leaseLost')
    await bench.clock.advance(200)
    await until(() => bench.adapter.receivers.length === 2)
    lastOf(bench.adapter.receivers).give(delivery('b'))
    await until(() => settlements(bench).length > 0)
    expect(settlements(bench)).toEqual(['ack b'])
    await consumer.stop({ timeoutMs: 0 })
  })
})

describe('keys of an ordered queue', () => {
  const ordered = { defaultQueueConfig: { ordered: true } }

  it('run one message at a time each, in order, and hold up no other', async () => {
    const bench = await connectedBench(ordered)
    const { running, handler, end } = held()
    const { consumer, receiver } = await bench.consume(handler, { concurrency: 4 })
    receiver.give(
      delivery('a1', { key: 'a' }),
      delivery('a2', { key: 'a' }),
      delivery('b1', { key: 'b' }),
      delivery('x'),
    )
    await until(() => running.size === 3)
    expect([...running.keys()]).toEqual(['a1', 'b1', 'x'])
    await end('a1')
    await until(() => running.has('a2'))
    for (const id of ['a2', 'b1', 'x']) await end(id)
    await until(() => consumer.stats().handled === 4)
    await consumer.stop()
  })

  it('wait in place after a failure where the broker cannot keep their order', async () => {
    const bench = await connectedBench(ordered, fakeAdapter({ retryKeepsOrder: false }))
    const runs: string[] = []
    const { consumer, receiver } = await bench.consume(
      ({ id, deliveryCount }, { attempt }) => {
        runs.push(`${id} ${attempt}`)
        if (id === 'a1' && deliveryCount === 0) throw new Error('once')
      },
      { concurrency: 2, retry: { delayMs: 1000, jitter: 0 } },
    )
    receiver.give(delivery('a1', { key: 'a' }), delivery('a2', { key: 'a' }), delivery('b1', { key: 'b' }))
    await until(() => consumer.stats().handled === 1)
    expect(runs).toEqual(['a1 1', 'b1 1'])
    expect(consumer.stats()).toMatchObject({ running: 0, buffered: 2 })
    await bench.clock.advance(999)
    expect(runs).toHaveLength(2)
    await bench.clock.advance(1)
    await until(() => consumer.stats().handled === 3)
    expect(runs).toEqual(['a1 1', 'b1 1', 'a1 2', 'a2 1'])
    expect(settlements(bench).filter((entry) => !entry.startsWith('renew'))).toEqual([
      'ack b1',
      'ack a1',
      'ack a2',
    ])
    await consumer.stop()
  })
})
