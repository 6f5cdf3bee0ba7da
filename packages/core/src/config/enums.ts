/** Which broker a queue lives on. Each but `memory` has a package of its own, `@mq/<broker>`. */
export const MessageBroker = {
  MEMORY: 'memory',
  REDIS: 'redis',
  RABBITMQ: 'rabbitmq',
  KAFKA: 'kafka',
} as const
export type MessageBroker = (typeof MessageBroker)[keyof typeof MessageBroker]

export function isBroker(value: unknown): value is MessageBroker {
  return (Object.values(MessageBroker) as unknown[]).includes(value)
}

/** How bodies that are neither text nor bytes are written. `text` and `bytes` refuse any other body. */
export const MessageFormat = {
  JSON: 'json',
  TEXT: 'text',
  BYTES: 'bytes',
  MSGPACK: 'msgpack',
} as const
export type MessageFormat = (typeof MessageFormat)[keyof typeof MessageFormat]

/** What a sender promises. `exactly_once` has a name so that it can be refused with the reason. */
export const DeliveryMode = {
  AT_MOST_ONCE: 'at_most_once',
  AT_LEAST_ONCE: 'at_least_once',
  EXACTLY_ONCE: 'exactly_once',
} as const
export type DeliveryMode = (typeof DeliveryMode)[keyof typeof DeliveryMode]

/** Who settles a message: the library after the handler, the handler itself, or nobody (settled as it is delivered). */
export const AcknowledgmentMode = {
  AUTO: 'auto',
  MANUAL: 'manual',
  NONE: 'none',
} as const
export type AcknowledgmentMode = (typeof AcknowledgmentMode)[keyof typeof AcknowledgmentMode]

/** How bodies (`message.compression`) or Kafka's batches (`producer.compressionType`) are compressed. */
export const CompressionType = {
  NONE: 'none',
  GZIP: 'gzip',
  BROTLI: 'brotli',
  ZSTD: 'zstd',
  SNAPPY: 'snappy',
  LZ4: 'lz4',
} as const
export type CompressionType = (typeof CompressionType)[keyof typeof CompressionType]
