import { kafkaAdapter } from '@mq/kafka'
import { testOptions } from './harness.ts'

/** For processes of their own: the broker's address comes from the environment. */
export function createAdapter() {
  return kafkaAdapter(testOptions(process.env['MQ_TEST_KAFKA'] ?? ''))
}
