import { AdapterError } from '@mq/core/adapter'

/**
 * What RabbitMQ 3.10 to 4.3 do something about, by their documentation: https://www.rabbitmq.com/docs/queues#optional-arguments and the
 * pages of each queue type. A server takes any other without a word, and does nothing.
 */
const KNOWN = new Set([
  'x-cancel-on-ha-failover',
  'x-consumer-timeout',
  'x-dead-letter-strategy',
  'x-delayed-retry-max',
  'x-delayed-retry-min',
  'x-delayed-retry-type',
  'x-delivery-limit',
  'x-max-in-memory-bytes',
  'x-max-in-memory-length',
  'x-overflow',
  'x-queue-leader-locator',
  'x-queue-master-locator',
  'x-queue-mode',
  'x-queue-type',
  'x-queue-version',
  'x-quorum-initial-group-size',
  'x-quorum-target-group-size',
  'x-single-active-consumer',
])

/** Throws MQ_UNSUPPORTED for arguments that no server knows, a misspelled one for example. The portable ones are fields by now. */
export function checkArguments(given: Readonly<Record<string, unknown>>): void {
  const unknown = Object.keys(given).filter((name) => !KNOWN.has(name))
  if (unknown.length === 0) return
  throw new AdapterError(
    'MQ_UNSUPPORTED',
    `RabbitMQ knows no queue argument ${unknown.map((name) => JSON.stringify(name)).join(', ')}; ` +
      'a queue with arguments of a plugin is taken as it is when you declare it by yourself',
  )
}
