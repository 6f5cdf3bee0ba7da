import { afterAll, describe, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { processOutages } from '@mq/conformance'
import { kafkaAdapter } from '@mq/kafka'
import { testOptions } from './harness.ts'

const server = await startBroker('kafka', { fresh: true })

processOutages(
  { describe, it },
  {
    createAdapter: () => kafkaAdapter(testOptions(server.url)),
    process: {
      module: new URL('./child-adapter.ts', import.meta.url),
      shared: true,
      env: { MQ_TEST_KAFKA: server.url },
    },
    server,
  },
)
afterAll(() => server.stop(), 60_000)
