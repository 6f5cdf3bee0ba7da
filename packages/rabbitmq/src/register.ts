import type { Channel, GetMessage } from 'amqplib'
import { closeQuietly, type Connection } from './connection.ts'
import { isMissing } from './errors.ts'
import { own, queueOf } from './names.ts'
import type { Queues } from './topology.ts'

/**
 * The names of a topic's subscriptions, in a queue: AMQP lists nothing. Some are there twice, and some are of queues that are gone. Whoever reads
 * holds what it has read until it is done.
 */
export interface Register {
  /** Rejects as not found when somebody deletes it meanwhile. */
  add(topic: string, subscription: string): Promise<void>
  /** Calls with the names that are there, which go when it resolves, and come back when it rejects. */
  empty(topic: string, use: (names: ReadonlySet<string>) => Promise<void>): Promise<void>
  names(topic: string): Promise<ReadonlySet<string>>
}

/** Entries from which on each new one looks after some old ones: else those of queues that are gone would grow without end. */
const FEW = 32
const LOOKED_AFTER = 2

export function createRegister(
  connection: Connection,
  queues: Queues,
  /** Stores a record in a queue, confirmed. */
  record: (queue: string, text: string) => Promise<void>,
): Register {
  const read = (channel: Channel, register: string): Promise<GetMessage | false | 'gone'> =>
    connection.rpc(channel.get(register), 'reading the subscriptions').catch((error: unknown) => {
      if (isMissing(error)) return 'gone'
      throw error
    })

  /** Calls with the names of up to so many entries, which go if it answers true. */
  const hold = async (
    topic: string,
    most: number,
    use: (names: ReadonlySet<string>) => Promise<boolean>,
  ): Promise<void> => {
    const channel = await connection.channel('admin')
    try {
      let last: GetMessage | null = null
      const names = new Set<string>()
      for (let n = 0; n < most; n++) {
        const entry = await read(channel, own.register(topic))
        if (entry === 'gone') last = null
        if (entry === 'gone' || entry === false) break
        last = entry
        names.add(entry.content.toString())
      }
      if ((await use(names)) && last !== null) channel.ack(last, true)
    } finally {
      closeQuietly(channel)
    }
  }

  /** Puts what is still in use at the tail, so that others have their turn. */
  const lookAfter = (topic: string): Promise<void> =>
    hold(topic, LOOKED_AFTER, async (names) => {
      for (const subscription of names) {
        const inUse = await queues.exists(queueOf({ topic, subscription })).catch(() => true)
        if (inUse) await record(own.register(topic), subscription)
      }
      return true
    })

  return {
    async add(topic, subscription) {
      const register = own.register(topic)
      await queues.makeRegister(register)
      await record(register, subscription)
      const { messageCount } = await connection.admin((channel) => channel.checkQueue(register))
      if (messageCount > FEW) await lookAfter(topic).catch(() => undefined)
    },
    async empty(topic, use) {
      const register = own.register(topic)
      if (!(await queues.isMade(register))) return use(new Set())
      let found = false
      await hold(topic, Infinity, async (names) => {
        found = names.size > 0
        await use(names)
        return true
      })
      // Others may hold all that there is, and it comes back when they are done.
      if (!found) return
      // Whoever made a subscription meanwhile has written it down: then it stays.
      const drop = connection.admin(async (channel) => {
        if ((await channel.checkQueue(register)).messageCount === 0) await channel.deleteQueue(register)
      })
      await drop.catch((error: unknown) => {
        if (!isMissing(error)) throw error
      })
    },
    async names(topic) {
      let found: ReadonlySet<string> = new Set()
      if (await queues.isMade(own.register(topic)))
        await hold(topic, Infinity, (names) => {
          found = names
          return Promise.resolve(false)
        })
      return found
    },
  }
}
