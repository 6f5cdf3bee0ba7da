import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type FaultProxy, faultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import { fresh } from '@mq/conformance/fixtures'
import { MessageQueue } from '@mq/core'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

let broker: RunningBroker
let proxy: FaultProxy
const queues: MessageQueue[] = []
beforeAll(async () => {
  broker = await startBroker('rabbitmq')
  const { hostname, port } = new URL(broker.url)
  proxy = await faultProxy({ host: hostname, port: Number(port) })
}, 120_000)
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
}, 30_000)
afterAll(async () => {
  await proxy.close()
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

  it('that somebody else has after a lost connection is sent to no more', async () => {
    const [queue, other] = [await queueFor({ host: proxy.host, port: proxy.port }), await queueFor()]
    const name = fresh()
    await queue.createQueue({ name, exclusive: true })
    await queue.send(name, 'mine')
    const [lost, again] = ['disconnected', 'connected'].map(
      (event) => new Promise<void>((resolve) => queue.once(event as 'connected', () => resolve())),
    )
    proxy.refuse()
    proxy.cut()
    await lost
    const take = (): Promise<void> => other.createQueue({ name, exclusive: true }).catch(() => take())
    await take()
    proxy.heal()
    await again
    await expect(queue.send(name, 'theirs')).rejects.toMatchObject({ code: 'MQ_QUEUE_CONFLICT' })
    expect(await other.receive(name)).toBeNull()
    await other.deleteQueue(name)
    await queue.send(name, 'mine again')
    expect((await queue.receive(name))?.body).toBe('mine again')
  }, 60_000)
})
