import { describe, expect, it } from '@jest/globals'
import { ErrorCode, type OutboundMessage } from '../../src/adapter/index.ts'
import { deferred, lastOf, queueBench, refusal, settled, until } from '../engine-bench.ts'

const cut = (bench: ReturnType<typeof queueBench>): void => {
  bench.adapter.onConnect = () => Promise.reject(new Error('down'))
  lastOf(bench.adapter.connections).lost(new Error('cut'))
}

describe('the first send to a queue', () => {
  it('waits for the connection as any other does', async () => {
    const bench = queueBench()
    await bench.queue.connect()
    cut(bench)
    const sent = [1, 2, 3].map((n) => bench.queue.send('new', n))
    await bench.clock.advance(1_000)
    bench.adapter.onConnect = () => Promise.resolve()
    await bench.clock.advance(10_000)
    const ids = await Promise.all(sent)
    expect(bench.adapter.published.flat().map(({ id }) => id)).toEqual(ids)
  })

  it('is given up after deliveryTimeoutMs, with nothing stored', async () => {
    const bench = queueBench({ producer: { deliveryTimeoutMs: 2_000, requestTimeoutMs: 500 } })
    await bench.queue.connect()
    cut(bench)
    const failed = refusal(bench.queue.send('new', 1))
    await bench.clock.advance(2_000)
    expect(await failed).toMatchObject({
      name: 'PublishError',
      code: 'MQ_TIMEOUT',
      certainty: 'not-stored',
    })
  })

  it('outlasts declarations that get no answer, and all of one time are given up by then', async () => {
    const bench = queueBench({ producer: { deliveryTimeoutMs: 5_000, requestTimeoutMs: 2_000 } })
    await bench.queue.connect()
    bench.adapter.onDeclare = () => new Promise(() => undefined)
    const sent = [1, 2, 3].map((n) => bench.queue.send('new', n))
    await bench.clock.advance(3_000)
    bench.adapter.onDeclare = () => Promise.resolve({})
    await bench.clock.advance(1_500)
    await Promise.all(sent)
    bench.adapter.onDeclare = () => new Promise(() => undefined)
    const late = Promise.all([1, 2, 3].map((n) => refusal(bench.queue.send('later', n))))
    await bench.clock.advance(5_000)
    for (const error of await late)
      expect(error).toMatchObject({ code: ErrorCode.TIMEOUT, certainty: 'not-stored' })
  })

  it('has its own time, whoever else waits for the queue, and is delayed and expires from when it was sent', async () => {
    const bench = queueBench({ producer: { deliveryTimeoutMs: 60_000, requestTimeoutMs: 10_000 } })
    await bench.queue.connect()
    const sentAt = bench.clock.now()
    cut(bench)
    bench.adapter.onDeclare = () => Promise.resolve({ messageTtl: 90_000 })
    const looked = refusal(bench.queue.getQueueSize('new'))
    const message = { queueName: 'new', body: 1, delay: 50_000, priority: 0 }
    const sent = bench.queue.send(message)
    // The caller's own again once the call has returned.
    Object.assign(message, { priority: 7, ttl: 60_000 })
    await bench.clock.advance(20_000)
    expect(await looked).toMatchObject({ code: ErrorCode.TIMEOUT })
    bench.adapter.onConnect = () => Promise.resolve()
    await bench.clock.advance(10_000)
    await sent
    const spent = bench.clock.now() - sentAt
    const [[stored]] = bench.adapter.published as [[OutboundMessage]]
    expect(stored).toMatchObject({ priority: 0, expiresAt: sentAt + 90_000 })
    expect(stored.delayMs).toBeLessThanOrEqual(50_000 - 20_000)
    expect(stored.delayMs).toBeGreaterThanOrEqual(50_000 - spent)
  })

  it('counts against bufferMemory meanwhile, and is let go when it fails', async () => {
    const bench = queueBench({ producer: { bufferMemory: 10_000, batchSize: 1_000 } })
    await bench.queue.connect()
    const gate = deferred<object>()
    bench.adapter.onDeclare = () => gate.promise
    const sent = Array.from({ length: 30 }, () =>
      bench.queue.send('new', 'x').catch((error: unknown) => error),
    )
    gate.reject(new Error('no'))
    const results = await Promise.all(sent)
    const full = results.filter((error) => String(error).includes('bufferMemory'))
    expect(full.length).toBeGreaterThan(5)
    expect(full.length).toBeLessThan(25)
    bench.adapter.onDeclare = async () => ({})
    await expect(
      Promise.all(Array.from({ length: 15 }, () => bench.queue.send('new', 'x'))),
    ).resolves.toHaveLength(15)
  })

  it('ends with its signal', async () => {
    const bench = queueBench()
    await bench.queue.connect()
    bench.adapter.onDeclare = () => new Promise(() => undefined)
    const controller = new AbortController()
    const failed = refusal(bench.queue.send({ queueName: 'new', body: 'x' }, { signal: controller.signal }))
    await until(() => bench.adapter.declared.length === 1)
    controller.abort()
    expect(await failed).toMatchObject({ code: ErrorCode.ABORTED, certainty: 'not-stored' })
  })

  it('is not overtaken by the next one, with a signal or without', async () => {
    const bench = queueBench()
    await bench.queue.connect()
    const { signal } = new AbortController()
    const sent = [
      bench.queue.send({ queueName: 'new', body: 1 }, { signal }),
      bench.queue.send('new', 2),
      bench.queue.send({ queueName: 'new', body: 3 }, { signal }),
    ]
    const ids = await Promise.all(sent)
    // Together, as later ones of one turn go.
    expect(bench.adapter.published.map((call) => call.map(({ id }) => id))).toEqual([ids])
  })

  it('is not overtaken by one that finds the queue made by name meanwhile', async () => {
    const bench = queueBench()
    await bench.queue.connect()
    const gate = deferred<object>()
    bench.adapter.onDeclare = () => gate.promise
    const first = bench.queue.send('new', 1)
    await until(() => bench.adapter.declared.length === 1)
    bench.adapter.onDeclare = () => Promise.resolve({})
    await bench.queue.createQueue({ name: 'new' })
    const second = bench.queue.send('new', 2)
    await settled()
    gate.resolve({})
    const ids = await Promise.all([first, second])
    expect(bench.adapter.published.flat().map(({ id }) => id)).toEqual(ids)
    // Nothing is held back for ever.
    await bench.queue.send('new', 3)
  })

  it('is flushed by a disconnect', async () => {
    const bench = queueBench()
    await bench.queue.connect()
    const gate = deferred<object>()
    bench.adapter.onDeclare = () => gate.promise
    const sent = bench.queue.send('new', 'x')
    const closing = bench.queue.disconnect()
    await until(() => bench.adapter.declared.length === 1)
    gate.resolve({})
    await expect(sent).resolves.toEqual(expect.any(String))
    await closing
  })
})

describe('a queue that was deleted here', () => {
  it('is sent to in its own way when it is made anew', async () => {
    const bench = queueBench({ producer: { maxInFlightRequests: 5 } })
    await bench.queue.connect()
    await bench.queue.send('q', 1)
    await bench.queue.deleteQueue('q')
    await bench.queue.createQueue({ name: 'q', ordered: true })
    const gate = deferred()
    let calls = 0
    bench.adapter.onPublish = async (batch) => {
      calls++
      await gate.promise
      return batch.map(() => ({ ok: true }))
    }
    const sent: Promise<string>[] = []
    for (let turn = 0; turn < 3; turn++) {
      sent.push(bench.queue.send('q', turn))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(calls).toBe(1)
    gate.resolve()
    await Promise.all(sent)
  })
})
