import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '../../src/index.ts'
import { amqpLogin } from '../../src/net/amqp.ts'
import { waitUntil } from '../../src/wait.ts'

describe('a RabbitMQ cluster', () => {
  let cluster: RunningBroker

  beforeAll(async () => {
    cluster = await startBroker('rabbitmq-cluster')
  }, 600_000)

  afterAll(() => cluster.stop(), 90_000)

  async function running(): Promise<string[]> {
    const status: unknown = JSON.parse(await cluster.run('cluster_status', '--formatter', 'json'))
    return (status as { running_nodes: string[] }).running_nodes.sort()
  }

  const names = (): string[] => (cluster.details['nodes'] ?? '').split(',')

  it('has three nodes that know each other and all answer', async () => {
    expect(await running()).toEqual(names().sort())
    for (const url of cluster.urls) {
      const { port } = new URL(url)
      const login = {
        host: '127.0.0.1',
        port: Number(port),
        username: 'guest',
        password: 'guest',
        vhost: '/',
      }
      expect(await amqpLogin(login)).toBe(cluster.details['version'])
    }
  }, 90_000)

  it('goes on with two nodes and takes the third back', async () => {
    const [first = ''] = names()
    await cluster.kill(0)
    expect(await waitUntil(async () => !(await running()).includes(first), 90_000)).toBe(true)
    await cluster.start(0)
    expect(await waitUntil(async () => (await running()).length === 3, 90_000)).toBe(true)
  }, 300_000)
})
