import type { QueueSettings } from '../adapter/contract.ts'
import { deadLetterQueueName } from '../message/names.ts'
import type { MessageQueueConfig } from './message-queue-config.ts'
import { EXPIRES } from './queue-arguments.ts'
import { chosenFields, type QueueConfig, type QueueDefaults } from './queue-config.ts'

/** Whether a queue is one for dead letters by its name, or because every queue's dead letters go there by default. */
export function isDeadLetterQueue(name: string, defaults: MessageQueueConfig): boolean {
  const { defaultQueueConfig, consumer } = defaults
  return (
    name.endsWith('.dlq') || name === (defaultQueueConfig.deadLetterQueue ?? consumer.deadLetterQueue ?? null)
  )
}

/**
 * The effective settings of a queue. What `config` left out is taken from `defaults.defaultQueueConfig`. The limits and
 * lifetimes there are meant for work queues: one `ofDeadLetters` takes none of them, or dead letters would vanish by a default that
 * was made for something else.
 */
export function queueSettings(
  name: string,
  config: QueueConfig | undefined,
  defaults: MessageQueueConfig,
  ofDeadLetters: boolean,
): QueueSettings {
  const base = defaults.defaultQueueConfig
  const fallback = ofDeadLetters ? { ...base, ...RETENTION } : base
  const chosen = config === undefined ? new Set<string>() : chosenFields(config)
  const pick = <K extends keyof QueueDefaults>(field: K): QueueDefaults[K] =>
    config !== undefined && chosen.has(field) ? config[field] : fallback[field]

  const { [EXPIRES]: expires = null, ...rest } = pick('arguments')
  const deadLetterQueue = deadLetterQueueOf(name, null, config, defaults)
  const last = ofDeadLetters || deadLetterQueue === name
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
    deadLetterQueue: last || !defaults.enableDeadLetterQueue ? null : deadLetterQueue,
    maxRedeliveries: last ? Number.MAX_SAFE_INTEGER : pick('maxRedeliveries'),
    deduplicationWindowMs: pick('deduplicationWindowMs'),
    arguments: rest,
  }
}

/** Name of the queue for the dead letters of a queue or subscription, from what the configuration names; its own, by default. */
export function deadLetterQueueOf(
  queue: string,
  subscription: string | null,
  config: QueueConfig | undefined,
  { defaultQueueConfig, consumer }: MessageQueueConfig,
): string {
  const named = config?.deadLetterQueue ?? defaultQueueConfig.deadLetterQueue ?? consumer.deadLetterQueue
  return named ?? deadLetterQueueName(queue, subscription)
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
