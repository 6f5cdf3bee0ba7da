import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { MessageQueue } from '@mq/core'
import { rabbitmqAdapter } from '../src/index.ts'
import { fresh, until } from './support.ts'

let broker: RunningBroker
beforeAll(async () => {
  broker = await startBroker('rabbitmq-cluster', { fresh: true })
}, 240_000)
afterAll(() => broker.stop(), 60_000)

const hosts = () => broker.urls.map((url) => ({ host: '127.0.0.1', port: Number(new URL(url).port) }))

/** The number of the node that leads a queue. */
async function leaderOf(name: string): Promise<number> {
  const queues = JSON.parse(await broker.run('list_queues', 'name', 'leader', '--formatter', 'json')) as {
    name: string
    leader: string
  }[]
  const leader = queues.find((queue) => queue.name === name)?.leader
  return (broker.details['nodes'] ?? '').split(',').indexOf(leader ?? '')
}

describe('three nodes', () => {
  it('go on when the leader of a queue is killed, and lose nothing that was accepted', async () => {
    const queue = new MessageQueue(rabbitmqAdapter({ hosts: hosts() }), {
      defaultQueueConfig: { replicationFactor: 3 },
    })
    await queue.connect()
    const name = fresh()
    const handled = new Set<unknown>()
    await queue.consume(name, ({ body }) => void handled.add(body), { concurrency: 20 })
    const accepted: number[] = []
    const send = async (from: number, n: number): Promise<void> => {
      await Promise.all(
        Array.from({ length: n }, async (_, i) => {
          await queue.send(name, from + i)
          accepted.push(from + i)
        }),
      )
    }
    await send(0, 200)
    const leader = await leaderOf(name)
    await broker.kill(leader)
    await send(200, 200)
    await until(() => accepted.every((i) => handled.has(i)), 60_000)
    expect(await leaderOf(name)).not.toBe(leader)
    await broker.start(leader)
    await send(400, 100)
    await until(() => accepted.every((i) => handled.has(i)), 60_000)
    expect(accepted.length).toBe(500)
    await queue.disconnect({ timeoutMs: 5_000 })
  }, 240_000)

  it('without a majority accept nothing, and go on when it is back', async () => {
    const queue = new MessageQueue(rabbitmqAdapter({ hosts: hosts(), heartbeat: 2 }), {
      defaultQueueConfig: { replicationFactor: 3 },
      producer: { deliveryTimeoutMs: 120_000, requestTimeoutMs: 5_000 },
    })
    await queue.connect()
    const name = fresh()
    await queue.send(name, 'before')
    await Promise.all([broker.kill(1), broker.kill(2)])
    let accepted = false
    const sending = queue.send(name, 'during').then(() => {
      accepted = true
    })
    await until(async () => !(await queue.healthCheck()).healthy, 60_000)
    expect(accepted).toBe(false)
    await Promise.all([broker.start(1), broker.start(2)])
    await sending
    await queue.disconnect({ timeoutMs: 5_000 })
  }, 300_000)
})
