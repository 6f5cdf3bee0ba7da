import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { conformance } from '@mq/conformance'
import { redisAdapter } from '../src/index.ts'
import { childProcess } from './harness.ts'

const broker = await startBroker('redis-sentinel', { fresh: true, appendfsync: 'always' })
const nodes = (broker.details['sentinels'] ?? '')
  .split(',')
  .map((text) => ({ host: '127.0.0.1', port: Number(text.split(':')[1]) }))
const sentinel = { name: broker.details['masterName'] ?? '', nodes }

// With a replica that confirms each publish. Fail-over itself is in sentinel.slow.test.ts.
conformance(
  { describe, it, beforeAll, afterAll },
  {
    broker: 'redis-sentinel',
    resultsFile: null,
    createAdapter: () => redisAdapter({ sentinel }),
    process: childProcess({ sentinel }),
    faults: { restartBroker: () => broker.restart() },
    concurrency: 6,
    patienceMs: 30_000,
  },
)
afterAll(() => broker.stop(), 60_000)
