import type { QueueSettings } from '../adapter/contract.ts'
import { deadLetterQueueName } from '../message/names.ts'
import type { MessageQueueConfig } from './message-queue-config.ts'
import { EXPIRES } from './queue-arguments.ts'
import { chosenFields, type QueueConfig, type QueueDefaults } from './queue-config.ts'

/**
 * The effective settings of a queue, or of a topic's subscription. What `config` left out is taken from
 * `defaults.defaultQueueConfig`. The limits and lifetimes there are meant for work queues: a dead-letter queue takes none of
 * them, or dead letters would vanish by a default that was made for something else.
 */
export function queueSettings(
  name: string,
  config: QueueConfig | undefined,
  defaults: MessageQueueConfig,
  subscription: string | null = null,
): QueueSettings {
  const ofDeadLetters = subscription === null && name.endsWith('.dlq')
  const base = defaults.defaultQueueConfig
  const fallback = ofDeadLetters ? { ...base, ...RETENTION } : base
  const chosen = config === undefined ? new Set<string>() : chosenFields(config)
  const pick = <K extends keyof QueueDefaults>(field: K): QueueDefaults[K] =>
    config !== undefined && chosen.has(field) ? config[field] : fallback[field]

  const { [EXPIRES]: expires = null, ...rest } = pick('arguments')
  const named = config?.deadLetterQueue ?? fallback.deadLetterQueue ?? defaults.consumer.deadLetterQueue
  const deadLetterQueue = named ?? deadLetterQueueName(name, subscription)
  const withoutDeadLetters = ofDeadLetters || !defaults.enableDeadLetterQueue || deadLetterQueue === name
  return {
    durable: pick('durable'),
    autoDelete: pick('autoDelete'),
    exclusive: pick('exclusive'),
    maxLength: pick('maxLength'),
    maxLengthBytes: pick('maxLengthBytes'),
    overflow: pick('overflow'),
    messageTtl: pick('messageTtl'),
    expires: expires as number | null,
    maxPriority: pick('maxPriority'),
    ordered: pick('ordered'),
    partitions: pick('partitions'),
    replicationFactor: pick('replicationFactor'),
    deadLetterQueue: withoutDeadLetters ? null : deadLetterQueue,
    maxRedeliveries:
      ofDeadLetters || deadLetterQueue === name ? Number.MAX_SAFE_INTEGER : pick('maxRedeliveries'),
    deduplicationWindowMs: pick('deduplicationWindowMs'),
    arguments: rest,
  }
}

const RETENTION = {
  autoDelete: false,
  exclusive: false,
  maxLength: null,
  maxLengthBytes: null,
  messageTtl: null,
  maxPriority: null,
  ordered: false,
  deduplicationWindowMs: null,
  arguments: {},
} satisfies Partial<QueueDefaults>
