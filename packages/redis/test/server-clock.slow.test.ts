import { execFile } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import { MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import type { BrokerAdapter, Delivery, Receiver } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'

const run = promisify(execFile)
const HOUR_MS = 3_600_000

let broker: RunningBroker
let folder: string
const adapters: BrokerAdapter[] = []
const queues: MessageQueue[] = []

/** Builds what shifts the server's clock; answers the library. */
async function shiftedClock(): Promise<string> {
  const library = join(folder, 'shifted-clock.so')
  const program = fileURLToPath(new URL('fixtures/shifted-clock.c', import.meta.url))
  const build = () => run('cc', ['-shared', '-fPIC', '-O2', '-o', library, program])
  try {
    await build().catch(async () => {
      await run('apt-get', ['install', '-y', '-q', 'gcc', 'libc6-dev'], { timeout: 240_000 })
      await build()
    })
  } catch (cause) {
    throw new Error('These tests need a C compiler: run "sudo apt-get install gcc libc6-dev"', { cause })
  }
  return library
}

/** The server's clock is so far ahead of the machine's from now on; time goes on as fast as ever. */
function ahead(ms: number): void {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(ms))
  // The server has this very file in its memory: neither truncated nor replaced.
  const file = openSync(join(folder, 'shift'), constants.O_WRONLY | constants.O_CREAT)
  writeSync(file, bytes, 0, 8, 0)
  closeSync(file)
}

async function serverTime(): Promise<number> {
  const [seconds] = (await broker.run('TIME')).split('\n')
  return Number(seconds) * 1_000
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mq-clock-'))
  ahead(0)
  broker = await startBroker('redis', {
    fresh: true,
    env: { LD_PRELOAD: await shiftedClock(), SHIFTED_CLOCK: join(folder, 'shift') },
  })
}, 300_000)
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 1 })))
  await Promise.all(adapters.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
}, 30_000)
afterAll(async () => {
  await broker.stop()
  rmSync(folder, { recursive: true, force: true })
}, 30_000)

async function adapterFor(): Promise<BrokerAdapter> {
  const adapter = redisAdapter({ url: broker.url })
  adapters.push(adapter)
  await connected(adapter)
  return adapter
}

async function queueFor(config: MessageQueueConfigInput): Promise<MessageQueue> {
  const queue = new MessageQueue(redisAdapter({ url: broker.url }), config)
  queues.push(queue)
  await queue.connect()
  return queue
}

async function one(receiver: Receiver): Promise<Delivery> {
  let got: readonly Delivery[] = []
  await until(async () => (got = await receiver.receive(1, live, 200)).length === 1)
  return got[0] as Delivery
}

describe('a clock of the server that jumps an hour ahead', () => {
  it('makes due what is due by then, expires what is over by then, and nothing else', async () => {
    ahead(0)
    const adapter = await adapterFor()
    const name = fresh()
    const queue = await declare(adapter, name, { deadLetterQueue: `${name}.dlq` })
    const dead = await declare(adapter, `${name}.dlq`)
    const expiresIn = (ms: number) => outbound(queue, { expiresAt: Date.now() + ms })
    const [over, lasting] = [expiresIn(HOUR_MS / 2), expiresIn(HOUR_MS * 2)]
    const [due, later] = [HOUR_MS / 2, HOUR_MS * 2].map((delayMs) => outbound(queue, { delayMs }))
    const all = [over, lasting, due, later].map((sent) => sent as typeof over)
    expect((await adapter.publish(all, live)).every(({ ok }) => ok)).toBe(true)
    ahead(HOUR_MS)
    const receiver = await adapter.open(source({ queue: name }), () => undefined)
    const got = [await one(receiver), await one(receiver)]
    expect(got.map(({ id }) => id).sort()).toEqual([lasting.id, due?.id].sort())
    expect(await receiver.ack(got)).toEqual(['settled', 'settled'])
    expect(await receiver.receive(10, live, 0)).toEqual([])
    const buried = await adapter.open(source({ queue: `${name}.dlq` }), () => undefined)
    expect(await one(buried)).toMatchObject({ id: over.id, deadLetter: { reason: 'expired' } })
    expect(await adapter.size(dead)).toBe(0)
    ahead(HOUR_MS * 3)
    expect((await one(receiver)).id).toBe(later?.id)
  }, 60_000)

  it('ends leases that would be over by then: the new owner settles, the old one is told', async () => {
    ahead(0)
    const adapter = await adapterFor()
    const queue = await declare(adapter, fresh())
    await adapter.publish([outbound(queue)], live)
    const first = await adapter.open(source(queue), () => undefined)
    const before = await one(first)
    ahead(HOUR_MS)
    const second = await adapter.open(source(queue), () => undefined)
    const after = await one(second)
    expect(after).toMatchObject({ id: before.id, deliveryCount: 0, redeliveries: 1 })
    expect(await first.renew([before])).toEqual(['lost'])
    expect(await first.ack([before])).toEqual(['lost'])
    expect(await second.ack([after])).toEqual(['settled'])
  }, 60_000)
})

