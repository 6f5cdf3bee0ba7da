import type { QueueSettings } from './contract.ts'

/** Of a queue that nobody declared, such as one that is made when its first dead letter comes: durable, and without limits of any kind, order, priorities or dead letters of its own. */
export const plainSettings: QueueSettings = Object.freeze({
  durable: true,
  autoDelete: false,
  exclusive: false,
  maxLength: null,
  maxLengthBytes: null,
  overflow: 'reject',
  messageTtl: null,
  expires: null,
  maxPriority: null,
  ordered: false,
  partitions: 1,
  replicationFactor: 1,
  deadLetterQueue: null,
  maxRedeliveries: Number.MAX_SAFE_INTEGER,
  deduplicationWindowMs: null,
  arguments: Object.freeze({}),
})
