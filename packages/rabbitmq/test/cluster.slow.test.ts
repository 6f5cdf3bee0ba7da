import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { fresh, until } from '@mq/conformance/fixtures'
import { MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

let broker: RunningBroker
beforeAll(async () => {
  broker = await startBroker('rabbitmq-cluster', { fresh: true })
}, 240_000)
afterAll(() => broker.stop(), 60_000)

const hosts = () => broker.urls.map((url) => ({ host: '127.0.0.1', port: Number(new URL(url).port) }))

const queues: MessageQueue[] = []
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
}, 30_000)

function queueFor(options: RabbitmqOptions, config: MessageQueueConfigInput): MessageQueue {
  const queue = new MessageQueue(rabbitmqAdapter({ hosts: hosts(), ...options }), config)
  queues.push(queue)
  return queue
}

/** The number of the node that leads a queue. */
async function leaderOf(name: string): Promise<number> {
  const listed = JSON.parse(await broker.run('list_queues', 'name', 'leader', '--formatter', 'json')) as {
    name: string
    leader: string
  }[]
  const leader = listed.find((queue) => queue.name === name)?.leader
  return (broker.details['nodes'] ?? '').split(',').indexOf(leader ?? '')
}

describe('three nodes', () => {
  it('go on when the leader of a queue is killed, and lose nothing that was accepted', async () => {
    const queue = queueFor({}, { defaultQueueConfig: { replicationFactor: 3 } })
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
    try {
      await send(200, 200)
      await until(() => accepted.every((i) => handled.has(i)), 60_000)
      expect(await leaderOf(name)).not.toBe(leader)
    } finally {
      await broker.start(leader)
    }
    await send(400, 100)
    await until(() => accepted.every((i) => handled.has(i)), 60_000)
    expect(accepted.length).toBe(500)
  }, 240_000)

  it('go on when the leader of a queue is moved, and moved back', async () => {
    const queue = queueFor({}, { defaultQueueConfig: { replicationFactor: 3 } })
    await queue.connect()
    const name = fresh()
    const handled = new Set<unknown>()
    await queue.consume(name, ({ body }) => void handled.add(body), { concurrency: 20 })
    const first = await leaderOf(name)
    const nodes = (broker.details['nodes'] ?? '').split(',')
    for (const [round, to] of [(first + 1) % 3, first].entries()) {
      const sends = Array.from({ length: 200 }, (_, i) => queue.send(name, round * 200 + i))
      await broker.run(
        'eval',
        `{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"${name}">>)), rabbit_quorum_queue:transfer_leadership(Q, '${nodes[to]}').`,
      )
      await Promise.all(sends)
      await until(async () => (await leaderOf(name)) === to, 60_000)
      await until(() => handled.size === (round + 1) * 200, 60_000)
    }
  }, 240_000)

  it('without a majority accept nothing, and go on when it is back', async () => {
    const queue = queueFor(
      { heartbeat: 2 },
      {
        defaultQueueConfig: { replicationFactor: 3 },
        producer: { deliveryTimeoutMs: 240_000, requestTimeoutMs: 5_000 },
      },
    )
    await queue.connect()
    const name = fresh()
    await queue.send(name, 'before')
    await Promise.all([broker.kill(1), broker.kill(2)])
    let outcome: unknown
    try {
      void queue.send(name, 'during').then(
        () => (outcome = 'accepted'),
        (error: unknown) => (outcome = error),
      )
      await until(async () => !(await queue.healthCheck()).healthy, 60_000)
      expect(outcome).toBeUndefined()
    } finally {
      await Promise.all([broker.start(1), broker.start(2)])
    }
    await until(() => outcome !== undefined, 240_000)
    expect(outcome).toBe('accepted')
  }, 480_000)
})
