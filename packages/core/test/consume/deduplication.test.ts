import { describe, expect, it } from '@jest/globals'
import type { HandlerFunction, HandlerOptions } from '../../src/consume/handler.ts'
import type { DeduplicationStore } from '../../src/engine.ts'
import type { Message } from '../../src/message/message.ts'
import { resolveQueue } from '../../src/message/typed.ts'
import { connectedBench, deferred, lastOf, settled, until, type EngineBench } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

/** A broker that leaves deduplication to its consumers. */
async function deduplicating(store: DeduplicationStore) {
  const adapter = fakeAdapter({ dedupe: 'consumer' })
  const config = { defaultQueueConfig: { deduplicationWindowMs: 1000 } }
  return { adapter, bench: await connectedBench(config, adapter, { deduplicationStore: store }) }
}

function memoryStore() {
  const known = new Set<string>()
  const store: DeduplicationStore = {
    has: async (key) => known.has(key),
    add: async (key) => void known.add(key),
  }
  return { store, known }
}

describe('deduplication at the consumer', () => {
  it('acknowledges without a run what the store knows, and remembers before it acknowledges', async () => {
    const known = new Set(['q:seen'])
    const steps: string[] = []
    const store = {
      has: (key: string) => Promise.resolve(known.has(key)),
      add: async (key: string, ttlMs: number) => void steps.push(`add ${key} ${ttlMs}`),
    }
    const { bench, adapter } = await deduplicating(store)
    adapter.onSettle = (kind, { id }) => {
      steps.push(`${kind} ${id}`)
      return 'settled'
    }
    const { consumer, receiver } = await bench.consume(({ id }) => void steps.push(`run ${id}`))
    receiver.give(delivery('1', { deduplicationId: 'seen' }), delivery('2', { deduplicationId: 'new' }))
    await until(() => steps.includes('ack 2'))
    expect(steps).not.toContain('run 1')
    expect(steps).toContain('ack 1')
    expect(steps.filter((step) => !step.endsWith('1'))).toEqual(['run 2', 'add q:new 1000', 'ack 2'])
    await consumer.stop()
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('down')
      },
    ],
    ['returns no promise', () => undefined as never],
  ])('goes on with a store whose add %s', async (_name, add) => {
    const { bench, adapter } = await deduplicating({ has: () => Promise.resolve(false), add })
    const { consumer, receiver } = await bench.consume(() => undefined)
    receiver.give(delivery('1', { deduplicationId: 'x' }))
    await until(() => adapter.receivers.at(-1)?.settled.length === 1)
    expect(receiver.settled).toMatchObject([{ kind: 'ack', ids: ['1'] }])
    expect(
      bench.log.filter(({ level }) => level === 'warn').every(({ fields }) => fields['id'] === '1'),
    ).toBe(true)
    await consumer.stop()
  })

  const acknowledges = (bench: EngineBench) => (message: Message) => bench.receiving.acknowledge(message)

  it.each<[string, HandlerOptions, (bench: EngineBench) => HandlerFunction]>([
    ['of single messages', {}, () => () => undefined],
    ['of batches', { batch: { size: 1, waitMs: 0 } }, () => () => undefined],
    ['with manual acknowledgement', { acknowledgmentMode: 'manual' }, acknowledges],
    ['without acknowledgement', { acknowledgmentMode: 'none' }, () => () => undefined],
    ['that acknowledges for itself', {}, acknowledges],
  ])('a handler %s gets one of two', async (_name, options, handlerOf) => {
    const { store, known } = memoryStore()
    const { bench } = await deduplicating(store)
    const handler = handlerOf(bench) as (message: unknown) => unknown
    let runs = 0
    const { consumer, receiver } = await bench.consume((message) => {
      runs++
      return handler(message)
    }, options)
    receiver.give(delivery('1', { deduplicationId: 'x' }))
    await until(() => receiver.settled.length === 1)
    receiver.give(delivery('2', { deduplicationId: 'x' }))
    await until(() => receiver.settled.length === 2)
    expect(runs).toBe(1)
    expect([...known]).toEqual(['q:x'])
    expect(receiver.settled).toMatchObject([
      { kind: 'ack', ids: ['1'] },
      { kind: 'ack', ids: ['2'] },
    ])
    await consumer.stop()
  })

  it('does not remember a message without acknowledgement that the broker was not told of', async () => {
    const { store, known } = memoryStore()
    const { bench, adapter } = await deduplicating(store)
    adapter.onSettle = () => 'lost'
    const { consumer, receiver } = await bench.consume(() => undefined, { acknowledgmentMode: 'none' })
    receiver.give(delivery('1', { deduplicationId: 'x' }))
    await until(() => receiver.settled.length === 1)
    await settled()
    expect([...known]).toEqual([])
    await consumer.stop()
  })

  it.each<[string, HandlerOptions]>([
    ['one after another', { concurrency: 4 }],
    ['in one batch', { batch: { size: 2, waitMs: 0 } }],
  ])('copies that come together, %s: the second waits for the first', async (_name, options) => {
    const { bench } = await deduplicating(memoryStore().store)
    const end = deferred()
    let runs = 0
    const { consumer, receiver } = await bench.consume(() => {
      runs++
      return end.promise
    }, options)
    receiver.give(delivery('1', { deduplicationId: 'x' }), delivery('2', { deduplicationId: 'x' }))
    await until(() => runs === 1)
    await settled()
    expect(receiver.settled).toEqual([])
    end.resolve()
    await until(() => receiver.settled.length === 2)
    expect(runs).toBe(1)
    expect(receiver.settled.map(({ kind }) => kind)).toEqual(['ack', 'ack'])
    await consumer.stop()
  })

  it('gives the second copy back when the first was not acknowledged', async () => {
    const { bench } = await deduplicating(memoryStore().store)
    const end = deferred()
    const { consumer, receiver } = await bench.consume(() => end.promise, { concurrency: 4 })
    receiver.give(delivery('1', { deduplicationId: 'x' }), delivery('2', { deduplicationId: 'x' }))
    await settled()
    end.reject(new Error('no'))
    await until(() => receiver.settled.length === 2)
    expect(receiver.settled).toMatchObject([
      { kind: 'retry', ids: ['1'] },
      { kind: 'release', ids: ['2'] },
    ])
    await consumer.stop()
  })

  it('gives back a copy that waits when its consumer stops', async () => {
    const { bench } = await deduplicating(memoryStore().store)
    const { consumer, receiver } = await bench.consume(() => undefined, { acknowledgmentMode: 'manual' })
    receiver.give(delivery('1', { deduplicationId: 'x' }), delivery('2', { deduplicationId: 'x' }))
    await until(() => bench.engine.stats.inFlight === 2)
    await settled()
    expect(await consumer.stop()).toMatchObject({ drained: true })
    expect(receiver.settled).toMatchObject([{ kind: 'release', ids: ['1', '2'] }])
  })

  it('waits for no store that never answers, neither before a run nor before an acknowledgement', async () => {
    const never = () => new Promise<never>(() => undefined)
    const { bench, adapter } = await deduplicating({ has: never, add: never })
    const { requestTimeoutMs } = bench.engine.config.producer
    const receiving = bench.receiving.receive(resolveQueue('q'), { timeoutMs: 1000 })
    await until(() => adapter.receivers.length === 1)
    lastOf(adapter.receivers).give(delivery('1', { deduplicationId: 'x' }))
    await settled()
    await bench.clock.advance(requestTimeoutMs)
    const message = (await receiving) as Message
    expect(message.id).toBe('1')
    const acknowledged = bench.receiving.acknowledge(message)
    await settled()
    await bench.clock.advance(requestTimeoutMs)
    await acknowledged
    await bench.receiving.close()
  })

  it.each<[string, HandlerOptions]>([
    ['of single messages', {}],
    ['of batches', { batch: { size: 1, waitMs: 0 } }],
  ])('a handler %s gets none that expired while the store was asked', async (_name, options) => {
    const asked = deferred<boolean>()
    const { bench } = await deduplicating({ has: () => asked.promise, add: async () => undefined })
    let runs = 0
    const { consumer, receiver } = await bench.consume(() => void runs++, options)
    receiver.give(delivery('1', { deduplicationId: 'x', expiresAt: bench.clock.now() + 50 }))
    await bench.clock.advance(100)
    asked.resolve(false)
    await until(() => receiver.settled.length === 1)
    expect(receiver.settled).toMatchObject([{ kind: 'deadLetter', ids: ['1'] }])
    expect(runs).toBe(0)
    await consumer.stop()
  })

  it('receive gets none that expired while the store was asked', async () => {
    const asked = deferred<boolean>()
    const { bench, adapter } = await deduplicating({ has: () => asked.promise, add: async () => undefined })
    const waiting = bench.receiving.receive(resolveQueue('q'), { timeoutMs: 200 })
    await until(() => adapter.receivers.length === 1)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('1', { deduplicationId: 'x', expiresAt: bench.clock.now() + 50 }))
    await bench.clock.advance(100)
    asked.resolve(false)
    await settled()
    await bench.clock.advance(200)
    expect(await waiting).toBeNull()
    expect(receiver.settled).toMatchObject([{ kind: 'deadLetter', ids: ['1'] }])
  })

  it('receive and messages pass over what was acknowledged', async () => {
    const { store, known } = memoryStore()
    const { bench, adapter } = await deduplicating(store)
    const queue = resolveQueue('q')
    const receiving = bench.receiving.receive(queue, { timeoutMs: 1000 })
    await until(() => adapter.receivers.length === 1)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('1', { deduplicationId: 'x' }))
    await bench.receiving.acknowledge((await receiving) as Message)
    expect([...known]).toEqual(['q:x'])
    receiver.give(delivery('2', { deduplicationId: 'x' }), delivery('3'))
    expect(await bench.receiving.receive(queue, { timeoutMs: 1000 })).toMatchObject({ id: '3' })
    const messages = bench.receiving.messages(queue, {})
    const next = messages.next()
    await until(() => adapter.receivers.length === 2)
    lastOf(adapter.receivers).give(delivery('4', { deduplicationId: 'x' }), delivery('5'))
    expect((await next).value).toMatchObject({ id: '5' })
    await bench.receiving.close()
  })
})
