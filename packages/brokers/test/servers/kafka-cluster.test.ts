import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '../../src/index.ts'
import { kafkaMetadata } from '../../src/net/kafka.ts'
import { waitUntil } from '../../src/wait.ts'

describe('a Kafka cluster', () => {
  let cluster: RunningBroker

  beforeAll(async () => {
    cluster = await startBroker('kafka-cluster')
  }, 900_000)

  afterAll(() => cluster.stop(), 90_000)

  const ports = (): number[] => cluster.urls.map((address) => Number(address.split(':')[1]))
  const alive = async (index: number): Promise<number[]> =>
    (await kafkaMetadata('127.0.0.1', ports()[index] ?? 0)).brokers.map(({ id }) => id).sort()

  it('has three brokers that know each other', async () => {
    expect(cluster.url).toBe(cluster.urls.join(','))
    expect(await alive(0)).toEqual([1, 2, 3])
    expect(await alive(2)).toEqual([1, 2, 3])
  })

  it('puts each partition on all three and needs two', async () => {
    await cluster.run('kafka-topics', '--create', '--topic', 'replicated', '--partitions', '3')
    const text = await cluster.run('kafka-topics', '--describe', '--topic', 'replicated')
    expect(text).toContain('ReplicationFactor: 3')
    expect(text).toContain('min.insync.replicas=2')
  }, 180_000)

  it('goes on with two brokers and takes the third back', async () => {
    await cluster.kill(0)
    expect(await waitUntil(async () => (await alive(1)).join() === '2,3', 90_000)).toBe(true)
    await cluster.start(0)
    expect(await waitUntil(async () => (await alive(1)).length === 3, 90_000)).toBe(true)
    expect(await waitUntil(async () => (await alive(0)).length === 3, 90_000)).toBe(true)
  }, 300_000)
})
