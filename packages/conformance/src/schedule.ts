import type { Clock } from '@mq/core'

/** Runs at most `limit` tasks at once, in the order in which they came. */
export function limiter(limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (task) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await task()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}

/** Settles as `work` does, or rejects after `ms`. */
export function within<T>(clock: Clock, work: Promise<T>, ms: number, describe: () => string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(new Error(describe())), ms)
    work.then(resolve, reject).finally(() => clock.clearTimeout(timer))
  })
}

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimeout(resolve, ms))
}

/** A signal that aborts after `ms`. */
export function deadline(clock: Clock, ms: number): AbortSignal {
  const controller = new AbortController()
  const timer = clock.setTimeout(() => controller.abort(new Error(`${ms} ms are over`)), ms)
  // What it guards keeps the process alive, not the guard.
  ;(timer as { unref?: () => void } | null)?.unref?.()
  return controller.signal
}

/** The system's. Unlike core's it keeps the process alive: a test waits for it. */
export const realClock: Clock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
}

/** Most tasks run beside each other; one that asks for it runs with nobody beside it. */
export function turns(): (alone: boolean, task: () => Promise<void>) => Promise<void> {
  const running = new Set<Promise<void>>()
  let barrier: Promise<void> | null = null
  async function run(task: () => Promise<void>): Promise<void> {
    const work = task()
    running.add(work)
    await work.finally(() => running.delete(work))
  }
  return async (alone, task) => {
    while (barrier !== null) await barrier
    if (!alone) return run(task)
    barrier = Promise.allSettled([...running])
      .then(task)
      .finally(() => (barrier = null))
    return barrier
  }
}
