import { describe, expect, it } from '@jest/globals'
import { AdapterError } from '../../src/adapter/adapter-error.ts'
import { ErrorCode } from '../../src/error-codes.ts'
import type { PublishError } from '../../src/errors.ts'
import { Message } from '../../src/message/message.ts'
import { lastOf, queueBench, refusal, settled } from '../engine-bench.ts'

describe('sendBatch of one message several times', () => {
  it('sends it so many times, each on its own', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const message = new Message({ queueName: 'q', body: 1 })
    expect(await queue.sendBatch([message, message])).toEqual([message.id, message.id])
    const stored = adapter.published.flat()
    expect(stored.map(({ id }) => id)).toEqual([message.id, message.id])
    // Else the broker would take the second for a repetition of the first.
    expect(new Set(stored.map(({ sendToken }) => sendToken)).size).toBe(2)
    await queue.disconnect()
  })

  it('sends more than the buffer holds', async () => {
    const { queue, adapter } = queueBench({ producer: { bufferMemory: 10_000, batchSize: 1_000 } })
    await queue.connect()
    const messages = Array.from({ length: 100 }, (_, n) => ({ id: String(n), queueName: 'q', body: n }))
    const ids = messages.map(({ id }) => id)
    expect(await queue.sendBatch(messages)).toEqual(ids)
    expect(adapter.published.flat().map(({ id }) => id)).toEqual(ids)
    await queue.disconnect()
  })

  it('ends also when nothing gets through', async () => {
    const producer = { bufferMemory: 10_000, batchSize: 1_000, deliveryTimeoutMs: 1_000 }
    const { queue, adapter, clock } = queueBench({ producer })
    await queue.connect()
    adapter.onPublish = () => new Promise(() => undefined)
    const messages = Array.from({ length: 100 }, (_, n) => ({ queueName: 'q', body: n }))
    const failed = refusal(queue.sendBatch(messages))
    for (let n = 0; n < 4; n++) await clock.advance(1_000)
    const { failures } = (await failed) as PublishError
    expect(failures.map(({ index }) => index)).toEqual(messages.map(({ body }) => body))
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('says of each alone whether it may be stored', async () => {
    const { queue } = queueBench()
    await queue.connect()
    let seen = 0
    queue.addMiddleware({
      name: 'picky',
      send: async (_message, next) => {
        if (++seen === 2) throw new Error('refused')
        await next()
        throw new Error('failed afterwards')
      },
    })
    const message = { queueName: 'q', body: 1 }
    expect(await refusal(queue.sendBatch([message, message]))).toMatchObject({
      certainty: 'unknown',
      failures: [
        { index: 0, certainty: 'unknown' },
        { index: 1, certainty: 'not-stored' },
      ],
    })
    await queue.disconnect()
  })

  it('names those that failed by the ids that they were sent with', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const full = new AdapterError(ErrorCode.QUEUE_FULL, 'full')
    adapter.onPublish = (batch) =>
      Promise.resolve(batch.map(() => ({ ok: false, error: full, certainty: 'not-stored' })))
    const messages = [1, 2].map((body) => ({ queueName: 'q', body }))
    const sentIds = () => [...new Set(adapter.published.flat().map(({ id }) => id))]
    const plain = (await refusal(queue.sendBatch(messages))) as PublishError
    expect(plain.failures.map(({ id }) => id)).toEqual(sentIds())

    adapter.published.length = 0
    queue.addMiddleware({ name: 'none', send: (_message, next) => next() })
    const wrapped = (await refusal(queue.sendBatch(messages))) as PublishError
    expect(wrapped.failures.map(({ id }) => id)).toEqual(sentIds())
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('tells those that were stored from those that a disconnect kept back', async () => {
    const { queue, adapter } = queueBench({ producer: { batchSize: 1_000, maxInFlightRequests: 1 } })
    await queue.connect()
    adapter.onConnect = () => Promise.reject(new Error('down'))
    adapter.onPublish = async (batch) => {
      lastOf(adapter.connections).lost(new Error('cut'))
      return batch.map(() => ({ ok: true }))
    }
    const messages = Array.from({ length: 10 }, (_, n) => ({ id: String(n), queueName: 'q', body: n }))
    const failed = refusal(queue.sendBatch(messages))
    await settled()
    await queue.disconnect()
    const error = (await failed) as PublishError
    const stored = adapter.published.flat().map(({ id }) => id)
    expect(error).toMatchObject({ name: 'PublishError', certainty: 'not-stored' })
    expect([...stored, ...error.failures.map(({ id }) => id)]).toEqual(messages.map(({ id }) => id))
  })
})
