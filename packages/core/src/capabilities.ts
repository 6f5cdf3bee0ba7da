import type { BrokerAdapter, QueueSettings } from './adapter/contract.ts'
import { UnsupportedError } from './errors.ts'

/** Refuses settings that a broker cannot honour, by name and with the alternative: nothing is dropped silently. */
export function refuseUnsupported(adapter: BrokerAdapter, settings: QueueSettings, hasStore: boolean): void {
  const { broker, capabilities } = adapter
  if (settings.maxPriority !== null && capabilities.priorityLevels <= 1) {
    refuse(broker, 'maxPriority', 'use one queue per priority, each with consumers of its own')
  }
  if (capabilities.limits === 'none') {
    if (settings.maxLength !== null)
      refuse(broker, 'maxLength', 'limit the senders, or delete old messages by messageTtl')
    if (settings.maxLengthBytes !== null) {
      refuse(
        broker,
        'maxLengthBytes',
        'limit the senders, or set the broker’s own retention through arguments',
      )
    }
  }
  if (settings.exclusive && !capabilities.exclusive)
    refuse(broker, 'exclusive', 'give the queue a name that only its owner knows')
  if (settings.autoDelete && !capabilities.autoDelete)
    refuse(broker, 'autoDelete', 'call deleteQueue when the queue is no longer needed')
  if (settings.deduplicationWindowMs !== null && capabilities.dedupe === 'consumer' && !hasStore) {
    refuse(
      broker,
      'deduplicationWindowMs',
      'pass options.deduplicationStore (such as redisDeduplicationStore of @mq/redis), which all consumers share',
    )
  }
}

function refuse(broker: string, option: string, alternative: string): never {
  throw new UnsupportedError(`${broker} does not support ${option}: ${alternative}`)
}
