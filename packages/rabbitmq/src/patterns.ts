import type { Connection } from './connection.ts'
import { CUT, inequivalence, replyCode } from './errors.ts'
import { own } from './names.ts'
import type { Queues } from './topology.ts'

/**
 * AMQP tells nobody which bindings there are. For each subscription an exchange that is never published to holds the pattern as an argument
 * that the server compares when it is declared again.
 */
export interface Patterns {
  /**
   * Notes it unless another one is; answers the one in force. `null`: another one, too long to be told. `fleeting`: the note goes together
   * with the queue.
   */
  note(queue: string, pattern: string, fleeting: boolean): Promise<string | null>
  /** The one that is noted; `null`: none that is known. */
  read(queue: string): Promise<string | null>
  remove(queue: string): Promise<void>
}

export function createPatterns(connection: Connection, queues: Queues): Patterns {
  /** What is noted instead. */
  const compare = async (queue: string, pattern: string, autoDelete: boolean): Promise<unknown> => {
    try {
      const form = { durable: true, autoDelete, alternateExchange: pattern }
      await connection.admin((channel) => channel.assertExchange(own.pattern(queue), 'fanout', form))
      return pattern
    } catch (error) {
      const found = inequivalence(error)
      if (found?.argument === 'auto_delete') return compare(queue, pattern, !autoDelete)
      if (found?.argument !== 'alternate-exchange') throw error
      return found.current
    }
  }
  const textOf = (found: unknown): string | null => (typeof found === 'string' ? found : null)

  return {
    async note(queue, pattern, fleeting) {
      let found = await compare(queue, pattern, fleeting)
      // Both together were too long.
      if (found === CUT) found = await compare(queue, '', fleeting)
      // An exchange that deletes itself goes with the last queue that is bound to it.
      if (fleeting) await queues.on(queue, (channel) => channel.bindQueue(queue, own.pattern(queue), ''))
      return textOf(found)
    },
    async read(queue) {
      try {
        await connection.admin((channel) => channel.checkExchange(own.pattern(queue)))
      } catch (error) {
        if (replyCode(error) === 404) return null
        throw error
      }
      return textOf(await compare(queue, '', false))
    },
    async remove(queue) {
      await connection.admin((channel) => channel.deleteExchange(own.pattern(queue)))
    },
  }
}
