import { randomUUID } from 'node:crypto'
import type { Connection } from './connection.ts'
import { inequivalence, replyCode } from './errors.ts'
import { own } from './names.ts'

/**
 * The places where messages wait: for each delay in use an exchange and a queue behind it that all queues share. A message is published
 * there with its own queue as routing key; when its time is over, the server routes it by that key.
 */
export interface Delays {
  /** The exchange for messages that wait so long for a queue; made on first use. */
  forQueue(tierMs: number): Promise<string>
  /** The same for messages that go to a topic afterwards, by their own routing key. */
  forTopic(topic: string, tierMs: number): Promise<string>
  forget(): void
}

export function createDelays(connection: Connection): Delays {
  const made = new Map<string, Promise<void>>()

  const once = (name: string, make: () => Promise<void>): Promise<void> => {
    let making = made.get(name)
    if (making === undefined) {
      making = make()
      made.set(name, making)
      making.catch(() => made.delete(name))
    }
    return making
  }

  const exists = async (queue: string): Promise<boolean> => {
    try {
      await connection.admin((channel) => channel.checkQueue(queue))
      return true
    } catch (error) {
      if (replyCode(error) === 404) return false
      throw error
    }
  }

  const waitingQueue = async (name: string, tierMs: number, deadLetterExchange: string): Promise<void> => {
    const isNew = !(await exists(name))
    await connection.admin(async (channel) => {
      await channel.assertExchange(name, 'fanout', { durable: true })
      await channel.assertQueue(name, {
        durable: true,
        arguments: {
          'x-queue-type': 'quorum',
          'x-message-ttl': tierMs,
          'x-dead-letter-exchange': deadLetterExchange,
          // Kept until the queue behind has taken it; that needs a queue that refuses instead of dropping.
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        },
      })
      await channel.bindQueue(name, name, '')
    })
    if (isNew) await settleOnDisk()
  }

  /**
   * A server that is killed within three seconds of making a quorum queue may forget where that queue's log is, confirmed messages included, unless
   * another queue was made or deleted after it (3.10): its table of queues is written with a delay, and by the next change at the latest.
   */
  const settleOnDisk = (): Promise<void> =>
    connection.admin(async (channel) => {
      const name = own.last(randomUUID())
      await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
      await channel.deleteQueue(name)
    })

  /** Made with other arguments by another version of this adapter: it waits all the same. */
  const tolerant = (making: Promise<void>, name: string): Promise<void> =>
    making.catch(async (error: unknown) => {
      if (inequivalence(error) === null) throw error
      await connection.admin((channel) => channel.bindQueue(name, name, ''))
    })

  /**
   * What waits for a topic comes out here. A message that no subscription wants would never leave the queue where it waited, since nobody
   * takes it: so it always goes to one more queue, which keeps nothing.
   */
  const relay = (topic: string): Promise<void> =>
    once(own.relay(topic), () =>
      connection.admin(async (channel) => {
        await channel.assertExchange(own.relay(topic), 'fanout', { durable: true })
        await channel.assertQueue(own.sink, {
          durable: true,
          arguments: { 'x-message-ttl': 0, 'x-max-length': 1 },
        })
        await channel.bindQueue(own.sink, own.relay(topic), '')
        await channel.bindExchange(topic, own.relay(topic), '')
      }),
    )

  return {
    async forQueue(tierMs) {
      const name = own.delay(tierMs)
      await once(name, () => tolerant(waitingQueue(name, tierMs, ''), name))
      return name
    },
    async forTopic(topic, tierMs) {
      const name = own.delayedTopic(topic, tierMs)
      await relay(topic)
      await once(name, () => tolerant(waitingQueue(name, tierMs, own.relay(topic)), name))
      return name
    },
    forget: () => made.clear(),
  }
}