describe('a clock of the server that jumps an hour back', () => {
  it('delivers what is sent and delayed afterwards as ever, in order, and keeps leases that are renewed', async () => {
    ahead(HOUR_MS)
    const queue = await queueFor({ consumer: { sessionTimeoutMs: 1_500, heartbeatIntervalMs: 300 } })
    const name = fresh()
    const runs: unknown[] = []
    const lost: unknown[] = []
    queue.on('leaseLost', (event) => lost.push(event))
    let jumped = Number.POSITIVE_INFINITY
    await queue.consume(
      name,
      async ({ body }) => {
        runs.push(body)
        // Through the jump, and longer than its lease after it.
        if (body === 'slow') await until(() => performance.now() > jumped + 3_000, 30_000)
      },
      { concurrency: 2 },
    )
    await queue.send(name, 'slow')
    await until(() => runs.length === 1)
    const then = await serverTime()
    ahead(0)
    jumped = performance.now()
    expect(await serverTime()).toBeLessThan(then - HOUR_MS / 2)
    for (let i = 0; i < 20; i++) await queue.send(name, i)
    await queue.send(name, 'late', { delay: 500 })
    await until(() => runs.length === 22)
    expect(runs.slice(1)).toEqual([...Array.from({ length: 20 }, (_, i) => i), 'late'])
    expect(performance.now() - jumped).toBeGreaterThanOrEqual(500)
    await until(async () => (await broker.run('XLEN', `{mq:${name}}:s:0`)) === '0', 30_000)
    expect(runs).toHaveLength(22)
    expect(lost).toEqual([])
  }, 60_000)

  it('holds back what waited by the old clock until it is right again, and loses nothing', async () => {
    ahead(HOUR_MS)
    const adapter = await adapterFor()
    const queue = await declare(adapter, fresh())
    const [held, delayed] = [outbound(queue), outbound(queue, { delayMs: 500 })]
    await adapter.publish([held, delayed], live)
    const gone = await adapterFor()
    const vanishing = await gone.open(source(queue, { leaseMs: 500 }), () => undefined)
    expect((await one(vanishing)).id).toBe(held.id)
    ahead(0)
    const receiver = await adapter.open(source(queue), () => undefined)
    // Longer than the lease and the delay.
    expect(await receiver.receive(10, live, 1_500)).toEqual([])
    ahead(HOUR_MS)
    const got = [await one(receiver), await one(receiver)]
    expect(got.map(({ id }) => id).sort()).toEqual([held.id, delayed.id].sort())
  }, 60_000)
})

describe('a clock of the server that jumps to and fro', () => {
  it('loses nothing that was confirmed, and ends with an empty queue', async () => {
    ahead(0)
    const name = fresh()
    const config = { consumer: { sessionTimeoutMs: 1_000, heartbeatIntervalMs: 250 } }
    const [sender, ...consumers] = await Promise.all([queueFor(config), queueFor(config), queueFor(config)])
    const handled = new Map<unknown, number>()
    for (const consumer of consumers)
      await consumer.consume(name, ({ body }) => void handled.set(body, (handled.get(body) ?? 0) + 1))
    let sent = 0
    for (let jump = 0; jump < 10; jump++) {
      for (let i = 0; i < 5; i++)
        await Promise.all(Array.from({ length: 20 }, () => sender?.send(name, sent++)))
      ahead(jump % 2 === 0 ? HOUR_MS : 0)
    }
    await until(() => handled.size === sent, 30_000)
    await until(async () => (await broker.run('XLEN', `{mq:${name}}:s:0`)) === '0', 30_000)
    expect(sent).toBe(1_000)
  }, 90_000)
})
