import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import { MessageQueue } from '@mq/core'
import { kafkaAdapter } from '@mq/kafka'
import { connect as connectTo } from '../src/connection.ts'
import { parseOptions } from '../src/options.ts'
import { createTopics, deleteTopic, keepingConfig } from '../src/topics.ts'
import { testOptions } from './harness.ts'
import { adapters, connections, consuming, declaration, take, until } from './support.ts'

let broker: RunningBroker
let folder: string
const { connect, closeAll } = connections(() => broker.url)
const { connect: connectAdapter, closeAll: closeAdapters } = adapters(() => broker.url)
const warnings: { topic?: string; from?: number; to?: number }[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mq-kafka-deleted-'))
  broker = await startBroker('kafka')
}, 180_000)
afterAll(async () => {
  await closeAll()
  await closeAdapters()
  await broker.stop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

/** What retention does, at once: the log begins at this offset from now on. */
async function deleteBelow(topic: string, offset: number): Promise<void> {
  const file = join(folder, `${topic}.json`)
  writeFileSync(file, JSON.stringify({ partitions: [{ topic, partition: 0, offset }], version: 1 }))
  await broker.run('kafka-delete-records', '--offset-json-file', file)
}

async function consumerThatWarns(): Promise<MessageQueue> {
  const nothing = (): void => undefined
  const logger = {
    debug: nothing,
    info: nothing,
    warn: (fields: object) => void warnings.push(fields),
    error: nothing,
  }
  const queue = new MessageQueue(kafkaAdapter({ ...testOptions(broker.url), logger }))
  await queue.connect()
  return queue
}

describe('records that are deleted before they were handled', () => {
  it('below the commit of a group that was away: it goes on behind them, and says so', async () => {
    const sender = await connect()
    const to = fresh('away')
    await sender.createQueue({ name: to, partitions: 1 })
    const send = (from: number, count: number) =>
      sender.sendBatch(Array.from({ length: count }, (_, n) => ({ queueName: to, body: from + n })))
    await send(0, 10)
    const first = await consumerThatWarns()
    const seen: unknown[] = []
    await first.consume(to, ({ body }) => void seen.push(body))
    await until(() => seen.length === 10)
    await first.disconnect()
    await send(10, 20)
    await deleteBelow(to, 25)
    const second = await consumerThatWarns()
    try {
      await second.consume(to, ({ body }) => void seen.push(body))
      await until(() => seen.includes(29))
      await send(30, 1)
      await until(() => seen.includes(30))
      expect(seen.slice(10)).toEqual([25, 26, 27, 28, 29, 30])
      expect(warnings.filter(({ topic }) => topic === to)).toEqual([
        { topic: to, partition: 0, from: 10, to: 25 },
      ])
    } finally {
      await second.disconnect()
    }
  }, 120_000)

  it('under a consumer that is held up: it goes on behind them, and what it holds can still be settled', async () => {
    const sender = await connect()
    const to = fresh('held')
    await sender.createQueue({ name: to, partitions: 1 })
    // More than is fetched at once: what is deleted lies ahead of the position.
    const body = 'x'.repeat(500_000)
    for (let n = 0; n < 20; n++) await sender.send(to, { n, body })
    const queue = await consumerThatWarns()
    const seen: number[] = []
    let leave = (): void => undefined
    const door = new Promise<void>((resolve) => (leave = resolve))
    try {
      await queue.consume(
        to,
        async (message) => {
          seen.push((message.body as { n: number }).n)
          if (seen.length === 1) await door
        },
        { concurrency: 1, prefetch: 1 },
      )
      await until(() => seen.length === 1)
      await deleteBelow(to, 15)
      leave()
      await until(() => seen.includes(19))
      await until(() => queue.getStats().inFlight === 0)
      // Once each and in order; 0 was held, and what had been read ahead of the deletion may still be handled.
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
      expect(seen.slice(-5)).toEqual([15, 16, 17, 18, 19])
      expect(seen.length).toBeLessThan(20)
      expect(warnings.filter(({ topic }) => topic === to).map((each) => each.to)).toEqual([15])
      await until(async () => (await queue.getQueueSize(to)) === 0)
    } finally {
      await queue.disconnect()
    }
  }, 120_000)
})

describe('a topic that is made anew', () => {
  it('under a consumer that is held up: it reads the new one from its beginning, and deletes nothing of it', async () => {
    const [consumer, sender] = [await connectAdapter(), await connectAdapter()]
    const target = { queue: fresh('anew') }
    await sender.declare(target, declaration)
    // More than is fetched at once.
    const body = Buffer.alloc(100_000)
    for (let n = 0; n < 5; n++)
      await sender.publish(
        Array.from({ length: 10 }, () => outbound(target, { body })),
        live,
      )
    const receiver = await consuming(consumer, target)
    // The topic of what waits is there, too: nobody looks for a missing one.
    await receiver.retry(await take(receiver, 1), 1)
    const held = await take(receiver, 1)
    const over = await connectTo(
      parseOptions(testOptions(broker.url)),
      { lost: () => undefined, blocked: () => undefined },
      live,
    )
    await deleteTopic(over, target.queue)
    await createTopics(over, [{ name: target.queue, partitions: 1, replicas: 1, config: keepingConfig() }])
    over.close(undefined)
    const sent = Array.from({ length: 2_000 }, () => outbound(target))
    for (const outcome of await sender.publish(sent, live)) expect(outcome).toEqual({ ok: true })
    const left = new Set(sent.map(({ id }) => id))
    await receiver.ack(held)
    await until(async () => {
      const got = await receiver.receive(100, live)
      await receiver.ack(got)
      for (const { id } of got) left.delete(id)
      return left.size === 0
    })
  }, 120_000)
})
