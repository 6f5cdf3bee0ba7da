import { afterAll, describe, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { processOutages } from '@mq/conformance'
import { rabbitmqAdapter } from '../src/index.ts'
import { childProcess } from './harness.ts'

const server = await startBroker('rabbitmq', { fresh: true })
const options = { url: server.url, heartbeat: 1 }

processOutages(
  { describe, it },
  { createAdapter: () => rabbitmqAdapter(options), process: childProcess(options), server },
)
afterAll(() => server.stop(), 60_000)
