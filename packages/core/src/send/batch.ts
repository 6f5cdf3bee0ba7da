import type { Certainty, OutboundMessage } from '../adapter/contract.ts'

/** Whoever waits for a message: one of `resolve` and `reject` is called, or both of them where the second comes too late to matter. */
export interface Sent {
  resolve(id: string): void
  reject(error: unknown): void
  /** It got through all middleware: what fails from now on may have been stored. */
  passed?(): void
  /** It has an id, from its sender or from here. */
  named?(id: string): void
}

/** A message that was sent and is not settled. */
export interface Entry {
  readonly message: OutboundMessage
  /** When it was sent, by `Clock.monotonic`: its delay and its time-out count from here. */
  readonly at: number
  readonly sent: Sent
  /** Written to the broker at least once. */
  attempted: boolean
  /** Its caller gave up or its time was up: nobody waits for the outcome. */
  abandoned: boolean
  /** Counts no more against `bufferMemory`. */
  released: boolean
  /** Takes the listener off the caller's signal, which may outlive many sends. */
  unlisten: (() => void) | null
}

/** Messages that travel in one call, and again in one call should its outcome stay unknown. In the order in which they were sent. */
export interface Batch {
  readonly entries: Entry[]
  bytes: number
  attempts: number
  /** Whether some earlier attempt may have stored the messages. */
  certainty: Certainty
  redeclared: boolean
}

export function newBatch(): Batch {
  return {
    entries: [],
    bytes: 0,
    attempts: 0,
    certainty: 'not-stored',
    redeclared: false,
  }
}

/** The second half of what a batch holds that was not sent yet, as a batch of its own; the first half stays. */
export function halfOf(batch: Batch): Batch {
  const half = newBatch()
  half.entries.push(...batch.entries.splice(batch.entries.length >> 1))
  return half
}

/** When the time of the first is up that anybody waits for. */
export function deadlineOf(entries: readonly Entry[], timeoutMs: number): number {
  const first = entries.find((entry) => !entry.abandoned) as Entry
  return first.at + timeoutMs
}
