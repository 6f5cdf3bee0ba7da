import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { conformance } from '@mq/conformance'
import { redisAdapter } from '../src/index.ts'
import { childProcess } from './harness.ts'

const broker = await startBroker('redis-cluster', { fresh: true, appendfsync: 'always' })
const cluster = broker.urls.map((url) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) }))

// Faults of the network are simulated around the adapter here; the real ones are in cluster.slow.test.ts.
conformance(
  { describe, it, beforeAll, afterAll },
  {
    broker: 'redis-cluster',
    resultsFile: null,
    createAdapter: () => redisAdapter({ cluster }),
    process: childProcess({ cluster }),
    faults: { restartBroker: () => broker.restart() },
    concurrency: 6,
    patienceMs: 30_000,
  },
)
afterAll(() => broker.stop(), 60_000)
