import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { conformance } from '@mq/conformance'
import { until } from '@mq/conformance/fixtures'
import { rabbitmqAdapter } from '../src/index.ts'
import { childProcess, moveAgainSoon } from './harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'mq-rabbitmq-cluster-'))
const broker = await startBroker('rabbitmq-cluster', { fresh: true, dataDir: folder })
const hosts = broker.urls.map((url) => ({ host: '127.0.0.1', port: Number(new URL(url).port) }))
hosts.forEach((_, node) => moveAgainSoon(folder, node))
const names = (broker.details['nodes'] ?? '').split(',')
let turn = 0

/**
 * Kills one node after the other, each as soon as every queue would keep its majority without it: that is what three nodes outlive. Killed together, they
 * are three single servers, of which 3.10 forgets what it has just made.
 */
async function restartEach(): Promise<void> {
  for (const [node, name] of names.entries()) {
    const spared = (): Promise<boolean> =>
      broker.run('rabbitmq-queues', 'check_if_node_is_quorum_critical', '-n', name).then(
        () => true,
        () => false,
      )
    await until(spared, 60_000)
    await broker.kill(node)
    await broker.start(node)
  }
}

// Quorum queues have a replica on each node. Faults of the network are simulated around the adapter here; the real ones are in cluster.slow.test.ts.
conformance(
  { describe, it, beforeAll, afterAll },
  {
    broker: 'rabbitmq-cluster',
    resultsFile: null,
    // Each from another node: most then talk to one that does not lead their queue.
    createAdapter() {
      const first = turn++ % hosts.length
      return rabbitmqAdapter({ hosts: [...hosts.slice(first), ...hosts.slice(0, first)] })
    },
    process: childProcess({ hosts }),
    faults: { restartBroker: restartEach },
    concurrency: 3,
    patienceMs: 60_000,
  },
)
afterAll(async () => {
  await broker.stop()
  rmSync(folder, { recursive: true, force: true })
}, 120_000)
