import type { Declaration, QueueSettings } from '@mq/core/adapter'
import { conflict } from './conflict.ts'
import type { Connection } from './connection.ts'
import type { Delays } from './delays.ts'
import { replyCode } from './errors.ts'
import { queueOf } from './names.ts'
import { madeAgain } from './one-maker.ts'
import { createPatterns } from './patterns.ts'
import { createRegister } from './register.ts'
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
  /** The subscriptions' queues, by topic. */
  const limited = new Map<string, Set<string>>()
  const patterns = createPatterns(connection, queues)
  const register = createRegister(connection, queues, record)

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
    const making = connection.admin((channel) => channel.assertExchange(name, 'topic', { durable: true }))
    // Without the right to configure it can still be used, if somebody else made it.
    await (isNew ? making : making.catch(unless(403)))
    if (isNew) await bindAgain(name)
    known.add(name)
  }

  /** An exchange that somebody deleted has lost what was bound to it. */
  const bindAgain = async (topic: string): Promise<void> => {
    await delays.bindTopic(topic)
    const bind = async (subscription: string): Promise<void> => {
      const queue = queueOf({ topic, subscription })
      const pattern = await patterns.read(queue)
      if (pattern !== null) await queues.on(queue, (channel) => channel.bindQueue(queue, topic, pattern))
    }
    try {
      // A queue that is gone, or belongs to another connection.
      const tolerant = (subscription: string) => bind(subscription).catch(unless(404, 405))
      await abreast([...(await register.names(topic))], tolerant)
    } catch (error) {
      // Who may not do that may publish all the same.
      unless(403)(error)
    }
  }

  const subscribe = (target: Subscription, declaration: Declaration): Promise<Partial<QueueSettings>> =>
    madeAgain(async (again) => {
      // Whatever is known of it: somebody may have deleted it under its subscribers.
      known.delete(target.topic)
      await declare(target.topic)
      const making = (isNew: boolean) => subscribeOnce(target, declaration, isNew, again)
      return declaration.settings.exclusive
        ? making(!(await queues.exists(queueOf(target))))
        : queues.make(queueOf(target), making)
    })

  const subscribeOnce = async (
    target: Subscription,
    { settings, pattern = '#', ifExists }: Declaration,
    isNew: boolean,
    again: boolean,
  ): Promise<Partial<QueueSettings>> => {
    const { topic } = target
    const queue = queueOf(target)
    const label = `${topic}/${target.subscription}`
    // A note of one that is gone says nothing against what is asked for now.
    if (isNew && ifExists === 'compare') await patterns.remove(queue)
    // Written down before it is made: whoever deletes the topic finds it. What was written before may have gone with the register.
    const unwritten = isNew || again
    if (unwritten) await register.add(topic, target.subscription)
    // Copies of one key go to one queue whichever it is, so one is enough.
    const answer = await queues.declare(label, queue, { ...settings, partitions: 1 }, ifExists)
    limit(target, queues.peek(queue)?.limited === true)
    const fleeting = settings.autoDelete || settings.exclusive || settings.expires !== null
    const noting = patterns.note(queue, pattern, fleeting)
    // Who may make nothing takes it as it is.
    const taking = noting.catch((error: unknown) => unless(403)(error) ?? null)
    const existing = await (isNew || ifExists === 'compare' ? noting : taking)
    // Whatever was asked for: the queue alone, or the topic, may have been gone, and with it the binding.
    if (existing !== null) await queues.on(queue, (channel) => channel.bindQueue(queue, topic, existing))
    // And after: whoever deletes the topic takes a note of what is not there yet for one of what is gone.
    if (unwritten) await register.add(topic, target.subscription)
    if (ifExists === 'compare' && existing !== pattern)
      throw conflict(label, [{ field: 'pattern', existing: existing ?? undefined, requested: pattern }])
    return answer
  }

  const limit = (target: Subscription, isLimited: boolean): void => {
    const those = limited.get(target.topic) ?? new Set()
    if (isLimited) those.add(queueOf(target))
    else those.delete(queueOf(target))
    if (those.size > 0) limited.set(target.topic, those)
    else limited.delete(target.topic)
  }

  const unsubscribe = async (target: Subscription): Promise<void> => {
    const queue = queueOf(target)
    limit(target, false)
    await queues.alone(queue, async () => {
      await queues.remove(queue)
      await patterns.remove(queue)
    })
  }

  const remove = (topic: string): Promise<void> =>
    register.empty(topic, async (names) => {
      known.delete(topic)
      limited.delete(topic)
      // Before the queues: a subscriber who hears that its queue is gone makes all of it again, and that must last.
      await connection.admin((channel) => channel.deleteExchange(topic))
      // One that is exclusive to another connection gets nothing any more, and goes with that.
      const tolerant = (subscription: string) => unsubscribe({ topic, subscription }).catch(unless(405))
      await abreast([...names], tolerant)
    })

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

/** Most queues at a time. */
const ABREAST = 16

async function abreast<T>(all: readonly T[], call: (each: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < all.length; i += ABREAST) await Promise.all(all.slice(i, i + ABREAST).map(call))
}

/** Throws an error with any other reply code. */
function unless(...codes: readonly number[]): (error: unknown) => void {
  return (error) => {
    if (!codes.includes(replyCode(error) ?? 0)) throw error
  }
}
