import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode, type Delivery } from '../../src/adapter/index.ts'
import type { HandlerContext, HandlerOptions } from '../../src/consume/handler.ts'
import { Message } from '../../src/message/message.ts'
import { connectedBench, settled, until, type EngineBench } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const kinds = (bench: EngineBench) =>
  bench.adapter.receivers.flatMap(({ settled }) => settled.map(({ kind, ids }) => `${kind} ${ids.join('+')}`))

/** A consumer with a batch handler: three at once, at most 50 ms apart. */
async function consumeBatches(
  bench: EngineBench,
  handler: (messages: Message[]) => unknown,
  options: HandlerOptions = {},
) {
  return bench.consume(handler as never, { batch: { size: 3, waitMs: 50 }, ...options })
}

describe('the circuit breaker of a batch handler', () => {
  it('probes with one message, at once, and keeps it uncounted when it fails', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    const runs: string[] = []
    let broken = true
    const { consumer, receiver } = await consumeBatches(
      bench,
      (messages) => {
        runs.push(messages.map(({ id }) => id).join('+'))
        if (broken) throw new Error('down')
      },
      { circuitBreaker: { failures: 3, openMs: 100 } },
    )
    receiver.give(...['a', 'b', 'c', 'd', 'e', 'f'].map((id) => delivery(id)))
    await until(() => consumer.stats().circuit === 'open')
    await bench.clock.advance(100)
    expect(runs).toEqual(['a+b+c', 'd'])
    expect(kinds(bench)).toEqual(['retry a', 'retry b', 'retry c'])
    broken = false
    await bench.clock.advance(100)
    await until(() => consumer.stats().circuit === 'closed')
    await bench.clock.advance(50)
    expect(runs.slice(2)).toEqual(['e', 'f+d'])
    await consumer.stop()
  })
})

