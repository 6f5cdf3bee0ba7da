import { startBroker, type StartOptions } from '@mq/brokers'
import type { Harness } from '@mq/conformance'
import { kafkaAdapter, type KafkaOptions } from '@mq/kafka'

/** Sessions of the tests: short, so that a lost consumer is missed soon; a machine that stalls for seconds must still keep them. */
export const SESSION_MS = 6_000

/** A broker that is not given up by its own controller when the machine has much to do, and still comes back soon. */
export const patientBroker = {
  extra: { 'broker.session.timeout.ms': '6000', 'broker.heartbeat.interval.ms': '500' },
}

/** Options for a test broker. */
export function testOptions(url: string, more: KafkaOptions = {}): KafkaOptions {
  return { brokers: url, sessionTimeoutMs: SESSION_MS, connectTimeoutMs: 10_000, ...more }
}

/** A real server of its own, which may be killed. `name`: as the results call it. */
export async function makeHarness(
  name: 'kafka' | 'kafka-cluster',
  options: StartOptions = {},
): Promise<{ harness: Harness; stop: () => Promise<void> }> {
  const broker = await startBroker(name, { fresh: true, sasl: true, ...patientBroker, ...options })
  const { saslUrl = '', username = '' } = broker.details
  const harness: Harness = {
    broker: name,
    createAdapter: () => kafkaAdapter(testOptions(broker.url)),
    process: {
      module: new URL('./child-adapter.ts', import.meta.url),
      shared: true,
      env: { MQ_TEST_KAFKA: broker.url },
    },
    faults: {
      restartBroker: () => broker.restart(),
      badCredentials: () =>
        kafkaAdapter(testOptions(saslUrl, { sasl: { mechanism: 'plain', username, password: 'wrong' } })),
      wrongHost: () => kafkaAdapter(testOptions('127.0.0.1:1')),
    },
    concurrency: 4,
    patienceMs: 30_000,
    // A look may include a round of the group: short leases must outlast some.
    leaseMs: 3_000,
  }
  return { harness, stop: () => broker.stop() }
}
