import { describe, expect, it } from '@jest/globals'
import {
  AdapterError,
  ErrorCode,
  type OutboundMessage,
  type PublishOutcome,
} from '../../src/adapter/index.ts'
import {
  connectedBench,
  deferred,
  lastOf,
  refusal,
  sendBy,
  settled,
  until,
  type EngineBench,
} from '../engine-bench.ts'
import { listenersOf } from '../listeners-of.ts'
import { message } from '../memory/fixture.ts'

const ids = (batch: readonly OutboundMessage[] | undefined) => batch?.map(({ id }) => id)
const calls = (bench: EngineBench) => bench.adapter.published.map(ids)

function send(bench: EngineBench, id: string, changed: Partial<OutboundMessage> = {}, signal?: AbortSignal) {
  return sendBy(bench, message(id, changed), 'q', { signal })
}

type Answer = () => PublishOutcome

const stored = () => ({ ok: true }) as const
const passing = () => ({ ok: false, error: new Error('busy'), certainty: 'not-stored' }) as const
const unknown = () => ({ ok: false, error: new Error('no answer'), certainty: 'unknown' }) as const

describe('publishing again', () => {
  it('keeps the grouping, the order and each sendToken', async () => {
    const bench = await connectedBench()
    const answers: Answer[] = [unknown, unknown]
    bench.adapter.onPublish = async (batch) =>
      batch.map((batch[0]?.id === 'a' ? answers.pop() : undefined) ?? stored)
    const sent = [send(bench, 'a'), send(bench, 'b')]
    await settled()
    const later = send(bench, 'c')
    await bench.clock.advance(1000)
    await Promise.all([...sent, later])
    const again = bench.adapter.published.filter(([first]) => first?.id === 'a')
    expect(again.map(ids)).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ])
    expect(new Set(again.map(([first]) => first?.sendToken)).size).toBe(1)
  })

  it('repeats only what failed', async () => {
    const bench = await connectedBench()
    bench.adapter.onPublish = async (batch) =>
      batch.map(({ id }) => (id === 'b' && bench.adapter.published.length === 1 ? passing() : { ok: true }))
    const sent = Promise.all(['a', 'b', 'c'].map((id) => send(bench, id)))
    await until(() => bench.clock.timers > 0)
    await bench.clock.advance(200)
    await expect(sent).resolves.toEqual(['a', 'b', 'c'])
    expect(calls(bench)).toEqual([['a', 'b', 'c'], ['b']])
  })

  it('ends after `retries`, with what is known of the message', async () => {
    const bench = await connectedBench({ producer: { retries: 1, retryBackoffMs: 10 } })
    const answers: Answer[] = [passing, unknown]
    bench.adapter.onPublish = async (batch) => batch.map(answers.pop() ?? passing)
    const failed = refusal(send(bench, 'a'))
    await settled()
    await bench.clock.advance(100)
    // The first attempt may have stored it, whatever the last one says.
    expect(await failed).toMatchObject({ name: 'PublishError', certainty: 'unknown' })
    expect(bench.adapter.published).toHaveLength(2)
  })

  it('does not repeat what can never succeed', async () => {
    const bench = await connectedBench()
    const error = new AdapterError(ErrorCode.QUEUE_FULL, 'full')
    bench.adapter.onPublish = async (batch) =>
      batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
    expect(await refusal(send(bench, 'a'))).toMatchObject({
      code: ErrorCode.QUEUE_FULL,
      certainty: 'not-stored',
    })
    expect(bench.adapter.published).toHaveLength(1)
  })

  it('declares a queue again that was deleted underneath, once', async () => {
    const bench = await connectedBench()
    await bench.engine.topology.ensure({ queue: 'q' })
    const error = new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'gone')
    bench.adapter.onPublish = async (batch) =>
      batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
    expect(await refusal(send(bench, 'a'))).toMatchObject({
      name: 'QueueNotFoundError',
      certainty: 'not-stored',
    })
    expect(bench.adapter.published).toHaveLength(2)
    expect(
      bench.adapter.declared.filter(({ target }) => 'queue' in target && target.queue === 'q'),
    ).toHaveLength(2)
  })

  it('takes what waited off the delay', async () => {
    const bench = await connectedBench({ producer: { retryBackoffMs: 1000 } })
    const answers: Answer[] = [passing]
    bench.adapter.onPublish = async (batch) => batch.map(answers.pop() ?? stored)
    const startedAt = bench.clock.now()
    const sent = send(bench, 'a', { delayMs: 5000 })
    await settled()
    await bench.clock.advance(2000)
    await sent
    const [first, second] = bench.adapter.published.map(([only]) => only?.delayMs)
    expect(first).toBe(5000)
    expect(second).toBeLessThanOrEqual(4200)
    expect(bench.clock.now() - startedAt).toBe(2000)
  })
})

