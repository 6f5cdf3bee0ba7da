import { performance } from 'node:perf_hooks'
import type { Channel, Message } from 'amqplib'
import type { Delivery } from '@mq/core/adapter'
import type { Connection, Role } from './connection.ts'
import { flush } from './flush.ts'
import { getOne } from './get-one.ts'
import type { Settler } from './settler.ts'
import type { Held } from './wire.ts'

/** So long one delivery is held, in ms: a third of the server's `consumer_timeout`, which ends the channel, unless that was changed. */
const LONGEST_HOLD_MS = 600_000

/** How often it is looked whether one was held so long, in ms. */
const LOOK_MS = 60_000

/** Given back and taken again in one go, during which nothing else is looked at. */
const AT_A_TIME = 100

interface Entry {
  readonly shown: Held
  /** The delivery that it is by now. */
  held: Held
  since: number
}

/** What a browse has shown and not removed, by deliveries that never become too old. */
export interface Shown {
  add(held: Held): void
  /** What settles these by now. */
  now(deliveries: readonly Delivery[]): Delivery[]
  /** Whether a message that was taken was shown before. */
  claims(held: Held): boolean
  /** Keeps no longer what is settled of these: a look at very many would hold them all. */
  letGo(deliveries: readonly Delivery[]): void
  stop(): void
}

/** `inTurn` runs steps that take messages from the queue one after the other. */
export function createShown(
  connection: Connection,
  channel: Channel,
  settler: Settler,
  role: Role,
  inTurn: <T>(step: () => Promise<T>) => Promise<T>,
): Shown {
  /** The oldest come first. */
  const entries = new Map<Delivery, Entry>()
  /** Given back, and not come again yet. */
  const away = new Set<Entry>()
  let stopped = false

  const claims = (held: Held): boolean => {
    for (const entry of away) {
      if (!isSame(entry.held.raw, held.raw)) continue
      away.delete(entry)
      entry.held = held
      entry.since = performance.now()
      entries.delete(entry.shown)
      entries.set(entry.shown, entry)
      return true
    }
    return false
  }

  /** Answers whether there may be more. */
  const takeAgain = async (): Promise<boolean> => {
    const due: Entry[] = []
    const before = performance.now() - LONGEST_HOLD_MS
    for (const entry of entries.values()) {
      if (entry.since > before || due.length === AT_A_TIME) break
      if (entry.held.state === 'open') due.push(entry)
      else if (!away.has(entry)) entries.delete(entry.shown)
    }
    const queue = due[0]?.held.queue
    if (queue === undefined || stopped) return false
    const mine = due.filter(({ held }) => held.queue === queue)
    for (const entry of mine) away.add(entry)
    await settler.release(mine.map(({ held }) => held))
    await flush(connection, channel, queue, mine.length, role)
    const others: Held[] = []
    for (let n = 0; n < mine.length; n++) {
      const held = await getOne(connection, channel, settler, queue, undefined)
      if (held === null) break
      if (!claims(held)) others.push(held)
    }
    // Somebody else has taken some of ours meanwhile: these are looked at when their turn comes.
    if (others.length > 0) await settler.release(others)
    return true
  }
  const renew = async (): Promise<void> => {
    while (await inTurn(takeAgain));
  }
  // Why it failed is said to who looks on.
  const timer = setInterval(() => void renew().catch(() => undefined), LOOK_MS)
  timer.unref()

  return {
    add: (held) => void entries.set(held, { shown: held, held, since: performance.now() }),
    now: (deliveries) => deliveries.map((delivery) => entries.get(delivery)?.held ?? delivery),
    claims,
    letGo(deliveries) {
      for (const delivery of deliveries) {
        const entry = entries.get(delivery)
        if (entry?.held.state === 'settled' && !away.has(entry)) entries.delete(delivery)
      }
    },
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}

function isSame(one: Message, other: Message): boolean {
  return one.properties.messageId === other.properties.messageId && one.content.equals(other.content)
}
