import { sharedController } from './adapter/shared-controller.ts'

/** As many calls of an adapter as may well be under way. */
const MOST_SPARES = 16

/** On Node 20 a signal keeps a little of each `AbortSignal.any` of it for as long as it lives: so none lives for ever. */
const TAKEN_BETWEEN_SWEEPS = 1000

/**
 * Signals of calls that ended in time, for later calls of their kind: making one, and listening to it for the first time, is a large part of what a small call
 * costs. For a kind of call alone that heeds its signal no more once it is settled.
 */
export class SpareSignals {
  readonly #spares: AbortController[] = []
  /** Taken since the last sweep: the others, which were under way then, are not wanted back. */
  #young = new WeakSet<AbortController>()
  #taken = 0

  take(): AbortController {
    if (++this.#taken % TAKEN_BETWEEN_SWEEPS === 0) {
      this.#spares.length = 0
      this.#young = new WeakSet()
    }
    const controller = this.#spares.pop() ?? sharedController()
    this.#young.add(controller)
    return controller
  }

  giveBack(controller: AbortController): void {
    const wanted = this.#young.has(controller) && this.#spares.length < MOST_SPARES
    if (wanted && !controller.signal.aborted) this.#spares.push(controller)
  }
}
