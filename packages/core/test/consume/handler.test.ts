import { expect, it } from '@jest/globals'
import type { Message } from '../../src/message/message.ts'
import type { MessageQueue } from '../../src/message-queue.ts'
import { lastOf, queueBench, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

const options = { batch: { size: 2, waitMs: 50 } }

type Consume = (queue: MessageQueue, seen: string[][]) => Promise<unknown>

// Their types are half of the test: it would not compile if one of these forms took no batch handler.
it.each<[string, Consume]>([
  [
    'consume, as a function',
    (queue, seen) =>
      queue.consume('q', async (messages) => void seen.push(messages.map(({ id }) => id)), options),
  ],
  [
    'consume, as an object',
    (queue, seen) =>
      queue.consume('q', { handle: (messages) => void seen.push(messages.map(({ id }) => id)) }, options),
  ],
  [
    'subscribe',
    (queue, seen) =>
      queue.subscribe('t', 's', (messages) => void seen.push(messages.map(({ id }) => id)), options),
  ],
  [
    'registerHandler',
    async (queue, seen) => {
      const handle = (messages: Message[]) => void seen.push(messages.map(({ id }) => id))
      await queue.registerHandler('q', { handle }, options).startConsuming('q')
    },
  ],
])('a batch handler goes to %s', async (_name, consume) => {
  const { queue, adapter } = queueBench()
  await queue.connect()
  const seen: string[][] = []
  await consume(queue, seen)
  lastOf(adapter.receivers).give(delivery('a'), delivery('b'))
  await until(() => seen.length > 0)
  expect(seen).toEqual([['a', 'b']])
  await queue.disconnect()
})
