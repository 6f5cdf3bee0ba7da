import { randomUUID } from 'node:crypto'
import type { Connection, Role } from './connection.ts'
import type { Wait } from './delay-tiers.ts'
import { inequivalence, replyCode } from './errors.ts'
import { own } from './names.ts'

/**
 * The places where messages wait: for each delay in use an exchange and a queue behind it that all queues share. A message is published
 * there with its own queue as routing key; when its time is over, the server routes it by that key.
 *
 * The server keeps what nobody takes, asks again every few minutes, and stops moving anything else out of the same queue once it keeps 32 such. So
 * what is due always has somewhere to go, and a queue that may refuse it shares with nobody.
 */
export interface Delays {
  /** The exchange for messages that wait so for a queue; made on first use. `limited`: the queue refuses when it is full. */
  forQueue(wait: Wait, queue: string, limited: boolean): Promise<string>
  /** After a queue is made: what is due for it reaches it. */
  bind(queue: string): Promise<void>
  /** The same for messages that go to a topic afterwards, by their own routing key. */
  forTopic(topic: string, wait: Wait): Promise<string>
  /** After a topic is made: what is due for it, from before as well, reaches it. */
  bindTopic(topic: string): Promise<void>
  /** After a queue is removed: where its messages waited, as far as this connection made it. */
  remove(queue: string): Promise<void>
  forget(): void
}

/** How long that waits once more which is due for a queue that is missing, or made again by somebody who does not bind it. */
const MISSING_MS = 1_000

export function createDelays(connection: Connection): Delays {
  const made = new Map<string, Promise<void>>()
  const bound = new Map<string, Promise<void>>()
  /** The waiting queues of those that share with nobody. */
  const ownOf = new Map<string, Set<string>>()

  const keep = (map: Map<string, Promise<void>>, name: string, making: Promise<void>): Promise<void> => {
    map.set(name, making)
    making.catch(() => map.delete(name))
    return making
  }
  const once = (name: string, make: () => Promise<void>): Promise<void> =>
    made.get(name) ?? keep(made, name, make())

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
   * takes it: so it always goes to one more queue, which keeps nothing. It outlives its topic, as what waits does.
   */
  const relay = (topic: string): Promise<void> =>
    once(own.relay(topic), () =>
      sink().then(() =>
        connection.admin(async (channel) => {
          await channel.assertExchange(own.relay(topic), 'fanout', { durable: true })
          await channel.bindQueue(own.sink, own.relay(topic), '')
          await channel.bindExchange(topic, own.relay(topic), '')
        }),
      ),
    )

  /** It keeps nothing, and yet has replicas: without it what nobody wants would hold up the rest. Whatever it is like already does as well. */
  const sink = async (): Promise<void> => {
    const form = {
      durable: true,
      arguments: { 'x-queue-type': 'quorum', 'x-message-ttl': 0, 'x-max-length': 1 },
    }
    try {
      await connection.admin((channel) => channel.assertQueue(own.sink, form))
    } catch (error) {
      if (inequivalence(error) === null) throw error
    }
  }

  const due = (): Promise<void> =>
    once(own.due, () =>
      connection.admin(async (channel) => {
        await channel.assertExchange(own.due, 'direct', { durable: true, alternateExchange: own.unbound })
      }),
    )

  const bindNow = async (queue: string): Promise<void> => {
    const bindBy = (role: Role): Promise<unknown> =>
      connection.admin((channel) => channel.bindQueue(queue, own.due, queue), role)
    try {
      await due()
      // One that is exclusive belongs to the consuming socket.
      await bindBy('admin').catch((error: unknown) => {
        if (replyCode(error) !== 405) throw error
        return bindBy('consume')
      })
      await again()
    } catch (error) {
      // Who may not bind it reaches it all the same, like one that is missing.
      if (replyCode(error) !== 403) throw error
    }
  }
  const bind = (queue: string): Promise<void> => keep(bound, queue, bindNow(queue))

  /**
   * What is due for a queue that is not bound waits a moment, and goes to the queue of that name or, if there is none, nowhere. The exchange does not outlive
   * the server: a server that starts moves what is due before it has found all of its queues, and must keep it until somebody connects.
   */
  const missing = (): Promise<void> =>
    once(own.missing, () =>
      connection.admin(async (channel) => {
        await channel.assertExchange(own.unbound, 'fanout', { durable: false })
        await channel.assertQueue(own.missing, {
          durable: true,
          arguments: {
            'x-queue-type': 'quorum',
            'x-message-ttl': MISSING_MS,
            'x-dead-letter-exchange': '',
          },
        })
        await channel.bindQueue(own.missing, own.unbound, '')
      }),
    )

  /** Of a server that was started again meanwhile: what is due for a queue that is gone would hold up all else, until somebody delays a message. */
  const again = (): Promise<void> =>
    once('again', async () => {
      if (await exists(own.missing)) await missing()
    })

  return {
    async forQueue(wait, queue, limited) {
      if (limited) {
        const name = own.delayedQueue(queue, wait)
        const names = ownOf.get(queue) ?? new Set()
        ownOf.set(queue, names.add(name))
        await once(name, () => tolerant(waitingQueue(name, wait.tierMs, ''), name))
        return name
      }
      await (bound.get(queue) ?? bind(queue))
      await missing()
      const name = own.delay(wait)
      await once(name, () => tolerant(waitingQueue(name, wait.tierMs, own.due), name))
      return name
    },
    bind,
    async forTopic(topic, wait) {
      const name = own.delayedTopic(topic, wait)
      await relay(topic)
      await once(name, () => tolerant(waitingQueue(name, wait.tierMs, own.relay(topic)), name))
      return name
    },
    async bindTopic(topic) {
      try {
        await connection.admin((channel) => channel.bindExchange(topic, own.relay(topic), ''))
      } catch (error) {
        // Nothing has waited for it yet, or who may not bind it: then that happens with the first message that waits.
        if (replyCode(error) !== 404 && replyCode(error) !== 403) throw error
      }
    },
    async remove(queue) {
      bound.delete(queue)
      const names = ownOf.get(queue) ?? []
      ownOf.delete(queue)
      for (const name of names) {
        made.delete(name)
        await connection.admin(async (channel) => {
          await channel.deleteExchange(name)
          await channel.deleteQueue(name)
        })
      }
    },
    forget() {
      made.clear()
      bound.clear()
    },
  }
}
