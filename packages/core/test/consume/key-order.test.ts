import { describe, expect, it } from '@jest/globals'
import type { HandlerOptions } from '../../src/consume/handler.ts'
import { snapshot } from '../../src/manage/stats.ts'
import type { Message } from '../../src/message/message.ts'
import { connectedBench, deferred, lastOf, refusal, settled, until } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

/** A broker that hands out several messages of one key, and cannot keep their order over a retry. */
const lanes = () =>
  connectedBench({ defaultQueueConfig: { ordered: true } }, fakeAdapter({ retryKeepsOrder: false }))

const ofKey = (...ids: string[]) => ids.map((id) => delivery(id, { key: 'k' }))

describe('the key of an ordered queue', () => {
  it('goes on after a message that is acknowledged by hand when its handler is over', async () => {
    const bench = await lanes()
    const runs: Message[] = []
    const { receiver } = await bench.consume((message) => void runs.push(message), {
      acknowledgmentMode: 'manual',
      concurrency: 4,
    })
    receiver.give(...ofKey('a', 'b'))
    await until(() => runs.length === 1)
    await settled()
    expect(runs).toHaveLength(1)
    await bench.receiving.acknowledge(runs[0] as Message)
    await until(() => runs.length === 2)
    expect(runs[1]?.id).toBe('b')
  })

  it('starts nothing of what is lost together', async () => {
    const bench = await lanes()
    const gate = deferred()
    const runs: string[] = []
    const { receiver } = await bench.consume(
      ({ id }) => {
        runs.push(id)
        return gate.promise
      },
      { concurrency: 4 },
    )
    const all = ofKey('a', 'b', 'c')
    receiver.give(...all)
    await until(() => runs.length === 1)
    receiver.lose(...all)
    await settled()
    expect(runs).toEqual(['a'])
    gate.resolve()
    await settled()
    expect(runs).toEqual(['a'])
  })

  it('is not freed by the end of a run whose message is somebody else’s, or came again, by then', async () => {
    const bench = await lanes()
    const ends = new Map<number, () => void>()
    const runs: string[] = []
    const { receiver } = await bench.consume(
      ({ id }) => {
        const { promise, resolve } = deferred()
        runs.push(id)
        ends.set(runs.length, resolve)
        return promise
      },
      { concurrency: 4 },
    )
    const first = ofKey('a')
    receiver.give(...first)
    await until(() => runs.length === 1)
    receiver.lose(...first)
    lastOf(bench.adapter.receivers).give(...ofKey('a', 'b', 'c'))
    await until(() => runs.length === 2)
    ends.get(1)?.()
    await settled()
    expect(runs).toEqual(['a', 'a'])
    ends.get(2)?.()
    await until(() => runs.length === 3)
    await settled()
    expect(runs).toEqual(['a', 'a', 'b'])
  })

  it('keeps its order over a probe of the circuit breaker that fails, which costs no attempt', async () => {
    const bench = await lanes()
    const runs: string[] = []
    const { receiver } = await bench.consume(
      ({ id, deliveryCount }) => {
        runs.push(`${id}${deliveryCount}`)
        if (runs.length < 4) throw new Error('down')
      },
      {
        circuitBreaker: { failures: 1, openMs: 100 },
        retry: { maxRetries: 5, delayMs: 1, backoff: 'fixed', jitter: 0 },
        prefetch: 10,
      },
    )
    receiver.give(...ofKey('a', 'b'))
    for (let n = 0; n < 6; n++) {
      await settled()
      await bench.clock.advance(100)
    }
    expect(runs).toEqual(['a0', 'a1', 'a1', 'a1', 'b0'])
    expect(receiver.settled.map(({ kind }) => kind)).toEqual(['ack', 'ack'])
  })

  it('is tried again with the message as it was sent', async () => {
    const bench = await lanes()
    const seen: unknown[] = []
    const { receiver } = await bench.consume(
      (message) => {
        const { body, headers, ttl, traceId } = message
        seen.push({ body, headers: { ...headers }, ttl, traceId })
        message.body = 'changed'
        headers['tenant'] = 'changed'
        if (seen.length < 3) throw new Error('again')
      },
      { retry: { maxRetries: 5, delayMs: 10 } },
    )
    const traceId = 'a'.repeat(32)
    const traceparent = `00-${traceId}-${'b'.repeat(16)}-01`
    const headers = { tenant: 'one', 'mq-ttl': '60000', traceparent, 'mq-trace': '1' }
    receiver.give(delivery('a', { key: 'k', headers }))
    for (let n = 0; n < 3; n++) {
      await settled()
      await bench.clock.advance(1_000)
    }
    const sent = { body: 'a', headers: { tenant: 'one' }, ttl: 60_000, traceId }
    expect(seen).toEqual([sent, sent, sent])
  })

  it('has nothing in flight while it waits for a retry', async () => {
    const bench = await lanes()
    const gate = deferred()
    const runs: string[] = []
    const { receiver } = await bench.consume(
      ({ id }) => {
        runs.push(id)
        return runs.length === 1 ? Promise.reject(new Error('again')) : gate.promise
      },
      { retry: { delayMs: 100, backoff: 'fixed', jitter: 0 } },
    )
    const inFlight = () => snapshot(bench.engine.stats, true, bench.consumers).inFlight
    receiver.give(...ofKey('a'))
    await until(() => runs.length === 1)
    await settled()
    expect(inFlight()).toBe(0)
    await bench.clock.advance(100)
    expect([runs.length, inFlight()]).toEqual([2, 1])
    gate.resolve()
    await until(() => receiver.settled.length === 1)
    expect(inFlight()).toBe(0)
  })

  it('goes on when a run is over, also of a message that was acknowledged before it', async () => {
    const bench = await lanes()
    const gate = deferred()
    const runs: string[] = []
    const { receiver } = await bench.consume(
      ({ id }) => {
        runs.push(id)
        return gate.promise
      },
      { acknowledgmentMode: 'none', concurrency: 4 },
    )
    receiver.give(...ofKey('a', 'b'))
    await until(() => receiver.settled.length === 1)
    await settled()
    expect(runs).toEqual(['a'])
    gate.resolve()
    await until(() => runs.length === 2)
    expect(runs).toEqual(['a', 'b'])
  })

  it.each<[string, HandlerOptions]>([
    ['by hand when its handler is over', { acknowledgmentMode: 'manual' }],
    ['by its own handler', {}],
    ['by the handler of a batch', { batch: { size: 5, waitMs: 1 } }],
  ])('stays blocked by a message that is rejected %s, and comes back', async (_how, options) => {
    const bench = await lanes()
    const runs: Message[] = []
    const { receiver, consumer } = await bench.consume(
      async (given: Message | readonly Message[]) => {
        const [message] = [given].flat() as [Message]
        runs.push(message)
        if (options.acknowledgmentMode !== 'manual' && message.id === 'a' && message.deliveryCount === 0)
          await bench.receiving.reject(message, { requeue: true, delayMs: 100 })
      },
      { concurrency: 4, ...options },
    )
    receiver.give(...ofKey('a', 'b'))
    for (let n = 0; n < 5 && runs.length === 0; n++) await bench.clock.advance(1)
    const [first] = runs as [Message]
    if (options.acknowledgmentMode === 'manual')
      await bench.receiving.reject(first, { requeue: true, delayMs: 100 })
    await bench.clock.advance(90)
    expect(runs).toHaveLength(1)
    expect(consumer.stats().unsettled).toBe(2)
    expect((await refusal(bench.receiving.acknowledge(first))).code).toBe('MQ_ALREADY_SETTLED')
    await bench.clock.advance(20)
    await until(() => runs.length >= 2)
    const [, again] = runs as [Message, Message]
    expect([again.id, again.deliveryCount]).toEqual(['a', 1])
    if (options.acknowledgmentMode === 'manual') await bench.receiving.acknowledge(again)
    for (let n = 0; n < 5 && runs.length < 3; n++) await bench.clock.advance(1)
    expect(runs.map(({ id }) => id)).toEqual(['a', 'a', 'b'])
    expect(receiver.settled.map(({ kind }) => kind)).not.toContain('retry')
    await consumer.stop()
  })
})
