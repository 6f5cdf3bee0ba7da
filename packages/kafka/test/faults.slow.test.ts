import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { encodeBatch } from '../src/log/batch-writer.ts'
import { connect as connectTo } from '../src/connection.ts'
import { parseOptions } from '../src/options.ts'
import { produceRequest } from '../src/log/protocol.ts'
import { testOptions } from './harness.ts'
import { connections } from './support.ts'

let broker: RunningBroker
const { connect, closeAll } = connections(() => broker.url)

beforeAll(async () => {
  broker = await startBroker('kafka', { fresh: true })
}, 180_000)
afterEach(closeAll)
afterAll(() => broker.stop())

const name = (hint: string) => `${hint}-${Math.random().toString(36).slice(2)}`
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

describe('faults', () => {
  it('no confirmed message is lost while the broker is killed twenty times', async () => {
    const queue = await connect()
    const to = name('killed')
    await queue.createQueue({ name: to })
    const seen = new Set<unknown>()
    await queue.consume(to, ({ body }) => void seen.add(body), { concurrency: 20 })
    const confirmed = new Set<number>()
    let next = 0
    let sending = true
    const senders = Array.from({ length: 20 }, async () => {
      while (sending) {
        const body = next++
        await queue.send(to, body).then(
          () => confirmed.add(body),
          () => undefined,
        )
      }
    })
    for (let kill = 0; kill < 20; kill++) {
      const before = confirmed.size
      await until(() => confirmed.size > before + 200)
      await broker.kill()
      await broker.start()
    }
    const last = confirmed.size
    await until(() => confirmed.size > last + 100)
    sending = false
    await Promise.all(senders)
    await until(() => [...confirmed].every((body) => seen.has(body)))
    expect(confirmed.size).toBeGreaterThan(4_000)
  }, 420_000)

  it('a batch in a codec that nobody knows is dead-lettered, and what follows is handled', async () => {
    const queue = await connect()
    const to = name('codec')
    await queue.createQueue({ name: to, partitions: 1 })
    const raw = await connectTo(
      parseOptions(testOptions(broker.url)),
      { lost: () => undefined, blocked: () => undefined },
      new AbortController().signal,
    )
    for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const { prepareCodec, CODEC } = await import('../src/log/codecs.ts')
      await prepareCodec(CODEC[compression])
      const batch = encodeBatch(
        [{ timestamp: Date.now(), key: null, value: Buffer.from(compression), headers: [] }],
        compression,
      )
      const info = await raw.topic(to)
      const link = await raw.link(info?.leaders[0] ?? -1, 'main')
      const [answer] = await link.custom(produceRequest(to, [{ partition: 0, batch }], -1, 5_000))
      expect([compression, answer?.error]).toEqual([compression, 0])
    }
    raw.close(undefined)
    const seen: unknown[] = []
    await queue.consume(to, ({ body }) => void seen.push(body))
    await until(() => seen.length === 4)
    expect(seen).toEqual(['gzip', 'snappy', 'lz4', 'zstd'])
  }, 60_000)

  it('a topic that is deleted and made anew is read from its beginning', async () => {
    const [queue, other] = [await connect(), await connect()]
    const to = name('anew')
    await queue.createQueue({ name: to })
    const seen: unknown[] = []
    await queue.consume(to, ({ body }) => void seen.push(body))
    await queue.sendBatch(Array.from({ length: 20 }, (_, body) => ({ queueName: to, body })))
    await until(() => seen.length === 20)
    await other.deleteQueue(to)
    await other.createQueue({ name: to })
    await other.send(to, 'after')
    await until(() => seen.includes('after'))
    expect(seen.filter((body) => body === 'after')).toHaveLength(1)
  }, 60_000)

  it('a broker that stands still holds up no disconnect', async () => {
    const queue = await connect()
    const to = name('frozen')
    await queue.createQueue({ name: to })
    await queue.consume(to, () => undefined)
    broker.freeze()
    const sent = queue.send(to, 'x').then(
      () => 'sent',
      () => 'rejected',
    )
    try {
      await queue.disconnect({ timeoutMs: 500 })
    } finally {
      broker.thaw()
    }
    expect(await sent).toBe('rejected')
  }, 60_000)
})
