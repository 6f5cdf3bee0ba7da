import type { Declaration, QueueSettings } from '@mq/core/adapter'
import { closeQuietly, type Connection } from './connection.ts'
import type { Delays } from './delays.ts'
import { replyCode } from './errors.ts'
import { own, queueOf } from './names.ts'
import { createPatterns } from './patterns.ts'
import type { Queues } from './topology.ts'

/** The exchanges of topics, and the queues that are bound to them. */
export interface Topics {
  declare(name: string): Promise<void>
  subscribe(target: Subscription, declaration: Declaration): Promise<Partial<QueueSettings>>
  unsubscribe(target: Subscription): Promise<void>
  remove(name: string): Promise<void>
  /** Whether its exchange exists; asks once per connection. Rejects as not found. */
  check(name: string): Promise<void>
  /** Whether a subscription that was declared here may refuse messages because it is full. */
  limits(name: string): boolean
  /** It is missing after all. */
  forget(name: string): void
}

interface Subscription {
  readonly topic: string
  readonly subscription: string
}

export function createTopics(
  connection: Connection,
  queues: Queues,
  delays: Delays,
  /** Stores a record in a queue, confirmed. */
  record: (queue: string, text: string) => Promise<void>,
): Topics {
  const known = new Set<string>()
  const limited = new Set<string>()
  const patterns = createPatterns(connection)

  const exists = async (name: string): Promise<boolean> => {
    try {
      await connection.admin((channel) => channel.checkExchange(name))
      return true
    } catch (error) {
      if (replyCode(error) === 404) return false
      throw error
    }
  }

  const declare = async (name: string): Promise<void> => {
    if (known.has(name)) return
    const isNew = !(await exists(name))
    await connection.admin((channel) => channel.assertExchange(name, 'topic', { durable: true }))
    // One that somebody deleted has lost what was bound to it.
    if (isNew) await delays.bindTopic(name)
    known.add(name)
  }

  const subscribe = async (
    target: Subscription,
    { settings, pattern = '#', ifExists }: Declaration,
  ): Promise<Partial<QueueSettings>> => {
    const { topic } = target
    const queue = queueOf(target)
    const label = `${topic}/${target.subscription}`
    // Whatever is known of it: somebody may have deleted it under its subscribers.
    known.delete(topic)
    await declare(topic)
    // Written down before it is made: whoever deletes the topic finds it.
    if (!(await queues.exists(queue))) {
      // A note of one that is gone says nothing against what is asked for now.
      if (ifExists === 'compare') await patterns.remove(queue)
      const register = own.register(topic)
      await queues.makeRegister(register)
      await record(register, target.subscription)
    }
    // Copies of one key go to one queue whichever it is, so one is enough.
    const answer = await queues.declare(label, queue, { ...settings, partitions: 1 }, ifExists)
    if (queues.peek(queue)?.limited === true) limited.add(topic)
    // What goes by itself would leave the note about its pattern behind.
    const noted = !settings.autoDelete && !settings.exclusive && settings.expires === null
    const existing = noted ? await patterns.note(queue, pattern) : pattern
    // Whatever was asked for: the queue alone, or the topic, may have been gone, and with it the binding.
    if (existing !== null) await queues.on(queue, (channel) => channel.bindQueue(queue, topic, existing))
    if (ifExists === 'compare' && existing !== pattern)
      throw queues.conflict(label, [
        { field: 'pattern', existing: existing ?? undefined, requested: pattern },
      ])
    return answer
  }

  const unsubscribe = async (target: Subscription): Promise<void> => {
    const queue = queueOf(target)
    await queues.remove(queue)
    await patterns.remove(queue)
  }

  const remove = async (topic: string): Promise<void> => {
    const register = own.register(topic)
    const names = new Set<string>()
    if (await queues.exists(register)) {
      // Nothing is acknowledged: until the register itself goes, last, whoever is interrupted can begin again.
      const channel = await connection.channel('admin')
      try {
        for (;;) {
          const entry = await connection.rpc(channel.get(register), 'reading the subscriptions')
          if (entry === false) break
          names.add(entry.content.toString())
        }
      } finally {
        closeQuietly(channel)
      }
    }
    known.delete(topic)
    limited.delete(topic)
    // Before the queues: a subscriber who hears that its queue is gone makes all of it again, and that must last.
    await connection.admin((channel) => channel.deleteExchange(topic))
    for (const subscription of names) await unsubscribe({ topic, subscription })
    await connection.admin((channel) => channel.deleteQueue(register))
  }

  return {
    declare,
    subscribe,
    unsubscribe,
    remove,
    async check(name) {
      if (known.has(name)) return
      await connection.admin((channel) => channel.checkExchange(name))
      known.add(name)
    },
    limits: (name) => limited.has(name),
    forget: (name) => void known.delete(name),
  }
}
