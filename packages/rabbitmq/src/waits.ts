/** Longest wait of one timer: Node takes longer ones for 1 ms. */
const LONGEST_MS = 2 ** 31 - 1

/** What is to happen later, however much later. Keeps no process alive. */
export interface Waits {
  after(ms: number, call: () => void): void
  /** None of it happens any more. */
  stop(): void
}

export function createWaits(): Waits {
  const timers = new Set<NodeJS.Timeout>()

  const after = (ms: number, call: () => void): void => {
    const timer = setTimeout(
      () => {
        timers.delete(timer)
        if (ms > LONGEST_MS) after(ms - LONGEST_MS, call)
        else call()
      },
      Math.min(ms, LONGEST_MS),
    ).unref()
    timers.add(timer)
  }

  return {
    after,
    stop() {
      for (const timer of timers) clearTimeout(timer)
      timers.clear()
    },
  }
}
