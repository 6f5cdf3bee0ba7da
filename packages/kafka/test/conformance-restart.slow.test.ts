import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { conformance } from '@mq/conformance'
import { kafkaAdapter } from '@mq/kafka'
import { testOptions } from './harness.ts'

let broker: RunningBroker | undefined

beforeAll(async () => {
  broker = await startBroker('kafka', { fresh: true })
}, 180_000)

afterAll(() => broker?.stop())

// Apart from the others: nobody else may be disturbed.
conformance(
  { describe, it, beforeAll, afterAll },
  {
    broker: 'kafka',
    resultsFile: null,
    createAdapter: () => kafkaAdapter(testOptions(broker?.url ?? '')),
    faults: { restartBroker: () => broker?.restart() ?? Promise.resolve() },
    only: ['failure.restart', 'time.delay-restart'],
    concurrency: 1,
    patienceMs: 30_000,
  },
)
