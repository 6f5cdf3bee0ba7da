import { describe, expect, it } from '@jest/globals'
import { Message } from '../../src/message/message.ts'
import { deferred, lastOf, queueBench, settled, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

/** A queue whose handler goes on until it is let go, run for a message that was received, or made here. */
async function running(which: 'received' | 'made here') {
  const bench = queueBench()
  await bench.queue.connect()
  const gate = deferred()
  const signals: AbortSignal[] = []
  bench.queue.registerFunctionHandler('q', async (_message, { signal }) => {
    signals.push(signal)
    await gate.promise
    return 'done'
  })
  const receiving = bench.queue.receive('q', { timeoutMs: 1000 })
  await until(() => bench.adapter.receivers.length === 1)
  const receiver = lastOf(bench.adapter.receivers)
  receiver.give(delivery('a'))
  const received = (await receiving) as Message
  const message = which === 'received' ? received : new Message({ queueName: 'q', id: 'b' })
  const processed = bench.queue.processMessage(message)
  return { ...bench, receiver, gate, signals, processed, message }
}

describe.each(['received', 'made here'] as const)('a run of processMessage, of a message %s,', (which) => {
  it('is waited for by disconnect', async () => {
    const { queue, adapter, receiver, gate, signals, processed } = await running(which)
    const closing = queue.disconnect()
    await until(() => signals.length === 1)
    for (let turn = 0; turn < 20; turn++) await settled()
    expect([receiver.closed, adapter.disconnects]).toEqual([false, 0])
    gate.resolve()
    expect(await closing).toEqual({ drained: true, abandoned: [] })
    expect(await processed).toBe('done')
    expect(signals[0]?.aborted).toBe(false)
    expect(receiver.settled).toMatchObject([{ kind: which === 'received' ? 'ack' : 'release', ids: ['a'] }])
  })

  it('is aborted when the time of disconnect is up; its message comes again, uncounted', async () => {
    const { queue, clock, receiver, gate, signals, processed, message } = await running(which)
    await until(() => signals.length === 1)
    const closing = queue.disconnect({ timeoutMs: 100 })
    await clock.advance(99)
    expect(signals[0]?.aborted).toBe(false)
    await clock.advance(1)
    expect(await closing).toEqual({ drained: false, abandoned: [message.id] })
    expect(signals[0]?.aborted).toBe(true)
    gate.resolve()
    expect(await processed).toBe('done')
    expect(receiver.settled).toMatchObject([{ kind: 'release', ids: ['a'] }])
    await queue.connect()
    expect(await queue.disconnect()).toEqual({ drained: true, abandoned: [] })
  })
})

it('a loop that runs its messages is handed no more once disconnect was called', async () => {
  const { queue, adapter } = queueBench()
  await queue.connect()
  const gate = deferred()
  const runs: string[] = []
  queue.registerFunctionHandler('q', async ({ id }) => {
    runs.push(id)
    await gate.promise
  })
  const loop = (async () => {
    for await (const message of queue.messages('q')) await queue.processMessage(message)
  })()
  await until(() => adapter.receivers.length === 1)
  const receiver = lastOf(adapter.receivers)
  receiver.give(delivery('a'), delivery('b'))
  await until(() => runs.length === 1)
  const closing = queue.disconnect()
  await settled()
  gate.resolve()
  expect(await closing).toEqual({ drained: true, abandoned: [] })
  await loop
  expect(runs).toEqual(['a'])
  const settlements = receiver.settled.map(({ kind, ids }) => `${kind} ${ids.join()}`)
  expect(settlements.sort()).toEqual(['ack a', 'release b'])
})