describe('a batch', () => {
  it('settles each message although middleware put others in their place', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    bench.middlewares.push({
      name: 'replace',
      process: (message, next) => next(new Message({ body: message.body })),
    })
    const { consumer, receiver } = await consumeBatches(bench, (messages) =>
      messages.map(({ body }) => (body === 'b' ? new Error('no') : undefined)),
    )
    receiver.give(...['a', 'b', 'c'].map((id) => delivery(id)))
    await until(() => consumer.stats().handled + consumer.stats().failed === 3)
    await until(() => kinds(bench).length === 2)
    expect(kinds(bench).sort()).toEqual(['ack a+c', 'retry b'])
    await consumer.stop()
  })

  it('answers each request with its entry', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await consumeBatches(bench, () => [
      { sum: 3 },
      { status: 'fulfilled', value: 4 },
    ])
    receiver.give(...['a', 'b', 'c'].map((id) => delivery(id, { replyTo: 'reply:there' })))
    await until(() => bench.adapter.published.flat().length === 3)
    const replies = bench.adapter.published.flat()
    expect(
      replies.map(({ correlationId, body }) => `${correlationId} ${new TextDecoder().decode(body)}`),
    ).toEqual(['a {"sum":3}', 'b 4', 'c null'])
    await consumer.stop()
  })

  it('ends with its time, however many of its messages have not come out of their middleware', async () => {
    const bench = await connectedBench({ retryJitter: 0 })
    const late: (() => unknown)[] = []
    bench.middlewares.push({
      name: 'never',
      process: (message, next) =>
        message.id === 'a' ? next() : new Promise((resolve) => late.push(() => resolve(next()))),
    })
    const runs: number[] = []
    const { consumer, receiver } = await consumeBatches(bench, (messages) => runs.push(messages.length), {
      timeoutMs: 1_000,
    })
    receiver.give(...['a', 'b', 'c'].map((id) => delivery(id)))
    await until(() => late.length === 2)
    await bench.clock.advance(1_000)
    await until(() => kinds(bench).length === 3)
    expect(kinds(bench)).toEqual(['retry a', 'retry b', 'retry c'])
    expect(consumer.stats()).toMatchObject({ running: 0, failed: 3 })
    for (const go of late) go()
    await settled()
    expect([runs, kinds(bench).length]).toEqual([[], 3])
    await consumer.stop()
  })

  it('handles none whose acknowledgement did not arrive, where that comes first', async () => {
    const bench = await connectedBench()
    const runs: string[] = []
    const { consumer, receiver } = await consumeBatches(
      bench,
      (messages) => void runs.push(messages.map(({ id }) => id).join('+')),
      { acknowledgmentMode: 'none' },
    )
    bench.adapter.onSettle = async (_kind, { id }) => (id === 'b' ? 'lost' : 'settled')
    receiver.give(...['a', 'b', 'c'].map((id) => delivery(id)))
    await until(() => runs.length === 1)
    expect(runs).toEqual(['a+c'])
    await consumer.stop()
  })

  it('is let go of when it is over, although its handler left a listener at its signal', async () => {
    const bench = await connectedBench()
    const mine: WeakRef<object>[] = []
    const { consumer, receiver } = await consumeBatches(bench, ((
      _messages: Message[],
      context: HandlerContext,
    ) => {
      const own = {}
      mine.push(new WeakRef(own))
      context.signal.addEventListener('abort', () => void own)
    }) as never)
    for (let batches = 1; batches <= 20; batches++) {
      receiver.give(...['a', 'b', 'c'].map((id) => delivery(id)))
      await until(() => consumer.stats().handled === 3 * batches && consumer.stats().unsettled === 0)
    }
    await settled()
    collect()
    expect(mine.filter((own) => own.deref() !== undefined).length).toBeLessThan(5)
    await consumer.stop()
  })

  it('aborts as soon as one of its messages does', async () => {
    const bench = await connectedBench()
    const signals: AbortSignal[] = []
    const { receiver } = await consumeBatches(bench, ((_messages: Message[], { signal }: HandlerContext) => {
      signals.push(signal)
      return new Promise(() => undefined)
    }) as never)
    const deliveries = ['a', 'b', 'c'].map((id) => delivery(id))
    receiver.give(...deliveries)
    await until(() => signals.length === 1)
    expect(signals[0]?.aborted).toBe(false)
    receiver.lose(deliveries[1] as Delivery)
    expect(signals[0]?.reason).toMatchObject({ code: ErrorCode.LEASE_LOST })
  })

  it('keeps no key waiting for one whose acknowledgement failed', async () => {
    const bench = await connectedBench({ defaultQueueConfig: { ordered: true } })
    const runs: string[] = []
    const { consumer, receiver } = await consumeBatches(
      bench,
      (messages) => void runs.push(messages.map(({ id }) => id).join('+')),
      { acknowledgmentMode: 'none' },
    )
    bench.adapter.onSettle = (_kind, { id }) => {
      if (id === 'a') throw new AdapterError(ErrorCode.UNSUPPORTED, 'never')
      return 'settled'
    }
    receiver.give(delivery('a', { key: 'k' }))
    await settled()
    await bench.clock.advance(50)
    await until(() => bench.engine.stats.errorCount > 0)
    receiver.give(delivery('b', { key: 'k' }))
    await bench.clock.advance(1_000)
    await until(() => runs.length === 1)
    expect(runs).toEqual(['b'])
    await consumer.stop()
  })

  it('may have more messages than a call takes arguments', async () => {
    const bench = await connectedBench()
    const size = 200_000
    const sizes: number[] = []
    const handler = (messages: Message[], { attempt }: HandlerContext) =>
      void sizes.push(messages.length, attempt)
    const { consumer, receiver } = await bench.consume(handler as never, { batch: { size, waitMs: 60_000 } })
    for (let given = 0; given < size; given += 50_000)
      receiver.give(...Array.from({ length: 50_000 }, (_, i) => delivery(String(given + i))))
    await until(() => consumer.stats().handled === size)
    expect(sizes).toEqual([size, 1])
    await consumer.stop()
  }, 120_000)
})
