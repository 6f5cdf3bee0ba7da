import { expect, it } from '@jest/globals'
import { MessageQueue } from '../../src/message-queue.ts'
import { createMemoryBroker, memoryAdapter } from '../../src/memory/index.ts'
import { recorder, until } from '../engine-bench.ts'
import { VirtualClock } from '../memory/virtual-clock.ts'

it('a redrive that waits for its rate ends with the connection, and says what it moved', async () => {
  const clock = new VirtualClock()
  const broker = createMemoryBroker({ clock })
  const queue = new MessageQueue(memoryAdapter({ broker }), {}, { clock, logger: recorder([]) })
  await queue.connect()
  for (const id of ['a', 'b']) {
    await queue.send('q', 1, { id })
    const received = await queue.receive('q')
    if (received === null) throw new Error('nothing was received')
    await queue.reject(received)
  }
  const moving = queue.deadLetters('q').redrive({ ratePerSecond: 0.001 })
  await until(async () => (await queue.getQueueSize('q')) === 1)
  await queue.disconnect()
  await expect(moving).resolves.toMatchObject({
    moved: 1,
    failed: [{ id: 'b', error: { code: 'MQ_NOT_CONNECTED' } }],
  })
})
