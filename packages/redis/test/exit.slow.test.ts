import { afterAll, describe, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { processOutages } from '@mq/conformance'
import { redisAdapter } from '../src/index.ts'
import { childProcess } from './harness.ts'

const server = await startBroker('redis', { fresh: true })
const options = { url: server.url, commandTimeoutMs: 1_000 }

processOutages(
  { describe, it },
  { createAdapter: () => redisAdapter(options), process: childProcess(options), server },
)
afterAll(() => server.stop(), 60_000)
