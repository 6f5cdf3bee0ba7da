import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { Type } from 'typebox'
import type { MessageQueueConfigInput } from '../../src/config/message-queue-config.ts'
import { MessageQueue } from '../../src/message-queue.ts'
import { createMemoryBroker, memoryAdapter } from '../../src/memory/index.ts'
import type { Message } from '../../src/message/message.ts'
import { defineQueue, subscription } from '../../src/message/typed.ts'
import { refusal } from '../engine-bench.ts'

const open: MessageQueue[] = []

afterEach(async () => {
  for (const queue of open.splice(0)) await queue.disconnect({ timeoutMs: 0 })
})

async function bench(config: MessageQueueConfigInput = {}, broker = createMemoryBroker()) {
  const adapter = memoryAdapter({ broker })
  const declare = jest.spyOn(adapter, 'declare')
  const queue = new MessageQueue(adapter, config)
  open.push(queue)
  await queue.connect()
  return { queue, declare, broker }
}

async function failOne(queue: MessageQueue, name: string): Promise<void> {
  await queue.send(name, 1)
  await queue.reject((await queue.receive(name)) as Message)
}

describe('a count of dead letters', () => {
  it('makes nothing', async () => {
    const { queue, declare } = await bench()
    const typed = defineQueue('typed', { schema: Type.String(), deadLetterQueue: 'kept' })
    for (const source of ['q', 'q.dlq', typed, subscription('orders', 'billing')])
      await expect(queue.deadLetters(source).count()).resolves.toBe(0)
    expect(declare).not.toHaveBeenCalled()
  })

  it('makes no queue again that was deleted, and counts what it has left', async () => {
    const { queue, broker } = await bench()
    await failOne(queue, 'q')
    const other = await bench({}, broker)
    await other.queue.deleteQueue('q')
    for (const each of [queue, other.queue]) await expect(each.deadLetters('q').count()).resolves.toBe(1)
    await other.queue.deleteQueue('q.dlq')
    await expect(queue.deadLetters('q').count()).resolves.toBe(0)
    expect(other.declare).not.toHaveBeenCalled()
  })

  it('goes by what the queue is like, whoever made it', async () => {
    const { queue, broker } = await bench()
    await queue.createQueue({ name: 'q', deadLetterQueue: 'kept' })
    await failOne(queue, 'q')
    const other = await bench({}, broker)
    await expect(other.queue.deadLetters('q').count()).resolves.toBe(1)
  })

  it('finds what a typed queue that is gone has left in a queue of its own', async () => {
    const { queue, broker } = await bench()
    const typed = defineQueue('typed', { schema: Type.Number(), deadLetterQueue: 'kept' })
    await queue.send(typed, 1)
    await queue.reject((await queue.receive(typed)) as Message)
    await queue.deleteQueue(typed)
    const other = await bench({}, broker)
    await expect(other.queue.deadLetters(typed).count()).resolves.toBe(1)
  })

  it('says that a queue is missing where its use would not make it', async () => {
    const { queue } = await bench({ autoDeclare: false })
    expect(await refusal(queue.deadLetters('q').count())).toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
  })
})
