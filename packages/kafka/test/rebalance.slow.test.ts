import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { connections } from './support.ts'

let broker: RunningBroker
const { connect, closeAll } = connections(() => broker.url)

beforeAll(async () => {
  broker = await startBroker('kafka')
}, 180_000)
afterAll(async () => {
  await closeAll()
  await broker.stop()
})

const name = (hint: string) => `${hint}-${Math.random().toString(36).slice(2)}`
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('consumers that come and go', () => {
  it('handle every message exactly once while members join and leave all the time', async () => {
    const queue = await connect()
    const to = name('busy')
    await queue.createQueue({ name: to, partitions: 6 })
    const seen = new Map<string, number>()
    const handler = async ({ id }: { id: string }): Promise<void> => {
      seen.set(id, (seen.get(id) ?? 0) + 1)
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
    await queue.consume(to, handler, { concurrency: 4 })
    const guests = await Promise.all([connect(), connect()])
    const ids: string[] = []
    let coming = true
    const visits = guests.map(async (guest) => {
      guest.registerFunctionHandler(to, handler, { concurrency: 4 })
      for (let visit = 0; coming || visit < 3; visit++) {
        const consumer = await guest.startConsuming(to)
        await until(() => consumer.stats().handled > 0 || !coming)
        await consumer.stop()
      }
    })
    for (let i = 0; i < 30; i++) {
      ids.push(...(await queue.sendBatch(Array.from({ length: 40 }, (_, k) => ({ queueName: to, body: k })))))
      await until(() => seen.size > ids.length - 200)
    }
    coming = false
    await until(() => seen.size === ids.length)
    await Promise.all(visits)
    expect([...seen.values()].filter((times) => times > 1)).toEqual([])
  }, 120_000)

  it('keep the order of each key through it', async () => {
    const queue = await connect()
    const to = name('ordered')
    await queue.createQueue({ name: to, partitions: 3, ordered: true })
    const seen = new Map<string, number[]>()
    const handler = ({ key = '', body }: { key?: string | undefined; body: unknown }): void => {
      seen.set(key, [...(seen.get(key) ?? []), body as number])
    }
    const [first, second] = await Promise.all([connect(), connect()])
    const stays = await first.consume(to, handler, { concurrency: 4 })
    second.registerFunctionHandler(to, handler)
    const keys = ['a', 'b', 'c', 'd', 'e']
    for (let round = 0; round < 20; round++) {
      await queue.sendBatch(keys.map((key) => ({ queueName: to, body: round, key })))
      if (round % 5 === 2) await (await second.startConsuming(to)).stop()
    }
    await until(() => keys.every((key) => seen.get(key)?.length === 20))
    for (const key of keys) expect(seen.get(key)).toEqual(Array.from({ length: 20 }, (_, i) => i))
    await stays.stop()
  }, 60_000)
})
