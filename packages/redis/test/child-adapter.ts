import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter, type RedisOptions } from '../src/index.ts'

/** For the processes that the suite starts: an adapter for the server, or the servers, of the parent. */
export function createAdapter(): BrokerAdapter {
  const options = process.env['MQ_TEST_REDIS']
  if (options === undefined) throw new Error('MQ_TEST_REDIS is not set')
  return redisAdapter(JSON.parse(options) as RedisOptions)
}
