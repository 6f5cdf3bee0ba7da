import { expect, it } from '@jest/globals'
import {
  type MessageQueue,
  MessageQueueConfig,
  MessageQueueFactory,
  type StopResult,
} from '../../src/index.ts'

const config = MessageQueueConfig.parse({ broker: 'memory', connection: { url: 'memory://stop-inside' } })

it.each<[string, (queue: MessageQueue) => Promise<StopResult>]>([
  ['disconnects', (queue) => queue.disconnect()],
  ['stops its consumer', async (queue) => (await queue.startConsuming('q')).stop()],
])('a handler that %s and does not wait for it has handled its message', async (_, stop) => {
  const queue = MessageQueueFactory.createQueue(config)
  await queue.connect()
  await queue.send('q', 1)
  const stopped = new Promise<StopResult>((resolve, reject) => {
    queue.registerFunctionHandler('q', () => void stop(queue).then(resolve, reject))
  })
  await queue.startConsuming('q')
  expect(await stopped).toEqual({ drained: true, abandoned: [] })
  await queue.connect()
  expect(await queue.getQueueSize('q')).toBe(0)
  expect(await queue.receive('q', { timeoutMs: 0 })).toBeNull()
  await queue.disconnect()
})
