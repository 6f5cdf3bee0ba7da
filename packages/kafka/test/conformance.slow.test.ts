import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { conformance } from '@mq/conformance'
import { kafkaAdapter } from '@mq/kafka'
import { patientBroker, testOptions } from './harness.ts'

const pending = JSON.parse(readFileSync(new URL('pending.json', import.meta.url), 'utf8')) as string[]
let broker: RunningBroker | undefined
const env: Record<string, string> = {}

beforeAll(async () => {
  broker = await startBroker('kafka', { ...patientBroker, sasl: true })
  env['MQ_TEST_KAFKA'] = broker.url
}, 180_000)

afterAll(() => broker?.stop())

conformance(
  { describe, it, beforeAll, afterAll },
  {
    broker: 'kafka',
    createAdapter: () => kafkaAdapter(testOptions(broker?.url ?? '')),
    process: { module: new URL('harness.ts', import.meta.url), shared: true, env },
    faults: {
      badCredentials: () =>
        kafkaAdapter(
          testOptions(broker?.details['saslUrl'] ?? '', {
            sasl: { mechanism: 'plain', username: broker?.details['username'] ?? '', password: 'wrong' },
          }),
        ),
      wrongHost: () => kafkaAdapter(testOptions('127.0.0.1:1')),
    },
    concurrency: 4,
    pending,
  },
)
