import assert from 'node:assert/strict'
import { RejectError, subscription, type Message, type MessageQueue } from '@mq/core'

const PATIENCE_MS = 10_000

/** Uses a connected queue in every way that starts something, all of which must end with the connection. It goes on consuming. */
export async function useEverything(queue: MessageQueue, name: string): Promise<void> {
  await consume(queue, name)
  await receive(queue, `${name}-received`)
  const topic = `${name}-topic`
  await queue.createSubscription(topic, 's')
  await queue.publish(topic, 'hello')
  await queue.getQueueSize(subscription(topic, 's'))
  await queue.purgeQueue(subscription(topic, 's'))
  await queue.deadLetters(name).list()
  assert.equal((await queue.healthCheck()).healthy, true)
}

/** Handlers that succeed, fail once, reject, and answer. */
async function consume(queue: MessageQueue, name: string): Promise<void> {
  const left = new Set(['handled', 'retried', 'rejected'])
  let done: () => void = () => undefined
  const all = new Promise<void>((resolve) => (done = resolve))
  const handler = ({ body, deliveryCount }: Message) => {
    if (body === 'retried' && deliveryCount === 0) throw new Error('once')
    left.delete(body as string)
    if (left.size === 0) done()
    if (body === 'rejected') throw new RejectError()
    return 'answer'
  }
  const retry = { maxRetries: 1, delayMs: 20, backoff: 'fixed', jitter: 0 } as const
  await queue.consume(name, handler, { retry })
  await queue.sendBatch([...left].map((body) => ({ body, queueName: name })))
  await all
  await queue.request(name, 'question', { timeoutMs: PATIENCE_MS })
}

/** One by one: kept for longer, given back for later, and waited for in vain. */
async function receive(queue: MessageQueue, name: string): Promise<void> {
  const next = async () => {
    const message = await queue.receive(name, { timeoutMs: PATIENCE_MS })
    assert.ok(message !== null, 'no message came')
    return message
  }
  await queue.send(name, 'received', { delay: 20 })
  const message = await next()
  await queue.extend(message, 30_000)
  await queue.reject(message, { requeue: true, delayMs: 20 })
  await queue.reject(await next())
  assert.equal(await queue.receive(name, { timeoutMs: 20 }), null)
}
