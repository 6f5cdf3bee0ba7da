import type { Connection } from './connection.ts'
import { CUT, inequivalence } from './errors.ts'
import { own } from './names.ts'

/**
 * AMQP tells nobody which bindings there are. For each subscription an exchange that is never published to holds the pattern as an argument
 * that the server compares when it is declared again.
 */
export interface Patterns {
  /** Notes it unless another one is; answers the one in force. `null`: another one, too long to be told. */
  note(queue: string, pattern: string): Promise<string | null>
  remove(queue: string): Promise<void>
}

export function createPatterns(connection: Connection): Patterns {
  /** What is noted instead. */
  const compare = async (queue: string, pattern: string): Promise<unknown> => {
    try {
      await connection.admin((channel) =>
        channel.assertExchange(own.pattern(queue), 'fanout', { durable: true, alternateExchange: pattern }),
      )
      return pattern
    } catch (error) {
      const found = inequivalence(error)
      if (found?.argument !== 'alternate-exchange') throw error
      return found.current
    }
  }

  return {
    async note(queue, pattern) {
      let found = await compare(queue, pattern)
      // Both together were too long.
      if (found === CUT) found = await compare(queue, '')
      return typeof found === 'string' ? found : null
    },
    async remove(queue) {
      await connection.admin((channel) => channel.deleteExchange(own.pattern(queue)))
    },
  }
}
