import { AdapterError } from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import { goneAfter } from './errors.ts'
import { namingRight } from './rights.ts'
import type { Placed } from './rounds.ts'

/**
 * What to do about a record that is refused; of a partition that is not known where it was looked for whether it is gone with its topic, or only
 * moved.
 */
export async function explain(
  connection: Connection,
  topic: string,
  error: Error & { type: string },
  what: string,
  placed: readonly Placed[],
): Promise<unknown> {
  if (error.type === 'MESSAGE_TOO_LARGE') {
    const text = `${what} takes nothing so large: raise max.message.bytes of its topic`
    const tooLarge = new AdapterError('MQ_MESSAGE_TOO_LARGE', text, { cause: error })
    return Object.assign(tooLarge, { type: error.type })
  }
  if (error.type === 'INVALID_RECORD' && placed.some(({ record }) => record.key === null)) {
    const text = `${what} refuses a message without a key, as topics do whose cleanup.policy is compact; a queue needs delete`
    return Object.assign(new AdapterError('MQ_VALIDATION', text, { cause: error }), { type: error.type })
  }
  if (error.type !== 'UNKNOWN_TOPIC_OR_PARTITION') return namingRight(error, 'Write', 'topic', [topic])
  const info = await connection.topic(topic, true).catch(() => undefined)
  if (info === null) return goneAfter(what, error)
  const moved = new AdapterError('MQ_UNAVAILABLE', `${what}: the broker does not have the partition yet`, {
    retryable: true,
    cause: error,
  })
  return Object.assign(moved, { type: 'LEADER_NOT_AVAILABLE' })
}
