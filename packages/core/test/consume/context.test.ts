import { expect, it } from '@jest/globals'
import type { HandlerContext, HandlerOptions } from '../../src/consume/handler.ts'
import { connectedBench, deferred, until } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

it.each<[string, HandlerOptions]>([
  ['of one message', {}],
  ['of a batch', { batch: { size: 1, waitMs: 1 } }],
])('extend can be taken out of the context %s', async (_name, options) => {
  const bench = await connectedBench()
  const { consumer, receiver } = await bench.consume(
    async (_message: unknown, { extend }: HandlerContext) => extend(1000),
    options,
  )
  receiver.give(delivery('a'))
  await until(() => receiver.settled.length === 2)
  expect(receiver.settled).toMatchObject([
    { kind: 'renew', ids: ['a'] },
    { kind: 'ack', ids: ['a'] },
  ])
  await consumer.stop()
})

it.each<[string, HandlerOptions]>([
  ['of one message', {}],
  ['of a batch', { batch: { size: 1, waitMs: 1 } }],
])(
  'the signal %s is that of its run, also when that goes on after the next has begun',
  async (_name, options) => {
    const config = { defaultQueueConfig: { ordered: true } }
    const bench = await connectedBench(config, fakeAdapter({ retryKeepsOrder: false }))
    const gate = deferred()
    const aborted: boolean[] = []
    const { consumer, receiver } = await bench.consume(
      async (_message: unknown, context: HandlerContext) => {
        if (context.attempt === 1) await gate.promise
        aborted.push(context.signal.aborted)
      },
      { ...options, timeoutMs: 20, retry: { delayMs: 5, jitter: 0 } },
    )
    receiver.give(delivery('a', { key: 'k' }))
    await until(() => consumer.stats().running === 1)
    await bench.clock.advance(20)
    await bench.clock.advance(20)
    await until(() => aborted.length === 1)
    gate.resolve()
    await until(() => aborted.length === 2)
    expect(aborted).toEqual([false, true])
    await consumer.stop()
  },
)
