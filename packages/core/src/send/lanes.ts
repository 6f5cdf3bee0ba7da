import type { Destination, OutboundMessage, QueueSettings } from '../adapter/contract.ts'
import type { Engine } from '../engine.ts'
import type { Batch } from './batch.ts'

/** Most messages in one call of an adapter that names no pace: enough to amortise a round trip, short enough not to hold up a broker. */
const MAX_BATCH = 500

/** Lanes kept before those that lie idle are let go. */
const MOST_LANES = 1000

/** One destination's messages: gathered, sent in order, a bounded number of calls at once. */
export interface Lane {
  readonly key: string
  readonly destination: Destination
  readonly label: string
  readonly maxInFlight: number
  readonly maxBatch: number
  /** What is gathered goes by two calls from so many messages on, when no other is under way. */
  readonly halvedFrom: number
  readonly queue: Batch[]
  open: Batch | null
  scheduled: boolean
  /** When it was last scheduled. */
  tickAt: number
  inFlight: number
}

/** The lanes in use, each made by its first message. */
export class Lanes {
  readonly #engine: Engine
  readonly #lanes = new Map<string, Lane>()
  #most = MOST_LANES

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** The lane that a message goes by. `key` and `label` are those of its destination. */
  of(message: OutboundMessage, key: string, label: string, settings: QueueSettings | undefined): Lane {
    const inTurn = goesInTurn(message, settings)
    const own = inTurn ? turnKey(key) : key
    return this.#lanes.get(own) ?? this.#make(own, message.destination, label, inTurn)
  }

  #make(key: string, destination: Destination, label: string, inTurn: boolean): Lane {
    const { adapter, config } = this.#engine
    const maxInFlight = inTurn ? 1 : config.producer.maxInFlightRequests
    const lane: Lane = {
      key,
      destination,
      label,
      maxInFlight,
      // Calls that go one at a time gain nothing by being small: each costs a round trip, so they hold as many messages as they may.
      maxBatch: maxInFlight === 1 ? MAX_BATCH : (adapter.pace?.publish ?? MAX_BATCH),
      halvedFrom:
        maxInFlight === 1 ? Number.POSITIVE_INFINITY : (adapter.pace?.halve ?? Number.POSITIVE_INFINITY),
      queue: [],
      open: null,
      scheduled: false,
      tickAt: 0,
      inFlight: 0,
    }
    if (this.#lanes.size >= this.#most) this.#sweep()
    this.#lanes.set(key, lane)
    return lane
  }

  /** Requesters come and go, and so do queues: what lies idle must not pile up. */
  #sweep(): void {
    for (const [key, { queue, inFlight }] of this.#lanes)
      if (queue.length === 0 && inFlight === 0) this.#lanes.delete(key)
    this.#most = Math.max(MOST_LANES, 2 * this.#lanes.size)
  }

  /** A destination is gone: one of its name may differ, in order for example. */
  forget(key: string): void {
    this.#lanes.delete(key)
    this.#lanes.delete(turnKey(key))
  }
}

/**
 * Whether calls go one at a time, which keeps the order when one must be repeated: for an ordered queue, and for messages with a key to a topic, each
 * subscription of which may be ordered.
 */
function goesInTurn({ destination, key }: OutboundMessage, settings: QueueSettings | undefined): boolean {
  return settings?.ordered === true || (key !== undefined && 'topic' in destination)
}

/** No destination has it: names have no space. */
function turnKey(key: string): string {
  return `${key} in turn`
}

/** Of the lane of answers to a requester, whose place may be an ordinary queue. No queue has it: names have no colon. */
export function replyKey(address: string): string {
  return `reply:${address}`
}

/** Whether a missing destination may be made again. Not the address of a requester, who is gone; nor a subscription, whose pattern is not known here. */
export function canBeMade({ key, destination }: Lane): boolean {
  return !key.startsWith(replyKey('')) && !('subscription' in destination)
}
