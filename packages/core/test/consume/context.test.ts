import { expect, it } from '@jest/globals'
import type { HandlerContext, HandlerOptions } from '../../src/consume/handler.ts'
import { connectedBench, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

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
