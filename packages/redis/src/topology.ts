import { type Buffer } from 'node:buffer'
import {
  AdapterError,
  type Declaration,
  type DeclareTarget,
  type Difference,
  type QueueSettings,
  type Target,
} from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import { nameOf, notFound } from './errors.ts'
import { type Keys, parkedAt } from './keys.ts'
import { scripts } from './scripts/index.ts'

/** ms after which what only its user keeps alive (exclusive and auto-delete queues, reply places) goes when the user is gone. */
export const HEARTBEAT_LIFE_MS = 60_000

export interface Topology {
  declare(
    connection: Connection,
    target: DeclareTarget,
    declaration: Declaration,
  ): Promise<Partial<QueueSettings>>
  remove(connection: Connection, target: DeclareTarget): Promise<void>
  purge(connection: Connection, target: Target): Promise<number>
  size(connection: Connection, target: Target): Promise<number>
  /** Bases of what is declared here and ends with its owner → as what the remove script takes it: a queue or a subscription. */
  readonly owned: Map<string, 'q' | 's'>
  /** Cluster: bases of what parks its dead letters, since they are for a queue in another slot. */
  readonly parking: Set<string>
}

/** `owner` is this adapter's name on exclusive queues: it stays the owner when it connects again. */
export function createTopology(keys: Keys, owner: string): Topology {
  const owned: Topology['owned'] = new Map()
  const parking: Topology['parking'] = new Set()
  return {
    owned,
    parking,
    async declare(connection, target, { settings, pattern, ifExists }) {
      const unknown = Object.keys(settings.arguments)
      if (unknown.length > 0) {
        throw new AdapterError(
          'MQ_UNSUPPORTED',
          `Redis cannot honour the queue argument ${unknown.map((n) => `"${n}"`).join(', ')}`,
        )
      }
      if (!('queue' in target) && !('subscription' in target)) {
        const key = keys.topic(target.topic)
        // Refused where memory is short, although it would change nothing.
        if ((await connection.send(key, ['HEXISTS', key, ''])) === 1) return {}
        await connection.send(key, ['HSET', key, '', ''])
        return {}
      }
      const base = keys.target(target)
      const requested = JSON.stringify(settings)
      const meta = metaFields(connection, keys, base, target, settings)
      const args = [requested, pattern ?? '', settings.exclusive ? owner : '', ...meta]
      const on = 'queue' in target ? [base] : [base, keys.topic(target.topic)]
      const [made, config, known, holder] = (await connection.runKeys(scripts.declare, on, args)) as [
        number,
        Buffer,
        Buffer,
        Buffer,
      ]
      const existing = made === 1 ? settings : parseSettings(String(config))
      const name = existing?.deadLetterQueue ?? null
      if (name !== null && !connection.together(base, keys.queue(name))) parking.add(base)
      const own = made === 1 ? settings.exclusive : String(holder) === owner
      // Also one that was made by a call whose answer never came.
      if (own) owned.set(base, 'queue' in target ? 'q' : 's')
      if (made === 1) return settings
      if (String(holder) !== '' && String(holder) !== owner) {
        throw new AdapterError('MQ_QUEUE_CONFLICT', `${nameOf(target)} is exclusive to another connection`)
      }
      if (ifExists === 'compare' && existing !== null) {
        const differences = compare(existing, settings)
        if (pattern !== undefined && String(known) !== pattern) {
          differences.push({ field: 'pattern', existing: String(known), requested: pattern })
        }
        if (differences.length > 0) {
          const list = differences.map(
            (d) => `${d.field} is ${JSON.stringify(d.existing)}, requested ${JSON.stringify(d.requested)}`,
          )
          throw new AdapterError(
            'MQ_QUEUE_CONFLICT',
            `${nameOf(target)} exists with other settings: ${list.join('; ')}`,
            { differences },
          )
        }
      }
      return existing ?? {}
    },

    async remove(connection, target) {
      const kind = 'queue' in target ? 'q' : 'subscription' in target ? 's' : 't'
      const key = keys.declared(target)
      // A queue that is called as a topic has the same base.
      if (kind !== 't') {
        owned.delete(key)
        parking.delete(key)
      }
      // Marks of other publishers end by themselves; ours would be the only key left.
      const own = connection.publisher === null ? [] : [connection.publisher.name]
      await connection.run(scripts.remove, key, [kind, ...own])
    },

    async purge(connection, target) {
      let removed = 0
      for (let from = '0'; ;) {
        const reply = await connection.run(scripts.purge, keys.target(target), [from])
        if (reply === null) throw notFound(target)
        const [count, more, next] = reply as readonly [number, number, Buffer]
        removed += count
        from = String(next)
        if (more === 0 || (count === 0 && from === '0')) return removed
      }
    },

    async size(connection, target) {
      const reply = await connection.run(scripts.size, keys.target(target), [])
      if (reply === null) throw notFound(target)
      return Number(reply)
    },
  }
}

/** Names and values of what the scripts read: only what differs from a plain queue. */
function metaFields(
  connection: Connection,
  keys: Keys,
  base: string,
  target: Target,
  settings: QueueSettings,
): string[] {
  const { maxLength, maxLengthBytes, maxPriority, deduplicationWindowMs, deadLetterQueue, messageTtl } =
    settings
  const plain =
    maxLength === null &&
    maxLengthBytes === null &&
    maxPriority === null &&
    deduplicationWindowMs === null &&
    !settings.ordered
  const meta = ['p', plain ? '1' : '0', 'nm', 'queue' in target ? target.queue : target.topic]
  if ('subscription' in target) meta.push('sb', target.subscription)
  if (maxLength !== null) meta.push('ml', String(maxLength))
  if (maxLengthBytes !== null) meta.push('mb', String(maxLengthBytes))
  if (settings.overflow === 'drop-oldest') meta.push('ov', 'd')
  if (maxPriority !== null) meta.push('mp', String(maxPriority))
  if (settings.ordered) meta.push('od', '1')
  if (deduplicationWindowMs !== null) meta.push('dw', String(Math.ceil(deduplicationWindowMs)))
  if (messageTtl !== null) meta.push('mt', String(Math.ceil(messageTtl)))
  if (deadLetterQueue !== null) {
    const dead = keys.queue(deadLetterQueue)
    meta.push('dl', connection.together(base, dead) ? dead : parkedAt(base))
  }
  if (settings.autoDelete) meta.push('ad', '1')
  const life = settings.expires ?? (settings.exclusive ? HEARTBEAT_LIFE_MS : null)
  if (life !== null) meta.push('ex', String(Math.ceil(life)))
  return meta
}

/** What a queue was declared with, as its hash keeps it. */
export function parseSettings(text: string): QueueSettings | null {
  return text === '' ? null : (JSON.parse(text) as QueueSettings)
}

function compare(existing: QueueSettings, requested: QueueSettings): Difference[] {
  const differences: Difference[] = []
  for (const field of Object.keys(requested) as (keyof QueueSettings)[]) {
    if (JSON.stringify(existing[field]) !== JSON.stringify(requested[field])) {
      differences.push({ field, existing: existing[field], requested: requested[field] })
    }
  }
  return differences
}
