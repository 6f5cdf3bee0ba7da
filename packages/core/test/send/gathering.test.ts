import { describe, expect, it } from '@jest/globals'
import type { OutboundMessage } from '../../src/adapter/index.ts'
import { connectedBench, deferred, sendBy, settled, type EngineBench } from '../engine-bench.ts'
import { fakeAdapter } from '../fake-adapter.ts'
import { message } from '../memory/fixture.ts'

const calls = (bench: EngineBench) => bench.adapter.published.map((batch) => batch.map(({ id }) => id))
const send = (bench: EngineBench, id: string, changed: Partial<OutboundMessage> = {}) =>
  sendBy(bench, message(id, changed), 'q')
const stored = () => ({ ok: true }) as const

describe('gathering', () => {
  it('puts what one tick sends to one destination into one call, in order', async () => {
    const bench = await connectedBench()
    const sent = ['a', 'b', 'c'].map((id) => send(bench, id))
    await expect(Promise.all(sent)).resolves.toEqual(['a', 'b', 'c'])
    await send(bench, 'd')
    expect(calls(bench)).toEqual([['a', 'b', 'c'], ['d']])
    expect(bench.outbox.pending).toBe(0)
  })

  it('never mixes destinations in a call', async () => {
    const bench = await connectedBench()
    const other = { destination: { queue: 'other' } }
    await Promise.all([send(bench, 'a'), sendBy(bench, message('b', other), 'other', { label: 'other' })])
    expect(calls(bench)).toEqual([['a'], ['b']])
  })

  it('waits lingerMs for company', async () => {
    const bench = await connectedBench({ producer: { lingerMs: 20 } })
    const first = send(bench, 'a')
    await bench.clock.advance(10)
    const second = send(bench, 'b')
    expect(calls(bench)).toEqual([])
    await bench.clock.advance(10)
    await Promise.all([first, second])
    expect(calls(bench)).toEqual([['a', 'b']])
  })

  it('waits for no company where nothing more fits in', async () => {
    for (const config of [{ lingerMs: 20 }, { lingerMs: 20, batchSize: 1200 }]) {
      const most = 'batchSize' in config ? 500 : 2
      const bench = await connectedBench({ producer: config }, { ...fakeAdapter(), pace: { publish: most } })
      const full = Promise.all([send(bench, 'a'), send(bench, 'b')])
      const last = send(bench, 'c')
      await full
      expect(calls(bench)).toEqual([['a', 'b']])
      await bench.clock.advance(20)
      await last
      expect(calls(bench)).toEqual([['a', 'b'], ['c']])
    }
  })

  it('makes calls of at most batchSize bytes, and of 500 messages', async () => {
    const small = await connectedBench({ producer: { batchSize: 1200 } })
    await Promise.all(['a', 'b', 'c'].map((id) => send(small, id)))
    expect(calls(small)).toEqual([['a', 'b'], ['c']])
    const many = await connectedBench()
    await Promise.all(Array.from({ length: 501 }, (_, i) => send(many, `m${i}`)))
    expect(many.adapter.published.map(({ length }) => length)).toEqual([500, 1])
  })

  it('makes calls of no more messages than the broker is best served with', async () => {
    const bench = await connectedBench({}, { ...fakeAdapter(), pace: { publish: 2 } })
    await Promise.all(Array.from({ length: 5 }, (_, i) => send(bench, `m${i}`)))
    expect(calls(bench)).toEqual([['m0', 'm1'], ['m2', 'm3'], ['m4']])
  })

  it('makes two calls of many, when none is under way, if that serves the broker best', async () => {
    const bench = await connectedBench({}, Object.assign(fakeAdapter(), { pace: { halve: 4 } }))
    const gate = deferred()
    bench.adapter.onPublish = async (batch) => {
      await gate.promise
      return batch.map(stored)
    }
    const all = ['a', 'b', 'c', 'd', 'e'].map((id) => send(bench, id))
    await settled()
    all.push(...['f', 'g', 'h', 'i'].map((id) => send(bench, id)))
    await settled()
    gate.resolve()
    await Promise.all(all)
    await Promise.all(['j', 'k', 'l'].map((id) => send(bench, id)))
    expect(calls(bench)).toEqual([
      ['a', 'b'],
      ['c', 'd', 'e'],
      ['f', 'g', 'h', 'i'],
      ['j', 'k', 'l'],
    ])
  })

  it('repeats of two such calls the one that failed, and only that', async () => {
    const bench = await connectedBench({}, Object.assign(fakeAdapter(), { pace: { halve: 4 } }))
    bench.adapter.onPublish = async (batch) =>
      batch.map((message) =>
        message.id === 'c' && bench.adapter.published.length === 2
          ? { ok: false, error: new Error('reset'), certainty: 'unknown' }
          : stored(),
      )
    const sent = Promise.all(['a', 'b', 'c', 'd'].map((id) => send(bench, id)))
    await settled()
    await bench.clock.advance(1000)
    await sent
    expect(calls(bench)).toEqual([['a', 'b'], ['c', 'd'], ['c']])
  })

  it('makes as few calls as it can where they go one at a time', async () => {
    const config = { producer: { maxInFlightRequests: 1 } }
    for (const pace of [{ publish: 2 }, { halve: 2 }]) {
      const bench = await connectedBench(config, { ...fakeAdapter(), pace })
      await Promise.all(Array.from({ length: 5 }, (_, i) => send(bench, `m${i}`)))
      expect(calls(bench)).toEqual([['m0', 'm1', 'm2', 'm3', 'm4']])
    }
  })

  it('holds at most maxInFlightRequests calls open, one for an ordered queue', async () => {
    for (const [ordered, most] of [
      [false, 2],
      [true, 1],
    ] as const) {
      const bench = await connectedBench({ producer: { maxInFlightRequests: 2 } })
      const settings = await bench.engine.topology.ensure({ queue: 'q' })
      const gate = deferred()
      bench.adapter.onPublish = async (batch) => {
        await gate.promise
        return batch.map(stored)
      }
      const sent = []
      for (const id of ['a', 'b', 'c']) {
        sent.push(sendBy(bench, message(id), 'q', { settings: { ...settings, ordered } }))
        await settled()
      }
      expect(bench.adapter.published).toHaveLength(most)
      gate.resolve()
      await Promise.all(sent)
      expect(calls(bench).flat()).toEqual(['a', 'b', 'c'])
    }
  })
})
