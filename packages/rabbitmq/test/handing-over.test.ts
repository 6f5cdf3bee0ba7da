import { afterEach, describe, expect, it } from '@jest/globals'
import { fresh, until } from '@mq/conformance/fixtures'
import { type Message, MessageQueue } from '@mq/core'
import { rabbitmqAdapter } from '../src/index.ts'
import { broker } from './bench.ts'

const queues: MessageQueue[] = []
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 0 })))
})

async function process(ordered: boolean): Promise<MessageQueue> {
  const queue = new MessageQueue(rabbitmqAdapter({ url: broker.url }), { defaultQueueConfig: { ordered } })
  queues.push(queue)
  await queue.connect()
  return queue
}

function gate(): { open: () => void; passed: Promise<void> } {
  let open = (): void => undefined
  const passed = new Promise<void>((resolve) => (open = resolve))
  return { open, passed }
}

describe('one process takes over from another', () => {
  it('gets what comes while a handler of that has its time to end', async () => {
    const [old, next] = [await process(false), await process(false)]
    const name = fresh()
    const door = gate()
    const started: unknown[] = []
    const consumer = await old.consume(
      name,
      ({ body }) => {
        started.push(body)
        return door.passed
      },
      { concurrency: 1, prefetch: 10 },
    )
    await next.sendBatch(['running', 'ahead'].map((body) => ({ queueName: name, body })))
    await until(() => consumer.stats().unsettled === 2)
    const stopping = consumer.stop({ timeoutMs: 60_000 })
    await next.sendBatch(['new', 'newer'].map((body) => ({ queueName: name, body })))
    const got: unknown[] = []
    await next.consume(name, ({ body }) => void got.push(body))
    await until(() => got.length === 3)
    expect(got.sort()).toEqual(['ahead', 'new', 'newer'])
    door.open()
    expect(await stopping).toEqual({ drained: true, abandoned: [] })
    expect(started).toEqual(['running'])
  })

  it('gets those of a key in their order where the time of a handler was up, counted once', async () => {
    const [old, next] = [await process(true), await process(true)]
    const name = fresh()
    const consumer = await old.consume(name, () => new Promise(() => undefined), { prefetch: 10 })
    await next.sendBatch([1, 2, 3, 4].map((body) => ({ queueName: name, body, key: 'k' })))
    await until(() => consumer.stats().unsettled === 4)
    const got: Message[] = []
    await next.consume(name, (message) => void got.push(message))
    expect((await consumer.stop({ timeoutMs: 300 })).abandoned).toHaveLength(1)
    await until(() => got.length === 4)
    expect(got.map(({ body, redeliveries }) => [body, redeliveries])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
    ])
  })

  it('finds what was given back at every stop, however often', async () => {
    const name = fresh()
    const sender = await process(false)
    await sender.sendBatch(['slow', 'behind', 'last'].map((body) => ({ queueName: name, body })))
    for (let n = 0; n < 25; n++) {
      const queue = await process(false)
      const consumer = await queue.consume(name, () => new Promise(() => undefined), {
        concurrency: 1,
        prefetch: 10,
      })
      await until(() => consumer.stats().unsettled === 3)
      await queue.disconnect({ timeoutMs: 0 })
    }
    const got: Message[] = []
    await sender.consume(name, (message) => void got.push(message))
    await until(() => got.length === 3)
    expect(got.map(({ body }) => body).sort()).toEqual(['behind', 'last', 'slow'])
    expect(got.map(({ deliveryCount }) => deliveryCount)).toEqual([0, 0, 0])
    expect(await sender.deadLetters(name).count()).toBe(0)
  })
})
