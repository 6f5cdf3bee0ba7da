import { afterAll, describe, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { processOutages } from '@mq/conformance'
import { childProcess } from './harness.ts'

const server = await startBroker('rabbitmq', { fresh: true })
const options = { url: server.url, heartbeat: 1 }

processOutages({ describe, it }, { process: childProcess(options), server })
afterAll(() => server.stop(), 60_000)
