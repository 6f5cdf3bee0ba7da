import { AdapterError, ErrorCode, type Receiver } from '../adapter/index.ts'

/** Longest that a timer may run; it only has to be there. */
const FOREVER_MS = 2 ** 30

/** One connection: what is open in it, and whether it is up. Like a socket, it keeps the process alive until it is closed. */
export class Connection {
  readonly receivers = new Set<Receiver>()
  readonly #onClose = new Set<() => void>()
  #alive: NodeJS.Timeout | null = null

  get up(): boolean {
    return this.#alive !== null
  }

  open(): void {
    this.#alive ??= setInterval(() => undefined, FOREVER_MS)
  }

  /** Throws MQ_CONNECTION when closed. */
  check(): void {
    if (this.#alive === null)
      throw new AdapterError(ErrorCode.CONNECTION, 'the connection is closed', { retryable: true })
  }

  onClose(fn: () => void): void {
    this.#onClose.add(fn)
  }

  /** Every lease goes back at once, uncounted. */
  async close(signal: AbortSignal): Promise<void> {
    if (this.#alive === null) return
    clearInterval(this.#alive)
    this.#alive = null
    for (const receiver of [...this.receivers]) await receiver.close(signal)
    for (const fn of this.#onClose) fn()
    this.#onClose.clear()
  }
}
