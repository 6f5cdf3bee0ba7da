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

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: unknown }).code,
  )

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

  it('keep for a node that is down what is sent to its queues, which are not said to be missing or empty', async () => {
    const [maker, other] = [
      queueFor({ hosts: hosts().slice(2) }, {}),
      queueFor({ hosts: hosts().slice(0, 2) }, {}),
    ]
    await Promise.all([maker.connect(), other.connect()])
    const name = fresh()
    // A classic queue, which is where its maker is connected to.
    await maker.createQueue({ name, maxPriority: 5 })
    await other.send(name, 'before')
    const handled = new Set<unknown>()
    await other.consume(name, ({ body }) => void handled.add(body))
    await until(() => handled.size === 1)
    await broker.kill(2)
    let sent: unknown
    try {
      await until(async () => (await codeOf(other.getQueueSize(name))) === 'MQ_UNAVAILABLE', 60_000)
      void codeOf(other.send(name, 'during')).then((outcome) => (sent = outcome))
      await new Promise((resolve) => setTimeout(resolve, 2_000))
      expect(sent).toBeUndefined()
    } finally {
      await broker.start(2)
    }
    await until(() => sent !== undefined, 120_000)
    expect(sent).toBe('resolved')
    await until(() => handled.has('during'), 60_000)
  }, 360_000)

  it('go on delaying what is published when the node is down where that was done first', async () => {
    const [first, other] = [
      queueFor({ hosts: hosts().slice(2) }, {}),
      queueFor({ hosts: hosts().slice(0, 2) }, {}),
    ]
    await Promise.all([first.connect(), other.connect()])
    const topic = fresh('topic')
    const got: unknown[] = []
    await other.subscribe(topic, 's', ({ body }) => void got.push(body))
    await first.publish(topic, 'before', { delay: 100 })
    await until(() => got.length === 1)
    await broker.kill(2)
    try {
      const again = queueFor({ hosts: hosts().slice(0, 2) }, {})
      await again.connect()
      await again.publish(topic, 'during', { delay: 100 })
      await until(() => got.includes('during'), 60_000)
    } finally {
      await broker.start(2)
    }
  }, 240_000)

  it('end no connection of who answers a requester whose node is down', async () => {
    const config = { defaultQueueConfig: { replicationFactor: 3 } }
    const [asking, answering] = [
      queueFor({ hosts: hosts().slice(2) }, config),
      queueFor({ hosts: hosts().slice(0, 2) }, config),
    ]
    await Promise.all([asking.connect(), answering.connect()])
    const name = fresh()
    const lost: unknown[] = []
    answering.on('disconnected', (why) => void lost.push(why))
    let begun = false
    let answer = (): void => undefined
    const held = new Promise<void>((resolve) => (answer = resolve))
    let runs = 0
    await answering.consume(name, async () => {
      runs++
      begun = true
      await held
    })
    void asking.request(name, 'question', { timeoutMs: 240_000 }).catch(() => undefined)
    await until(() => begun)
    const down = (broker.details['nodes'] ?? '').split(',')[2] ?? ''
    await broker.kill(2)
    try {
      await until(
        async () => !(await broker.run('eval', 'rabbit_nodes:all_running().')).includes(down),
        60_000,
      )
      answer()
      await until(() => answering.getStats().inFlight === 0, 60_000)
      await answering.send(name, 'after')
      await until(() => runs > 1, 60_000)
      expect(lost).toEqual([])
    } finally {
      await broker.start(2)
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
