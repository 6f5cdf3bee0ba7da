import type { Certainty, Destination, OutboundMessage } from '../adapter/contract.ts'

/** A message that was sent and is not settled. */
export interface Entry {
  readonly message: OutboundMessage
  /** When it was sent, by `Clock.monotonic`: its delay and its time-out count from here. */
  readonly at: number
  readonly resolve: (id: string) => void
  readonly reject: (error: Error) => void
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

/** When the time of the first is up that anybody waits for. */
export function deadlineOf(entries: readonly Entry[], timeoutMs: number): number {
  const first = entries.find((entry) => !entry.abandoned) as Entry
  return first.at + timeoutMs
}

/** One destination's messages: gathered, sent in order, a bounded number of calls at once. */
export interface Lane {
  readonly key: string
  readonly destination: Destination
  readonly label: string
  readonly maxInFlight: number
  readonly maxBatch: number
  readonly queue: Batch[]
  open: Batch | null
  scheduled: boolean
  /** When it was last scheduled. */
  tickAt: number
  inFlight: number
}

/** Of the lane of answers to a requester, whose place may be an ordinary queue. No queue has it: names have no colon. */
export function replyKey(address: string): string {
  return `reply:${address}`
}

/** Requesters come and go. A subscription that is gone would come back for all of its topic, its pattern being the one that made it. */
export function canBeMade({ key, destination }: Lane): boolean {
  return !key.startsWith(replyKey('')) && !('subscription' in destination)
}
