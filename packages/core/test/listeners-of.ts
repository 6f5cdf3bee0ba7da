import { getEventListeners } from 'node:events'
import { onAbort } from '../src/adapter/on-abort.ts'

/** Listeners of a signal for which something waits. Those for which nothing does lose theirs once there are many, and here there are. */
export function listenersOf(signal: AbortSignal): number {
  for (let n = 0; n < 65; n++) onAbort(new AbortController().signal, () => undefined)()
  return getEventListeners(signal, 'abort').length
}
