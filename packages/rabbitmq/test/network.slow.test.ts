import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { faultProxy, startBroker, type FaultProxy, type RunningBroker } from '@mq/brokers'
import { MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import { rabbitmqAdapter } from '../src/index.ts'
import { fresh, until } from './support.ts'

let broker: RunningBroker
let proxy: FaultProxy
const queues: MessageQueue[] = []

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true })
  const { hostname, port } = new URL(broker.url)
  proxy = await faultProxy({ host: hostname, port: Number(port) })
}, 120_000)
afterEach(async () => {
  proxy.heal()
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
}, 30_000)
afterAll(async () => {
  await proxy.close()
  await broker.stop()
}, 60_000)

async function queueFor(config: MessageQueueConfigInput = {}): Promise<MessageQueue> {
  const { host, port } = proxy
  const queue = new MessageQueue(rabbitmqAdapter({ host, port, heartbeat: 1, rpcTimeoutMs: 5_000 }), config)
  queues.push(queue)
  queue.on('error', () => undefined)
  await queue.connect()
  return queue
}

/** Consumes a queue of its own; answers what was handled. */
async function handling(queue: MessageQueue): Promise<{ name: string; got: Set<unknown> }> {
  const name = fresh()
  const got = new Set<unknown>()
  await queue.consume(name, ({ body }) => void got.add(body), { concurrency: 10 })
  return { name, got }
}

const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const shortLease = { consumer: { sessionTimeoutMs: 2_000, heartbeatIntervalMs: 500 } }

describe('a network', () => {
  it.each(['up', 'down'] as const)(
    'that carries nothing %s is noticed, and nothing is lost',
    async (direction) => {
      const queue = await queueFor(shortLease)
      const { name, got } = await handling(queue)
      await queue.send(name, 'before')
      await until(() => got.size === 1)
      const lost = new Promise((resolve) => queue.once('disconnected', resolve))
      proxy.blackHole(direction)
      const sends = numbers(20).map((n) => queue.send(name, n))
      await lost
      expect(await queue.healthCheck()).toMatchObject({ healthy: false })
      proxy.heal()
      await Promise.all(sends)
      await until(() => got.size === 21, 30_000)
    },
    60_000,
  )

  it('that breaks in the middle of frames, again and again, loses nothing', async () => {
    const queue = await queueFor(shortLease)
    const { name, got } = await handling(queue)
    for (let i = 0; i < 5; i++) {
      proxy.cutAfter(3_000 + i * 777)
      await Promise.all(numbers(50).map((n) => queue.send(name, i * 50 + n)))
    }
    await until(() => got.size === 250, 30_000)
    expect(queue.getStats().reconnects).toBeGreaterThan(0)
  }, 60_000)

  it('that carries too little for a message rejects it in time, and others go on afterwards', async () => {
    const queue = await queueFor({ producer: { deliveryTimeoutMs: 3_000, requestTimeoutMs: 2_000 } })
    const { name, got } = await handling(queue)
    await queue.send(name, 'before')
    proxy.throttle(1_024)
    const started = performance.now()
    const refused = queue.send(name, 'x'.repeat(200_000)).catch((error: unknown) => error)
    expect(await refused).toMatchObject({ code: expect.stringMatching(/^MQ_(TIMEOUT|PUBLISH)$/) })
    expect(performance.now() - started).toBeLessThan(10_000)
    proxy.heal()
    await until(() =>
      queue.send(name, 'after').then(
        () => true,
        () => false,
      ),
    )
    await until(() => got.has('after'))
  }, 60_000)
})

describe('a queue that is disconnected amid everything', () => {
  it('settles every call, and what it accepted is there', async () => {
    for (let round = 0; round < 5; round++) {
      const queue = await queueFor()
      const name = fresh()
      const accepted: number[] = []
      const calls: Promise<unknown>[] = numbers(200).map((n) =>
        queue.send(name, n).then(() => accepted.push(n)),
      )
      calls.push(
        queue.receive(fresh(), { timeoutMs: 30_000 }),
        queue.consume(fresh(), () => undefined),
        queue.createQueue({ name: fresh() }),
        queue.request(fresh(), 1, { timeoutMs: 30_000 }),
        queue.deadLetters(fresh()).list(),
      )
      const settled = Promise.allSettled(calls)
      await new Promise((resolve) => setTimeout(resolve, round * 3))
      await queue.disconnect({ timeoutMs: 1_000 })
      await settled
      const other = await queueFor()
      const size = accepted.length === 0 ? 0 : await other.getQueueSize(name)
      expect(size).toBeGreaterThanOrEqual(accepted.length)
    }
  }, 60_000)

  it('while it connects, rejects that and leaves nothing open', async () => {
    const { host, port } = proxy
    const queue = new MessageQueue(rabbitmqAdapter({ host, port }))
    queues.push(queue)
    const outcomes = new Set<unknown>()
    for (let ms = 0; ms < 12; ms++) {
      const connecting = queue.connect().then(
        () => 'connected',
        (error: unknown) => (error as { code?: unknown }).code,
      )
      await new Promise((resolve) => setTimeout(resolve, ms))
      await queue.disconnect()
      outcomes.add(await connecting)
    }
    expect(outcomes).toContain('MQ_ABORTED')
    await until(() => proxy.connections() === 0)
    await queue.connect()
    await queue.send(fresh(), 1)
  }, 60_000)

  it('and connected again 100 times leaves no socket and no listener behind', async () => {
    const { host, port } = proxy
    const queue = new MessageQueue(rabbitmqAdapter({ host, port }))
    queues.push(queue)
    const name = fresh()
    queue.registerFunctionHandler(name, () => undefined)
    const warnings: Error[] = []
    const warned = (warning: Error) => void warnings.push(warning)
    process.on('warning', warned)
    const sockets = () => process.getActiveResourcesInfo().filter((each) => each === 'TCPSocketWrap').length
    const before = sockets()
    try {
      for (let i = 0; i < 100; i++) {
        await queue.connect()
        if (i % 10 === 0) {
          await queue.startConsuming(name)
          await queue.send(name, i)
        }
        await queue.disconnect()
      }
      await until(() => proxy.connections() === 0 && sockets() <= before)
    } finally {
      process.off('warning', warned)
    }
    expect(warnings).toEqual([])
  }, 120_000)
})
