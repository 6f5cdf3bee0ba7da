import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { conformance } from '@mq/conformance'
import { makeHarness } from './harness.ts'

// Debian 13 has RabbitMQ 4.0.
const { harness, stop } = await makeHarness('rabbitmq-4', { debian: 'trixie' })

conformance({ describe, it, beforeAll, afterAll }, harness)
afterAll(stop, 60_000)
