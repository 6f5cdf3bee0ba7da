/** Of each signal that is listened to, what its abort ends. */
const waiting = new WeakMap<AbortSignal, Waiting>()

interface Waiting {
  readonly fns: Set<() => void>
  readonly listener: () => void
}

/** Signals for which nothing waits now. Their listeners stay until there are so many: most are waited for again. */
const idle = new Set<AbortSignal>()
const MOST_IDLE = 64

/**
 * Calls `fn` once the signal aborts; the answer takes that back. As of a listener, nothing is called for a signal that has aborted already, and what `fn`
 * throws is uncaught. However many wait, the signal has one listener, so Node warns of no leak; adding one and taking it off again costs several times what else a short
 * wait does.
 */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  if (signal.aborted) return () => undefined
  const { fns } = waiting.get(signal) ?? listen(signal)
  if (fns.size === 0) idle.delete(signal)
  fns.add(fn)
  return () => {
    if (fns.delete(fn) && fns.size === 0 && !signal.aborted) rest(signal)
  }
}

function listen(signal: AbortSignal): Waiting {
  const fns = new Set<() => void>()
  const listener = (): void => {
    idle.delete(signal)
    for (const fn of fns) {
      fns.delete(fn)
      try {
        fn()
      } catch (error) {
        // As of a listener: the others hear of the abort all the same.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
  const added = { fns, listener }
  waiting.set(signal, added)
  signal.addEventListener('abort', listener, { once: true })
  return added
}

/** A signal that depends on others, such as one of `AbortSignal.any`, is kept by Node for as long as it has a listener: none may have one for ever. */
function rest(signal: AbortSignal): void {
  idle.add(signal)
  if (idle.size <= MOST_IDLE) return
  const all = [...idle]
  idle.clear()
  for (const each of all) {
    each.removeEventListener('abort', (waiting.get(each) as Waiting).listener)
    waiting.delete(each)
  }
}
