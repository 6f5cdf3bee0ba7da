import { expect, it } from '@jest/globals'
import type { HandlerContext, HandlerOptions } from '../../src/consume/handler.ts'
import { Message } from '../../src/message/message.ts'
import { connectedBench, deferred, queueBench, refusal, until } from '../engine-bench.ts'
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

it.each<[string, HandlerOptions]>([
  ['of one message', {}],
  ['of a batch', { batch: { size: 1, waitMs: 1 } }],
])('extend %s refuses what is no time, as the queue’s own does', async (_name, options) => {
  const bench = await connectedBench()
  const times = [NaN, Infinity, -1, 0, '1000', undefined]
  const codes: unknown[] = []
  const { consumer, receiver } = await bench.consume(
    async (_message: unknown, { extend }: HandlerContext) => {
      for (const time of times) codes.push((await refusal(extend(time as number))).code)
    },
    options,
  )
  receiver.give(delivery('a'))
  await until(() => receiver.settled.length > 0)
  expect(codes).toEqual(times.map(() => 'MQ_VALIDATION'))
  expect(receiver.settled).toMatchObject([{ kind: 'ack', ids: ['a'] }])
  await consumer.stop()
})

it('extend refuses it also in a run of processMessage for a message that was not received', async () => {
  const { queue } = queueBench()
  await queue.connect()
  queue.registerFunctionHandler('q', (_message, { extend }) => extend(NaN))
  const run = queue.processMessage(new Message({ queueName: 'q' }))
  expect((await refusal(run)).code).toBe('MQ_VALIDATION')
  await queue.disconnect()
})
