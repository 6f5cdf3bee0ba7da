import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { fresh } from '@mq/conformance/fixtures'
import type { MessageQueue } from '@mq/core'
import { patientBroker } from './harness.ts'
import { connections, until } from './support.ts'

let broker: RunningBroker
const { connect, closeAll } = connections(() => broker.url)

beforeAll(async () => {
  broker = await startBroker('kafka-cluster', { fresh: true, ...patientBroker })
}, 240_000)
afterEach(closeAll, 60_000)
afterAll(() => broker.stop(), 60_000)

/** Index of the node that leads partition 0 of a topic. */
async function leaderOf(topic: string): Promise<number> {
  const text = await broker.run('kafka-topics', '--describe', '--topic', topic)
  const leader = /Partition: 0\s+Leader: (\d+)/.exec(text)?.[1]
  if (leader === undefined) throw new Error(`no leader in ${text}`)
  return Number(leader) - 1
}

/** Sends all the time, many at once, and knows which bodies were confirmed. */
function senders(queue: MessageQueue, to: string) {
  const confirmed = new Set<number>()
  const unexpected: unknown[] = []
  let next = 0
  let sending = true
  const all = Array.from({ length: 20 }, async () => {
    while (sending) {
      const body = next++
      await queue.send(to, body).then(
        () => confirmed.add(body),
        (error: unknown) => unexpected.push(error),
      )
    }
  })
  return {
    confirmed,
    unexpected,
    async stop() {
      sending = false
      await Promise.all(all)
    },
  }
}

/** Kills the node that `find` names in the midst of sending and handling, and brings it back. */
async function outlives(find: (topic: string) => Promise<number>): Promise<void> {
  const queue = await connect()
  const to = fresh()
  await queue.createQueue({ name: to, partitions: 3, replicationFactor: 3 })
  const seen = new Set<unknown>()
  await queue.consume(to, ({ body }) => void seen.add(body), { concurrency: 20 })
  const { confirmed, unexpected, stop } = senders(queue, to)
  await until(() => seen.size > 500)
  const node = await find(to)
  await broker.kill(node)
  const [sent, handled] = [confirmed.size, seen.size]
  // Without the node that is gone.
  await until(() => confirmed.size > sent + 500 && seen.size > handled + 500, 90_000)
  expect(await find(to)).not.toBe(node)
  await broker.start(node)
  const after = confirmed.size
  await until(() => confirmed.size > after + 200, 60_000)
  await stop()
  await until(() => [...confirmed].every((body) => seen.has(body)), 60_000)
  expect(unexpected).toEqual([])
}

describe('three nodes', () => {
  it('lose nothing confirmed when the leader of a partition is killed', () => outlives(leaderOf), 240_000)

  it('go on consuming when the coordinator of the group is killed', async () => {
    // The one partition in which groups are kept: who leads it coordinates them all.
    await outlives(() => leaderOf('__consumer_offsets'))
  }, 240_000)

  it('count, purge and delete a queue whose leader was just killed', async () => {
    const queue = await connect()
    const names = [fresh(), fresh(), fresh()] as const
    for (const name of names) {
      await queue.createQueue({ name, partitions: 3, replicationFactor: 3 })
      for (let body = 0; body < 6; body++) await queue.send(name, body)
    }
    const node = await leaderOf(names[0])
    await broker.kill(node)
    const [counted, purged, deleted] = names
    const asked = Promise.all([
      queue.getQueueSize(counted),
      queue.purgeQueue(purged),
      queue.deleteQueue(deleted),
    ])
    await expect(asked).resolves.toEqual([6, 6, undefined])
    expect(await queue.getQueueSize(purged)).toBe(0)
    await broker.start(node)
  }, 120_000)
})
