import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode } from '../../src/adapter/index.ts'
import type { MessageQueue } from '../../src/message-queue.ts'
import { labelOf } from '../../src/message/target.ts'
import { subscription } from '../../src/message/typed.ts'
import { lastOf, queueBench, until } from '../engine-bench.ts'

type Make = (queue: MessageQueue) => Promise<unknown>

describe('what is deleted by the queue that consumes it', () => {
  const subscribed: Make = (queue) => queue.subscribe('t', 's', () => undefined, { pattern: 'a.*' })
  const consumed: Make = async (queue) => {
    await queue.createQueue({ name: 'q', maxPriority: 5 })
    await queue.consume('q', () => undefined)
  }

  async function deleted(make: Make, remove: Make) {
    const bench = queueBench()
    const { queue, adapter, clock } = bench
    await queue.connect()
    await make(queue)
    const { declared, receivers } = adapter
    const before = lastOf(declared)
    await remove(queue)
    declared.length = 0
    const madeAgain = async () => {
      lastOf(receivers).fail(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'deleted'))
      await until(async () => {
        await clock.advance(100)
        return receivers.length === 2
      })
    }
    return { ...bench, before, madeAgain }
  }

  it.each<[string, Make, Make]>([
    ['a queue', consumed, (queue) => queue.deleteQueue('q')],
    ['a subscription', subscribed, (queue) => queue.deleteSubscription('t', 's')],
    ['a topic', subscribed, (queue) => queue.deleteTopic('t')],
  ])('is made again as it was: %s', async (_what, make, remove) => {
    const { queue, adapter, before, madeAgain } = await deleted(make, remove)
    await madeAgain()
    const { target, declaration } = lastOf(adapter.declared)
    const { settings, pattern } = before.declaration
    expect([labelOf(target), declaration]).toEqual([
      labelOf(before.target),
      { settings, pattern, ifExists: 'take' },
    ])
    await queue.disconnect()
  })

  it('is made again as it was, also by a sender that is faster', async () => {
    const { queue, adapter } = await deleted(consumed, (some) => some.deleteQueue('q'))
    await queue.send('q', 'x', { priority: 5 })
    expect(lastOf(adapter.declared).declaration.settings.maxPriority).toBe(5)
    await queue.disconnect()
  })

  it('is forgotten when its consumer was stopped before', async () => {
    const { queue, adapter } = await deleted(
      async (some) => {
        const consumer = await some.subscribe('t', 's', () => undefined, { pattern: 'a.*' })
        await consumer.stop()
      },
      (some) => some.deleteSubscription('t', 's'),
    )
    await queue.consume(subscription('t', 's'), () => undefined)
    expect(lastOf(adapter.declared).declaration.pattern).toBe('#')
    await queue.disconnect()
  })
})
