import type { BrokerAdapter } from '@mq/core/adapter'
import { rabbitmqAdapter } from '../src/index.ts'

/** For the processes that the suite starts: an adapter for the server of the parent. */
export function createAdapter(): BrokerAdapter {
  const url = process.env['MQ_TEST_RABBITMQ_URL']
  if (url === undefined) throw new Error('MQ_TEST_RABBITMQ_URL is not set')
  return rabbitmqAdapter({ url })
}
