import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode } from '../../src/adapter/index.ts'
import {
  connectedBench,
  deferred,
  lastOf,
  refusal,
  sendBy,
  settled,
  type EngineBench,
} from '../engine-bench.ts'
import { message } from '../memory/fixture.ts'

const calls = (bench: EngineBench) => bench.adapter.published.map((batch) => batch.map(({ id }) => id))

function send(bench: EngineBench, id: string, changed = {}, signal?: AbortSignal) {
  return sendBy(bench, message(id, changed), 'q', { signal })
}

describe('what waits for its turn', () => {
  /** One call at a time, and the first is held up until `go`. */
  async function heldUp() {
    const bench = await connectedBench({ producer: { maxInFlightRequests: 1, deliveryTimeoutMs: 60_000 } })
    const gate = deferred()
    bench.adapter.onPublish = async (batch) => {
      await gate.promise
      return batch.map(() => ({ ok: true }))
    }
    const first = send(bench, 'first')
    await settled()
    return { bench, first, go: () => gate.resolve() }
  }

  it('is delayed from when it was sent, not from when the first of its call was', async () => {
    const { bench, first, go } = await heldUp()
    const sent = [send(bench, 'early', { delayMs: 60_000 })]
    await bench.clock.advance(50_000)
    for (const id of ['late', 'of the same tick']) sent.push(send(bench, id, { delayMs: 60_000 }))
    await bench.clock.advance(5_000)
    go()
    await Promise.all([first, ...sent])
    expect(lastOf(bench.adapter.published).map(({ id, delayMs }) => [id, delayMs])).toEqual([
      ['early', 5_000],
      ['late', 55_000],
      ['of the same tick', 55_000],
    ])
  })

  it('has all of its time: those before it in the call may run out of theirs', async () => {
    const { bench, first, go } = await heldUp()
    const early = refusal(send(bench, 'early'))
    await bench.clock.advance(40_000)
    const late = send(bench, 'late')
    bench.adapter.onConnect = () => Promise.reject(new Error('down'))
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    go()
    await first
    await bench.clock.advance(25_000)
    expect(await early).toMatchObject({ code: ErrorCode.TIMEOUT, certainty: 'not-stored' })
    bench.adapter.onConnect = () => Promise.resolve()
    await bench.clock.advance(10_000)
    await expect(late).resolves.toBe('late')
    expect(calls(bench).at(-1)).toEqual(['late'])
  })

  it('takes no room once its caller gave up', async () => {
    const { bench, first, go } = await heldUp()
    const controller = new AbortController()
    const given = Array.from({ length: 5 }, (_, n) => refusal(send(bench, `${n}`, {}, controller.signal)))
    expect(bench.outbox.pending).toBe(6)
    controller.abort()
    await Promise.all(given)
    expect(bench.outbox.pending).toBe(1)
    go()
    await first
    await settled()
    expect([bench.outbox.pending, calls(bench)]).toEqual([0, [['first']]])
  })
})

describe('at most once', () => {
  it('publishes nothing again whose fate is unknown, and what was surely not stored until it is', async () => {
    const bench = await connectedBench({ producer: { deliveryMode: 'at_most_once' } })
    const lost = (certainty: 'unknown' | 'not-stored') => ({
      ok: false as const,
      error: new AdapterError(ErrorCode.CONNECTION, 'cut'),
      certainty,
    })
    let tries = 0
    bench.adapter.onPublish = async (batch) =>
      batch.map(({ id }) => (tries++ > 1 ? { ok: true } : lost(id === 'a' ? 'unknown' : 'not-stored')))
    const [failed, kept] = [refusal(send(bench, 'a')), send(bench, 'b')]
    expect(await failed).toMatchObject({ certainty: 'unknown' })
    await bench.clock.advance(1_000)
    await expect(kept).resolves.toBe('b')
    expect(calls(bench)).toEqual([['a', 'b'], ['b']])
  })
})

it('what is to be published again later is told when the queue disconnects', async () => {
  const bench = await connectedBench({ producer: { retryBackoffMs: 5_000 } })
  const error = new AdapterError(ErrorCode.CONNECTION, 'cut')
  bench.adapter.onPublish = async (batch) =>
    batch.map(() => ({ ok: false as const, error, certainty: 'unknown' as const }))
  const failed = refusal(send(bench, 'a'))
  await settled()
  expect(calls(bench)).toEqual([['a']])
  await bench.engine.supervisor.disconnect(() => Promise.resolve())
  expect(await failed).toMatchObject({ certainty: 'unknown' })
})