describe('an adapter that misbehaves', () => {
  it('rejects the whole call: unknown for every message', async () => {
    const bench = await connectedBench({ producer: { retries: 0 } })
    bench.adapter.onPublish = () => Promise.reject(new Error('broken'))
    for (const failed of [refusal(send(bench, 'a')), refusal(send(bench, 'b'))]) {
      expect(await failed).toMatchObject({ certainty: 'unknown' })
    }
  })

  it('throws instead of rejecting: the same', async () => {
    const bench = await connectedBench({ producer: { retries: 0 } })
    bench.adapter.onPublish = () => {
      throw new Error('broken')
    }
    expect(await refusal(send(bench, 'a'))).toMatchObject({ certainty: 'unknown' })
    expect(bench.outbox.pending).toBe(0)
  })

  it('answers too few: unknown for those it says nothing about', async () => {
    const bench = await connectedBench({ producer: { retries: 0 } })
    bench.adapter.onPublish = async () => [{ ok: true }]
    const [first, second] = [send(bench, 'a'), refusal(send(bench, 'b'))]
    await expect(first).resolves.toBe('a')
    expect(await second).toMatchObject({ certainty: 'unknown' })
  })

  it('answers nothing at all: unknown', async () => {
    const bench = await connectedBench({ producer: { retries: 0 } })
    bench.adapter.onPublish = () => Promise.resolve(undefined as never)
    expect(await refusal(send(bench, 'a'))).toMatchObject({ certainty: 'unknown' })
  })

  it('never answers: rejected by the delivery time-out, unknown', async () => {
    const bench = await connectedBench({ producer: { deliveryTimeoutMs: 3000, requestTimeoutMs: 1000 } })
    bench.adapter.onPublish = () => new Promise(() => undefined)
    const failed = refusal(send(bench, 'a'))
    await settled()
    await bench.clock.advance(3000)
    await until(() => bench.outbox.pending === 0)
    expect(await failed).toMatchObject({ certainty: 'unknown' })
  })
})

describe('an outage', () => {
  it('is waited out, and sends go in their order', async () => {
    const bench = await connectedBench()
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    const sent = []
    for (const id of ['a', 'b']) {
      sent.push(send(bench, id))
      await settled()
    }
    expect(bench.adapter.published).toEqual([])
    await bench.clock.advance(100)
    await expect(Promise.all(sent)).resolves.toEqual(['a', 'b'])
    expect(calls(bench).flat()).toEqual(['a', 'b'])
  })

  it('rejects what was never written as not stored, after deliveryTimeoutMs', async () => {
    const bench = await connectedBench({ producer: { deliveryTimeoutMs: 2000 } })
    bench.adapter.onConnect = () => Promise.reject(new Error('down'))
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    const failed = refusal(send(bench, 'a'))
    await settled()
    await bench.clock.advance(2000)
    expect(await failed).toMatchObject({ code: ErrorCode.TIMEOUT, certainty: 'not-stored' })
    expect(bench.outbox.pending).toBe(0)
  })

  it('holds back while the broker is blocked', async () => {
    const bench = await connectedBench()
    const [connection] = bench.adapter.connections
    connection?.blocked('memory')
    const sent = send(bench, 'a')
    await settled()
    expect(bench.adapter.published).toEqual([])
    connection?.blocked(null)
    await expect(sent).resolves.toBe('a')
  })

  it('is bounded by bufferMemory', async () => {
    const bench = await connectedBench({ producer: { bufferMemory: 1100, batchSize: 1000 } })
    lastOf(bench.adapter.connections).blocked('memory')
    const held = [send(bench, 'a'), send(bench, 'b')]
    expect(await refusal(send(bench, 'c'))).toMatchObject({
      code: ErrorCode.PUBLISH,
      certainty: 'not-stored',
    })
    lastOf(bench.adapter.connections).blocked(null)
    await Promise.all(held)
    await expect(send(bench, 'd')).resolves.toBe('d')
  })
})

