import { describe, expect, it } from '@jest/globals'
import { MessageQueueFactory, subscription } from '@mq/core'
import { idle, record } from '../src/index.ts'

async function connected() {
  const queue = MessageQueueFactory.createForTesting()
  const seen = record(queue)
  await queue.connect()
  return { queue, seen }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('idle', () => {
  it('waits until what was sent is handled, and what followed from it', async () => {
    const { queue, seen } = await connected()
    await queue.consume('q', async ({ body }) => {
      await turn()
      if (body === 1) await queue.send('next', { from: body })
    })
    await queue.consume('next', turn)
    await queue.sendBatch([1, 2, 3].map((body) => ({ body, queueName: 'q' })))
    await idle(queue)
    expect(seen.handled).toHaveLength(4)
    await queue.disconnect()
  })

  it('looks at subscriptions', async () => {
    const { queue, seen } = await connected()
    const billing = subscription('orders', 'billing')
    await queue.consume(billing, turn)
    await queue.publish('orders', 'first')
    await idle(queue)
    expect(seen.handled).toHaveLength(1)
    await queue.createSubscription('orders', 'audit')
    await queue.publish('orders', 'second')
    await expect(idle(queue, { queues: [subscription('orders', 'audit')], timeoutMs: 20 })).rejects.toThrow(
      /not idle after 20 ms: 1 ready in orders\/audit/,
    )
    await queue.disconnect()
  })

  it('says what is not idle', async () => {
    const { queue } = await connected()
    await queue.send('q', 1)
    await idle(queue)
    await expect(idle(queue, { queues: ['q'], timeoutMs: 20 })).rejects.toThrow(/1 ready in q/)
    let finish = () => {}
    await queue.consume('q', () => new Promise<void>((resolve) => (finish = resolve)))
    await expect(idle(queue, { timeoutMs: 20 })).rejects.toThrow(/1 in flight/)
    finish()
    await idle(queue)
    await queue.disconnect()
  })

  it('refuses a name in place of an array of them', async () => {
    const { queue } = await connected()
    await queue.send('q', 1)
    await expect(idle(queue, { queues: 'q' as never })).rejects.toThrow(/queues is an array/)
    await queue.disconnect()
  })

  it('refuses a time-out that is none', async () => {
    const { queue } = await connected()
    await expect(idle(queue, { timeoutMs: NaN })).rejects.toThrow(/timeoutMs is 0 or more/)
    await queue.disconnect()
  })

  it('refuses an option that it does not have', async () => {
    const { queue } = await connected()
    await expect(idle(queue, { timeout: 5 } as object)).rejects.toThrow(/no option timeout; there are queues/)
    await queue.disconnect()
  })
})
