import type { DeduplicationStore } from '@mq/core'
import { connectCluster } from './cluster.ts'
import { type Connection, connectSingle } from './connection.ts'
import { parseOptions, type RedisOptions } from './options.ts'

/** A `DeduplicationStore` that has a connection of its own. */
export interface RedisDeduplicationStore extends DeduplicationStore {
  /** Ends the connection. It does not keep the process alive by itself. */
  close(): Promise<void>
}

/**
 * Remembers deduplication ids for brokers that cannot, shared by every consumer with the same server and `prefix`: pass it as
 * `options.deduplicationStore`. Connects on first use, and again after a loss. Throws ConfigurationError for options that are wrong;
 * its methods reject when Redis does not answer within `commandTimeoutMs`.
 */
export function redisDeduplicationStore(options: RedisOptions = {}): RedisDeduplicationStore {
  const resolved = { ...parseOptions(options), background: true }
  let connecting: Promise<Connection> | null = null

  const connection = (): Promise<Connection> => {
    if (connecting === null) {
      const link = resolved.cluster === undefined ? connectSingle : connectCluster
      const attempt = link(
        resolved,
        {
          lost: () => {
            if (connecting === attempt) connecting = null
          },
          blocked: () => undefined,
        },
        AbortSignal.timeout(resolved.connectTimeoutMs),
      )
      connecting = attempt
      attempt.catch(() => {
        if (connecting === attempt) connecting = null
      })
    }
    return connecting
  }
  const nameOf = (key: string): string => `{${resolved.prefix}:seen:${key}}`

  return {
    async has(key) {
      const name = nameOf(key)
      return Number(await (await connection()).send(name, ['EXISTS', name])) === 1
    },
    async add(key, ttlMs) {
      const name = nameOf(key)
      await (await connection()).send(name, ['SET', name, '1', 'PX', String(Math.max(1, Math.ceil(ttlMs)))])
    },
    async close() {
      const open = connecting
      connecting = null
      const over = await open?.catch(() => null)
      await over?.close(AbortSignal.timeout(resolved.commandTimeoutMs))
    },
  }
}
