import { AdapterError, onAbort } from '@mq/core/adapter'
import type { Held } from './wire.ts'

/** What has arrived and was not asked for yet, and the one call that may wait for it. */
export interface Inbox {
  push(held: Held): void
  /** Every later call rejects, once nothing is left to give. */
  fail(error: unknown): void
  /** Drops what was not given out; answers it. */
  drain(): readonly Held[]
  /** Up to `max`, as soon as there is one; empty after `waitMs` or on abort. */
  take(max: number, signal: AbortSignal, waitMs: number): Promise<readonly Held[]>
  readonly size: number
}

export function createInbox(): Inbox {
  let waiting: Held[] = []
  let failure: { readonly error: unknown } | null = null
  let wake: (() => void) | null = null
  let scheduled = false

  // A chunk of the socket holds many messages: the call that waits gets them together.
  const stir = (): void => {
    if (wake === null || scheduled) return
    scheduled = true
    queueMicrotask(() => {
      scheduled = false
      wake?.()
    })
  }
  const some = (max: number): readonly Held[] => {
    if (waiting.length <= max) {
      const all = waiting
      waiting = []
      return all
    }
    return waiting.splice(0, max)
  }

  return {
    push(held) {
      waiting.push(held)
      stir()
    },
    fail(error) {
      failure ??= { error }
      stir()
    },
    drain() {
      const all = waiting
      waiting = []
      return all
    },
    get size() {
      return waiting.length
    },
    take(max, signal, waitMs) {
      if (waiting.length > 0) return Promise.resolve(some(max))
      if (failure !== null) return Promise.reject(failure.error)
      if (signal.aborted || waitMs <= 0) return Promise.resolve([])
      if (wake !== null)
        return Promise.reject(new AdapterError('MQ_UNSUPPORTED', 'receive is called one at a time'))
      return new Promise((resolve, reject) => {
        const finish = (): void => {
          wake = null
          clearTimeout(timer)
          heard()
          if (waiting.length > 0) resolve(some(max))
          else if (failure !== null) reject(failure.error)
          else resolve([])
        }
        const timer = setTimeout(finish, waitMs)
        const heard = onAbort(signal, finish)
        wake = finish
      })
    },
  }
}
