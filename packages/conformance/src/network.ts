import assert from 'node:assert/strict'
import { MessageQueue, type BrokerAdapter, type MessageQueueConfigInput } from '@mq/core'
import { fresh } from './fixtures.ts'
import { numbers } from './helpers.ts'
import { realClock, sleep } from './schedule.ts'
import type { Runner } from './types.ts'

/** A proxy that all connections of the adapter go through. */
export interface Network {
  /** Nothing passes this way any more, and nobody is told. Healed, it hands over what was held. */
  blackHole(direction: 'up' | 'down'): void
  /** Resets every connection once so many more bytes have passed. */
  cutAfter(bytes: number): void
  /** How often every connection was reset. */
  cuts(): number
  /** For each connection and direction. */
  throttle(bytesPerSecond: number): void
  /** Ends all faults. */
  heal(): void
  /** Open connections of clients. */
  connections(): number
}

export interface NetworkHarness {
  /** A new adapter whose connections go through the proxy, and that notices a dead one within seconds. */
  createAdapter(): BrokerAdapter
  /** Known once the tests run. */
  network(): Network
  /** How often a queue is connected and disconnected in search of what stays behind. Default 100. */
  reconnections?: number
}

const PATIENCE_MS = 30_000
const SHORT_LEASE = { consumer: { sessionTimeoutMs: 2_000, heartbeatIntervalMs: 500 } }

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    assert.ok(performance.now() < end, `did not happen within ${PATIENCE_MS} ms: ${what}`)
    await sleep(realClock, 10)
  }
}

/**
 * Declares what a network does to an adapter between its messages: one way silent, cut in the middle of frames, too slow; and what
 * a disconnect in the middle of everything leaves behind. Beside `conformance`, for a server behind a fault proxy.
 */
export function networkFaults(runner: Pick<Runner, 'describe' | 'it'>, harness: NetworkHarness): void {
  /** Runs a test with queues that are disconnected after it, whatever happens. */
  function it(title: string, test: (create: Create) => Promise<void>): void {
    runner.it(
      title,
      async () => {
        const open: MessageQueue[] = []
        const create: Create = (config = {}) => {
          const queue = new MessageQueue(harness.createAdapter(), config)
          queue.on('error', () => undefined)
          open.push(queue)
          return queue
        }
        try {
          await test(create)
        } finally {
          harness.network().heal()
          await Promise.all(open.map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
        }
      },
      4 * PATIENCE_MS,
    )
  }

  runner.describe('a network', () => {
    for (const direction of ['up', 'down'] as const)
      it(`that carries nothing ${direction} is noticed, and nothing is lost`, async (create) => {
        const queue = create(SHORT_LEASE)
        const { name, got } = await handling(queue)
        await queue.send(name, 'before')
        await until(() => got.size === 1, 'the first message')
        const lost = new Promise((resolve) => queue.once('disconnected', resolve))
        harness.network().blackHole(direction)
        const sends = numbers(20).map((n) => queue.send(name, n))
        await lost
        assert.equal((await queue.healthCheck()).healthy, false)
        harness.network().heal()
        await Promise.all(sends)
        await until(() => got.size === 21, 'every message handled')
      })

    it('that breaks in the middle of frames, again and again, loses nothing', async (create) => {
      const queue = create(SHORT_LEASE)
      const { name, got } = await handling(queue)
      const before = harness.network().cuts()
      for (let i = 0; i < 5; i++) {
        harness.network().cutAfter(3_000 + i * 777)
        await Promise.all(numbers(50).map((n) => queue.send(name, i * 50 + n)))
      }
      await until(() => got.size === 250, 'every message handled')
      assert.ok(harness.network().cuts() > before, 'no connection was cut')
    })

    it('that carries too little for a message rejects it in time, and others go on afterwards', async (create) => {
      const queue = create({ producer: { deliveryTimeoutMs: 3_000, requestTimeoutMs: 2_000 } })
      const { name, got } = await handling(queue)
      await queue.send(name, 'before')
      harness.network().throttle(1_024)
      const refused = queue.send(name, 'x'.repeat(200_000)).then(
        () => undefined,
        (error: unknown) => (error as { code?: unknown }).code,
      )
      assert.match(String(await refused), /^MQ_(TIMEOUT|PUBLISH)$/)
      harness.network().heal()
      const accepted = () =>
        queue.send(name, 'after').then(
          () => true,
          () => false,
        )
      await until(accepted, 'a send that is accepted again')
      await until(() => got.has('after'), 'it handled')
    })
  })

  runner.describe('a queue that is disconnected amid everything', () => {
    it('settles every call, and what it accepted is there', async (create) => {
      for (let round = 0; round < 5; round++) {
        const queue = create()
        await queue.connect()
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
        await sleep(realClock, round * 3)
        await queue.disconnect({ timeoutMs: 1_000 })
        await settled
        const other = create()
        await other.connect()
        const size = accepted.length === 0 ? 0 : await other.getQueueSize(name)
        assert.ok(size >= accepted.length, `${accepted.length} were accepted, ${size} are there`)
      }
    })

    it('and connected again leaves no socket and no listener behind', async (create) => {
      const queue = create()
      const name = fresh()
      queue.registerFunctionHandler(name, () => undefined)
      const warnings: Error[] = []
      const warned = (warning: Error) => void warnings.push(warning)
      process.on('warning', warned)
      const sockets = () => process.getActiveResourcesInfo().filter((each) => each === 'TCPSocketWrap').length
      const before = sockets()
      try {
        for (let i = 0; i < (harness.reconnections ?? 100); i++) {
          await queue.connect()
          if (i % 10 === 0) {
            await queue.startConsuming(name)
            await queue.send(name, i)
          }
          await queue.disconnect()
        }
        await until(() => harness.network().connections() === 0 && sockets() <= before, 'all sockets closed')
      } finally {
        process.off('warning', warned)
      }
      assert.deepEqual(warnings, [])
    })
  })
}

type Create = (config?: MessageQueueConfigInput) => MessageQueue

/** Consumes a queue of its own; answers what was handled. */
async function handling(queue: MessageQueue): Promise<{ name: string; got: Set<unknown> }> {
  await queue.connect()
  const name = fresh()
  const got = new Set<unknown>()
  await queue.consume(name, ({ body }) => void got.add(body), { concurrency: 10 })
  return { name, got }
}
