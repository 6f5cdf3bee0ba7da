import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Target } from '@mq/core/adapter'
import type { Wait } from './delay-tiers.ts'

/** AMQP's short strings have 255 bytes; room is left for what is appended. */
const SHORT = 255
const LONGEST = 240

/**
 * The queue of a target. A colon is in no portable name, so a subscription's queue meets no other. Two long names together are cut, and
 * kept apart by a hash; so is the name of the dead-letter queue that is made of both.
 */
export function queueOf(target: Target): string {
  if ('queue' in target) return target.queue.length > SHORT ? cut(target.queue) : target.queue
  return cut(`${target.topic}:${target.subscription}`)
}

function hashOf(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 16)
}

function cut(name: string): string {
  if (name.length <= LONGEST) return name
  const hash = hashOf(name)
  return `${name.slice(0, LONGEST - hash.length - 1)}~${hash}`
}

/** Whether a queue's name is made of two that were too long together. */
export function isCut(queue: string): boolean {
  return queue.length === LONGEST && /~[0-9a-f]{16}$/.test(queue)
}

/**
 * The queue itself is partition 0, so that clients that know of no partitions reach it. Two colons: `orders:p1` would be the
 * subscription `p1` of a topic `orders`.
 */
export function partitionQueue(queue: string, partition: number): string {
  return partition === 0 ? queue : `${queue}::p${partition}`
}

/** The queue that a partition belongs to. */
export function baseOf(queue: string): string {
  return queue.replace(/::p\d+$/, '')
}

/** The server's own place for answers: no queue at all. https://www.rabbitmq.com/docs/direct-reply-to */
export const DIRECT = 'amq.rabbitmq.reply-to'

/** Names that this adapter makes for itself. None can be given to a queue or topic. */
export const own = {
  delay: ({ tierMs, urgent }: Wait) => `mq:delayed:${tierMs}${urgent ? '+' : ''}`,
  delayedQueue: (queue: string, { tierMs, urgent }: Wait) =>
    cut(`mq:delayed:${tierMs}${urgent ? '+' : ''}:${queue}`),
  delayedTopic: (topic: string, { tierMs, urgent }: Wait) =>
    `mq:delay:${tierMs}${urgent ? '+' : ''}:${topic}`,
  /** Where what waited for a queue comes out. */
  due: 'mq:due',
  /** Where that goes which is due for a queue that is not bound there, and the queue in which it waits a little. */
  unbound: 'mq:unbound',
  missing: 'mq:delayed:missing',
  relay: (topic: string) => `mq:relay:${topic}`,
  sink: 'mq::sink',
  last: (unique: string) => `mq:last:${unique}`,
  register: (topic: string) => `mq:topic:${topic}`,
  /** Where one connection waits for answers. */
  replies: (unique: string) => `mq:replies:${unique}`,
  /** There while a connection makes or deletes a queue. */
  making: (queue: string) => `mq:making:${hashOf(queue)}`,
  /** Says what a subscription's pattern is: AMQP does not tell. Short, since the server cuts what it says of it. */
  pattern: (subscriptionQueue: string) => `mq:pattern:${hashOf(subscriptionQueue)}`,
} as const

/** Whether a queue only holds messages until they are due. */
export function isDelayQueue(queue: string): boolean {
  return /^mq:delay(ed)?:/.test(queue)
}

/** Which partition a key belongs to: FNV-1a over UTF-8, the same in every process and version. */
export function partitionOf(key: string, partitions: number): number {
  if (partitions <= 1) return 0
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(key)) {
    hash ^= byte
    hash = Math.imul(hash, 0x01000193)
  }
  return (hash >>> 0) % partitions
}