describe('an abort', () => {
  it('before the write leaves nothing stored', async () => {
    const bench = await connectedBench()
    const controller = new AbortController()
    const failed = refusal(send(bench, 'a', {}, controller.signal))
    controller.abort()
    expect(await failed).toMatchObject({ code: ErrorCode.ABORTED, certainty: 'not-stored' })
    await settled()
    expect(bench.adapter.published).toEqual([])
    expect(bench.outbox.pending).toBe(0)
  })

  it('that came before the call, too', async () => {
    const bench = await connectedBench()
    expect(await refusal(send(bench, 'a', {}, AbortSignal.abort()))).toMatchObject({
      certainty: 'not-stored',
    })
    await settled()
    expect([bench.adapter.published, bench.outbox.pending]).toEqual([[], 0])
  })

  it('after the write leaves its fate unknown', async () => {
    const bench = await connectedBench()
    const gate = deferred()
    bench.adapter.onPublish = async (batch) => {
      await gate.promise
      return batch.map(stored)
    }
    const controller = new AbortController()
    const failed = refusal(send(bench, 'a', {}, controller.signal))
    await settled()
    controller.abort()
    expect(await failed).toMatchObject({ code: ErrorCode.ABORTED, certainty: 'unknown' })
    gate.resolve()
    await until(() => bench.outbox.pending === 0)
  })

  it('is listened to once, however many messages are sent by it, and as long as one waits', async () => {
    const bench = await connectedBench({ producer: { retries: 0 } })
    const { signal } = new AbortController()
    const sent = Promise.all([send(bench, 'a', {}, signal), send(bench, 'b', {}, signal)])
    expect(listenersOf(signal)).toBe(1)
    await sent
    bench.adapter.onPublish = async (batch) =>
      batch.map(() => ({ ok: false, error: new Error('full'), certainty: 'not-stored' }))
    await refusal(send(bench, 'c', {}, signal))
    expect(listenersOf(signal)).toBe(0)
  })
})

describe('an abort of one among others', () => {
  it('leaves the call that is repeated as it was, so that the broker knows it', async () => {
    const bench = await connectedBench()
    let tries = 0
    bench.adapter.onPublish = (batch) => {
      const answer: Answer = tries++ === 0 ? unknown : stored
      return Promise.resolve(batch.map(answer))
    }
    const controller = new AbortController()
    const aborted = refusal(send(bench, 'a', {}, controller.signal))
    const others = ['b', 'c'].map((id) => send(bench, id))
    await until(() => tries === 1)
    controller.abort()
    expect(await aborted).toMatchObject({ code: ErrorCode.ABORTED, certainty: 'unknown' })
    await bench.clock.advance(5_000)
    await expect(Promise.all(others)).resolves.toEqual(['b', 'c'])
    expect(calls(bench)).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ])
    expect(bench.outbox.pending).toBe(0)
  })
})

describe('Outbox.beginFlush', () => {
  it('waits until everything is confirmed, or its time is up', async () => {
    const bench = await connectedBench()
    await bench.outbox.beginFlush().wait()
    const gate = deferred()
    bench.adapter.onPublish = async (batch) => {
      await gate.promise
      return batch.map(stored)
    }
    const sent = send(bench, 'a')
    await settled()
    const late = bench.outbox.beginFlush().wait()
    bench.outbox.limitFlush(10)
    await bench.clock.advance(10)
    await late
    expect(bench.outbox.pending).toBe(1)
    gate.resolve()
    await bench.outbox.beginFlush().wait()
    expect(bench.outbox.pending).toBe(0)
    await sent
  })
})
