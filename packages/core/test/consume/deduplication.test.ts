import { describe, expect, it } from '@jest/globals'
import type { DeduplicationStore } from '../../src/engine.ts'
import { connectedBench, until } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

/** A broker that leaves deduplication to its consumers. */
async function deduplicating(store: DeduplicationStore) {
  const adapter = fakeAdapter({ dedupe: 'consumer' })
  const config = { defaultQueueConfig: { deduplicationWindowMs: 1000 } }
  return { adapter, bench: await connectedBench(config, adapter, { deduplicationStore: store }) }
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
    await consumer.stop()
  })
})
