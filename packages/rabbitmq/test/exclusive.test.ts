import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { fresh } from '@mq/conformance/fixtures'
import { MessageQueue } from '@mq/core'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

let broker: RunningBroker
const queues: MessageQueue[] = []
beforeAll(async () => {
  broker = await startBroker('rabbitmq')
}, 120_000)
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
}, 30_000)
afterAll(async () => {
  await broker.stop()
}, 60_000)

async function queueFor(options: RabbitmqOptions = {}): Promise<MessageQueue> {
  const queue = new MessageQueue(rabbitmqAdapter({ url: broker.url, ...options }))
  queues.push(queue)
  queue.on('error', () => undefined)
  await queue.connect()
  return queue
}

describe('an exclusive queue', () => {
  it('and one that is not are in conflict by that alone, also with who made it', async () => {
    const queue = await queueFor()
    const [shared, mine] = [fresh(), fresh()]
    await queue.createQueue({ name: shared, durable: false })
    await queue.createQueue({ name: mine, durable: false, exclusive: true })
    const differ = (existing: boolean) => ({
      code: 'MQ_QUEUE_CONFLICT',
      differences: [{ field: 'exclusive', existing, requested: !existing }],
    })
    await expect(queue.createQueue({ name: shared, durable: false, exclusive: true })).rejects.toMatchObject(
      differ(false),
    )
    await expect(queue.createQueue({ name: mine, durable: false })).rejects.toMatchObject(differ(true))
  })
})
