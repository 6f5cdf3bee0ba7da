import type { DeadLetterInfo, Delivery, OutboundMessage } from '../adapter/index.ts'
import type { LeaseBatch } from './leases.ts'

/** `ready` counts and may go out; `waiting` counts, but another message of its key is before it; `gone` is left in place until passed. */
export type EntryState = 'ready' | 'waiting' | 'delayed' | 'leased' | 'gone'

/** A stored message. One object for its whole life in a queue, whatever happens to it. */
export class Entry {
  readonly message: OutboundMessage
  /** Place in the queue: given on arrival, and anew when it goes to the tail. */
  seq: number
  /** 0 on queues without priorities. */
  readonly priority: number
  state: EntryState = 'ready'
  deliveryCount: number
  redeliveries = 0
  firstFailedAt: number | undefined = undefined
  readonly deadLetter: DeadLetterInfo | undefined
  readonly expiresAt: number | undefined
  /** When a delayed one is due; when the lease of a renewed one ends, in place of its batch's deadline. */
  until: number | null = null
  /** Counts deliveries: a delivery of an earlier one settles nothing. */
  generation = 0
  lease: LeaseBatch | null = null
  /** On an ordered queue: nothing else of its key may go out. */
  holdsKey = false

  constructor(
    message: OutboundMessage,
    seq: number,
    priority: number,
    expiresAt: number | undefined,
    deadLetter: DeadLetterInfo | undefined,
  ) {
    this.message = message
    this.seq = seq
    this.priority = priority
    this.expiresAt = expiresAt
    this.deadLetter = deadLetter
    // A dead letter starts a life of its own: its attempts are in its metadata.
    this.deliveryCount = deadLetter === undefined ? message.deliveryCount : 0
  }
}

export function bySeq(a: Entry, b: Entry): boolean {
  return a.seq < b.seq
}

/** Whether it counts. */
export function isWaiting({ state }: Entry): boolean {
  return state === 'ready' || state === 'waiting'
}

export function isExpired({ expiresAt }: Entry, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now
}

export function isGone({ state }: Entry): boolean {
  return state === 'gone'
}

/** Answers how many were not gone before. */
export function markGone(entries: Iterable<Entry>): number {
  let marked = 0
  for (const entry of entries) {
    if (entry.state === 'gone') continue
    entry.state = 'gone'
    marked++
  }
  return marked
}

/** What a receiver hands out, with the two fields that settle it. */
export class MemoryDelivery implements Delivery {
  readonly entry: Entry
  readonly generation: number
  readonly id: string
  readonly body: Uint8Array
  readonly headers: Record<string, string>
  readonly timestamp: number
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  readonly correlationId: string | undefined
  readonly replyTo: string | undefined
  readonly routingKey: string | undefined
  readonly key: string | undefined
  readonly deduplicationId: string | undefined
  readonly priority: number
  readonly expiresAt: number | undefined
  readonly deliveryCount: number
  readonly redeliveries: number
  readonly firstFailedAt: number | undefined
  readonly redriven: boolean
  readonly deadLetter: DeadLetterInfo | undefined
  readonly position: string | undefined
  readonly raw: unknown

  constructor(entry: Entry, position: string | undefined) {
    const { message } = entry
    this.entry = entry
    this.generation = entry.generation
    this.id = message.id
    this.body = message.body
    this.headers = { ...message.headers }
    this.timestamp = message.timestamp
    this.contentType = message.contentType
    this.contentEncoding = message.contentEncoding
    this.correlationId = message.correlationId
    this.replyTo = message.replyTo
    this.routingKey = message.routingKey
    this.key = message.key
    this.deduplicationId = message.deduplicationId
    this.priority = message.priority
    this.expiresAt = entry.expiresAt
    this.deliveryCount = entry.deliveryCount
    this.redeliveries = entry.redeliveries
    this.firstFailedAt = entry.firstFailedAt
    this.redriven = message.redriven && entry.deadLetter === undefined
    this.deadLetter = entry.deadLetter
    this.position = position
    this.raw = message
  }
}
