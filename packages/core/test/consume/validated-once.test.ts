import { describe, expect, it } from '@jest/globals'
import { defineQueue, MessageQueueFactory } from '../../src/index.ts'

/** A schema that turns texts into their length: what it makes it would refuse. */
const lengths = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) =>
      typeof value === 'string' ? { value: value.length } : { issues: [{ message: 'no text' }] },
  },
}

describe('a schema that changes bodies', () => {
  it('meets a message once, however often its handler fails', async () => {
    await using queue = MessageQueueFactory.createForTesting()
    await queue.connect()
    const typed = defineQueue('lengths', { schema: lengths, ordered: true })
    const bodies: unknown[] = []
    await queue.consume(
      typed,
      ({ body }) => {
        bodies.push(body)
        if (bodies.length < 3) throw new Error('again')
      },
      { retry: { maxRetries: 5, delayMs: 1 } },
    )
    await queue.send('lengths', 'four')
    while (bodies.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(bodies).toEqual([4, 4, 4])
    await expect(queue.deadLetters(typed).count()).resolves.toBe(0)
  })

  it('meets one that was received once, although it is processed then', async () => {
    await using queue = MessageQueueFactory.createForTesting()
    await queue.connect()
    const typed = defineQueue('lengths', { schema: lengths })
    const bodies: unknown[] = []
    queue.registerFunctionHandler(typed, ({ body }) => void bodies.push(body))
    await queue.send('lengths', 'four')
    const message = await queue.receive(typed)
    if (message === null) throw new Error('nothing was received')
    await queue.processMessage(message)
    expect(bodies).toEqual([4])
  })
})
