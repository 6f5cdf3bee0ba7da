import type { BrokerAdapter } from '@mq/core/adapter'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

/** For the processes that the suite starts: an adapter for the server, or the servers, of the parent. */
export function createAdapter(): BrokerAdapter {
  const options = process.env['MQ_TEST_RABBITMQ']
  if (options === undefined) throw new Error('MQ_TEST_RABBITMQ is not set')
  return rabbitmqAdapter(JSON.parse(options) as RabbitmqOptions)
}
