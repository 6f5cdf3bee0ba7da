import type { DeadLetterInfo, OutboundMessage } from '../adapter/index.ts'
import type { LeaseBatch } from './leases.ts'

/** `ready` counts and may go out; `waiting` counts, but another message of its key is before it; `gone` is left in place until passed. */
export type EntryState = 'ready' | 'waiting' | 'delayed' | 'leased' | 'gone'

/** What an entry keeps of a message, or of an entry of another queue. */
export type Storable = Pick<
  OutboundMessage,
  'id' | 'body' | 'headers' | 'timestamp' | 'contentType' | 'deliveryCount'
>

/** What few messages have, or go through. */
class Fate {
  /** The message as it came, if it has fields that an entry does not keep: a key, a routing key, a priority… */
  message: OutboundMessage | null = null
  /** At most the highest that the queue uses; 0 on queues without priorities. */
  priority = 0
  expiresAt: number | undefined = undefined
  deadLetter: DeadLetterInfo | undefined = undefined
  redeliveries = 0
  firstFailedAt: number | undefined = undefined
  until: number | null = null
  holdsKey = false
}

/** Read in place of a fate that an entry does not have. Never written to. */
const NONE: Readonly<Fate> = Object.freeze(new Fate())

/**
 * A stored message. One object for its whole life in a queue, whatever happens to it. What waits is most of a queue's memory, and most of
 * the garbage collector's work: so it keeps by itself what every message has, and the rest only for those that have it.
 */
export class Entry {
  readonly id: string
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly timestamp: number
  readonly contentType: string
  /** Place in the queue: given on arrival, and anew when it goes to the tail. */
  seq: number
  state: EntryState = 'ready'
  /** Counts deliveries: a delivery of an earlier one settles nothing. */
  generation = 0
  lease: LeaseBatch | null = null
  deliveryCount: number
  #fate: Fate | null = null

  constructor(message: Storable, seq: number) {
    this.id = message.id
    this.body = message.body
    this.headers = message.headers
    this.timestamp = message.timestamp
    this.contentType = message.contentType
    this.seq = seq
    this.deliveryCount = message.deliveryCount
  }

  /** A message that a sender gave. */
  static of(message: OutboundMessage, seq: number, expiresAt: number | undefined, highest: number): Entry {
    const entry = new Entry(message, seq)
    const rare = isRare(message)
    if (rare || expiresAt !== undefined) {
      const fate = entry.#own()
      if (rare) fate.message = message
      fate.priority = Math.min(message.priority, highest)
      fate.expiresAt = expiresAt
    }
    return entry
  }

  /** A copy of one that failed. It starts a life of its own: its attempts are in its metadata. */
  static ofDead(
    dead: Entry,
    seq: number,
    expiresAt: number | undefined,
    highest: number,
    info: DeadLetterInfo,
  ): Entry {
    const entry = new Entry(dead, seq)
    entry.deliveryCount = 0
    const fate = entry.#own()
    fate.message = dead.rare
    fate.priority = Math.min(dead.rare?.priority ?? 0, highest)
    fate.expiresAt = expiresAt
    fate.deadLetter = info
    return entry
  }

  #own(): Fate {
    return (this.#fate ??= new Fate())
  }

  /** The message as it came, where it has fields that an entry does not keep. */
  get rare(): OutboundMessage | null {
    return (this.#fate ?? NONE).message
  }

  /** Ordering key. */
  get key(): string | undefined {
    return this.rare?.key
  }

  get priority(): number {
    return (this.#fate ?? NONE).priority
  }

  get expiresAt(): number | undefined {
    return (this.#fate ?? NONE).expiresAt
  }

  get deadLetter(): DeadLetterInfo | undefined {
    return (this.#fate ?? NONE).deadLetter
  }

  get redeliveries(): number {
    return (this.#fate ?? NONE).redeliveries
  }

  set redeliveries(count: number) {
    if (count !== this.redeliveries) this.#own().redeliveries = count
  }

  get firstFailedAt(): number | undefined {
    return (this.#fate ?? NONE).firstFailedAt
  }

  set firstFailedAt(time: number | undefined) {
    this.#own().firstFailedAt = time
  }

  /** By `Clock.monotonic`: when a delayed one is due; when the lease of a renewed one ends, in place of its batch's deadline. */
  get until(): number | null {
    return (this.#fate ?? NONE).until
  }

  set until(time: number | null) {
    if (time !== this.until) this.#own().until = time
  }

  /** On an ordered queue: nothing else of its key may go out. */
  get holdsKey(): boolean {
    return (this.#fate ?? NONE).holdsKey
  }

  set holdsKey(holds: boolean) {
    this.#own().holdsKey = holds
  }
}

function isRare(message: OutboundMessage): boolean {
  return (
    message.key !== undefined ||
    message.routingKey !== undefined ||
    message.replyTo !== undefined ||
    message.correlationId !== undefined ||
    message.contentEncoding !== undefined ||
    message.deduplicationId !== undefined ||
    message.priority !== 0 ||
    message.redriven
  )
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

/** When a message is over that arrives now; `undefined`: never. What was sent to a topic knows nothing of the ttl of its subscriptions. */
export function endOf(
  now: number,
  messageTtl: number | null,
  expiresAt = Infinity,
  delayMs = 0,
): number | undefined {
  const end = messageTtl === null ? expiresAt : Math.min(expiresAt, now + delayMs + messageTtl)
  return end === Infinity ? undefined : end
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
