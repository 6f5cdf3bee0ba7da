import { onAbort } from '@mq/core/adapter'

/** Those who wait for one thing to happen. */
export interface Waiters {
  readonly size: number
  /** Resolves when woken, after `ms`, or on abort. */
  wait(signal: AbortSignal, ms?: number): Promise<void>
  /** Wakes all. */
  wake(): void
}

export function createWaiters(): Waiters {
  const waiting = new Set<() => void>()
  return {
    get size() {
      return waiting.size
    },
    wait: (signal, ms) =>
      new Promise((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(end, ms)
        function end(): void {
          clearTimeout(timer)
          waiting.delete(end)
          heard()
          resolve()
        }
        waiting.add(end)
        const heard = onAbort(signal, end)
        if (signal.aborted) end()
      }),
    wake() {
      if (waiting.size === 0) return
      const all = [...waiting]
      waiting.clear()
      for (const each of all) each()
    },
  }
}
