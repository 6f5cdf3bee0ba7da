export interface Slots {
  /** Waits for a free slot, first come, first served. Rejects with the signal's reason when that aborts first. */
  take(signal: AbortSignal): Promise<void>
  free(): void
}

/** At most `size` at once. */
export function createSlots(size: number): Slots {
  let left = size
  const waiting = new Set<() => void>()
  return {
    async take(signal) {
      signal.throwIfAborted()
      if (left > 0) {
        left--
        return
      }
      await new Promise<void>((resolve, reject) => {
        const go = () => {
          signal.removeEventListener('abort', abort)
          resolve()
        }
        const abort = () => {
          waiting.delete(go)
          reject(signal.reason as Error)
        }
        waiting.add(go)
        signal.addEventListener('abort', abort, { once: true })
      })
    },
    free() {
      const [next] = waiting
      if (next === undefined) {
        left++
        return
      }
      waiting.delete(next)
      next()
    },
  }
}
