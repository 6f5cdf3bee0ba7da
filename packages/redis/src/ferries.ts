import { type Buffer } from 'node:buffer'
import type { AdapterLogger } from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import { type Keys, parkedAt } from './keys.ts'
import { copyAcross, deadLetterFull } from './move.ts'
import { scripts } from './scripts/index.ts'
import { parseSettings } from './topology.ts'

/** How often parked dead letters are carried on. */
const FERRY_MS = 500

/** After so many times the topics that are sent to are asked for their subscriptions again. */
const TOPICS_EVERY = 120

/** Queues that are looked at each time, in turn: a topic may have any number of subscriptions. */
const MOST_AT_ONCE = 50

/** Carried with one look. */
const MOST_FERRIED = 100

/** So many queues are remembered as looked at. */
const MOST_LOOKED = 10_000

/**
 * In a cluster, dead letters that no script can move, because their queue is in another slot, are parked: whoever uses a queue carries them on. Several
 * may at once.
 */
export interface Ferries {
  start(over: Connection): void
  stop(): void
  /** A queue with this base is sent to or consumed here. */
  use(base: string): void
  /** A topic is sent to here, and with it its subscriptions. */
  useTopic(name: string): void
}

/** `parking`: bases of queues that are known to park their dead letters. */
export function createFerries(keys: Keys, parking: Set<string>, logger: AdapterLogger): Ferries {
  const looked = new Set<string>()
  const topics = new Set<string>()
  const failing = new Set<string>()
  let current: Connection | null = null
  let timer: NodeJS.Timeout | undefined
  let carrying = false

  const look = async (over: Connection, base: string): Promise<void> => {
    const meta = `${base}meta`
    const [made, to] = (await over.send(meta, ['HMGET', meta, 'p', 'dl'])) as readonly (Buffer | null)[]
    if (made === null) looked.delete(base)
    else if (String(to) === parkedAt(base)) parking.add(base)
  }

  const carry = async (over: Connection, base: string): Promise<void> => {
    try {
      if (!(await ferry(over, keys, base))) {
        parking.delete(base)
        looked.delete(base)
      }
      failing.delete(base)
    } catch (error) {
      if (over !== current || failing.has(base)) return
      failing.add(base)
      logger.warn(
        { base, error },
        'Redis: dead letters cannot be carried to their queue in another slot of the cluster; they wait beside the queue that they come from',
      )
    }
  }

  const use = (base: string): void => {
    if (current === null || looked.has(base)) return
    if (looked.size >= MOST_LOOKED) looked.clear()
    looked.add(base)
    look(current, base).catch(() => looked.delete(base))
  }

  const lookAtTopic = async (over: Connection, name: string): Promise<void> => {
    const key = keys.topic(name)
    for (const subscription of (await over.send(key, ['HKEYS', key])) as readonly Buffer[])
      if (subscription.length > 0) use(keys.subscription(name, String(subscription)))
  }

  return {
    start(over) {
      current = over
      let times = 0
      timer = setInterval(() => {
        if (++times % TOPICS_EVERY === 0) topics.clear()
        if (carrying) return
        carrying = true
        const turn = [...parking].slice(0, MOST_AT_ONCE)
        for (const base of turn) {
          parking.delete(base)
          parking.add(base)
        }
        void Promise.all(turn.map((base) => carry(over, base))).then(() => (carrying = false))
      }, FERRY_MS)
      timer.unref()
    },
    stop() {
      current = null
      carrying = false
      clearInterval(timer)
      looked.clear()
      topics.clear()
      failing.clear()
    },
    use,
    useTopic(name) {
      if (current === null || topics.has(name)) return
      if (topics.size >= MOST_LOOKED) topics.clear()
      topics.add(name)
      lookAtTopic(current, name).catch(() => topics.delete(name))
    },
  }
}

/**
 * Carries what a queue's own scripts gave up on (expired, dropped) to its dead-letter queue in another slot. The scripts parked it in a queue beside the
 * original; several processes may ferry it at once: the mark lets one copy through. False: nothing is parked for that queue any more.
 */
async function ferry(connection: Connection, keys: Keys, from: string): Promise<boolean> {
  const parked = parkedAt(from)
  const meta = `${from}meta`
  for (;;) {
    const reply = await connection.run(scripts.browse, parked, ['', '', String(MOST_FERRIED)])
    if (reply === null) return (await connection.send(meta, ['EXISTS', meta])) === 1
    const [entries] = reply as readonly [
      readonly (readonly [Buffer, Buffer, readonly Buffer[], number])[],
      Buffer,
    ]
    if (entries.length === 0) return true
    // As it is now: the queue may have been made again, with another.
    const config = await connection.send(meta, ['HGET', meta, 'cfg'])
    const name = config === null ? null : (parseSettings(String(config))?.deadLetterQueue ?? null)
    if (name === null) return false
    const base = keys.queue(name)
    const done: string[] = ['take', '', '']
    try {
      for (const [lane, id, fields] of entries) {
        const mark = `${parked}${String(lane)}.${String(id)}`
        if (!(await copyAcross(connection, fields, [], mark, base, name))) throw deadLetterFull()
        done.push(String(lane), String(id), '0', '', '0')
      }
    } finally {
      if (done.length > 3) await connection.run(scripts.settle, parked, done)
    }
    if (entries.length < MOST_FERRIED) return true
  }
}
