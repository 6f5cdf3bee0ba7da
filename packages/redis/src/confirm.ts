import { AdapterError } from '@mq/core/adapter'
import { isReply } from './errors.ts'
import { hashTag } from './keys.ts'
import type { Link } from './link.ts'
import type { ResolvedOptions } from './options.ts'

/** Resolves once a replica has everything that the server had answered before the call. `key`: any key of that server. */
export type Confirm = (key: string) => Promise<void>

/**
 * WAIT speaks of the writes of its own connection and holds up whatever is behind it there. So a socket of its own writes a mark and waits for
 * that: what the server did earlier has reached the replica then too. One wait at a time confirms all that asked meanwhile.
 * `missed`: no replica confirmed in time.
 */
export function createConfirm(link: Link, options: ResolvedOptions, missed: () => Promise<void>): Confirm {
  let next: Promise<void> | null = null
  let running: Promise<void> = Promise.resolve()

  const wait = async (key: string): Promise<void> => {
    const timeout = options.replicaTimeoutMs
    const [, replicas] = await Promise.all([
      link.send(['SET', `{${hashTag(key)}}:confirm`, '1', 'PX', '60000'], timeout),
      link.send(['WAIT', '1', String(timeout)], timeout),
    ])
    if (Number(replicas) >= 1) return
    await missed()
    throw new AdapterError('MQ_TIMEOUT', `no replica confirmed within ${timeout} ms (acks: all)`, {
      retryable: true,
    })
  }

  return (key) => {
    next ??= (async () => {
      await running.catch(() => undefined)
      next = null
      running = wait(key)
      return running
    })()
    return next
  }
}

/** An error reply to the confirmation says nothing about the messages, which are stored by then. */
export function unconfirmed(error: unknown): unknown {
  if (!isReply(error)) return error
  return new AdapterError(
    'MQ_UNAVAILABLE',
    'stored, but no replica could be asked to confirm it (acks: all)',
    {
      retryable: true,
      cause: error,
    },
  )
}
