import { kafkaAdapter, type KafkaOptions } from '@mq/kafka'

/** Sessions of the tests: short, so that a lost consumer is missed soon; a machine with much to do must still keep them. */
export const SESSION_MS = 2_500

/** A broker that is not given up by its own controller when the machine has much to do. */
export const patientBroker = {
  extra: { 'broker.session.timeout.ms': '9000', 'broker.heartbeat.interval.ms': '1000' },
}

/** Options for a test broker. */
export function testOptions(url: string, more: KafkaOptions = {}): KafkaOptions {
  return { brokers: url, sessionTimeoutMs: SESSION_MS, connectTimeoutMs: 10_000, ...more }
}

/** For processes of their own: the broker's address comes from the environment. */
export function createAdapter() {
  return kafkaAdapter(testOptions(process.env['MQ_TEST_KAFKA'] ?? ''))
}
