import type { ErrorCode } from '../error-codes.ts'

/**
 * The contract between the portable engine and a broker. Core owns every policy (retries, back-off, dead letters,
 * concurrency, prefetch, lease clocks, reconnection, deadlines, encoding, validation); an adapter moves bytes and
 * answers questions. Arguments are complete and valid: an adapter checks nothing and defaults nothing.
 *
 * Errors: an adapter throws its client's own error, or an `AdapterError` for what it found out itself, and names
 * either with `classify`. Core wraps it once.
 */
export interface BrokerAdapter {
  /** Short name used in logs, errors and results: `redis`. */
  readonly broker: string

  /** What this broker can do: the best case before `connect()`; exact for this server, and frozen, afterwards. */
  readonly capabilities: Capabilities

  /** What the connected server tells about itself (version, durability), for health checks. Absent: nothing. */
  readonly details?: Readonly<Record<string, string>>

  /** How work is best cut for this broker. Absent: as much at once as there is. */
  readonly pace?: Pace

  /**
   * Makes ONE attempt: connects, authenticates, does one round trip, learns the server's version. Rejects on the first
   * failure, or on abort, leaving nothing open. Core calls it again after a loss; never while connected.
   *
   * `on.lost(cause)`: call once per connection when it is gone for good (core reconnects; every Receiver of it is dead).
   * Where the client alone can fail over (a cluster), only when the client gave up. Never during `disconnect`.
   * `on.blocked(reason)`: the broker accepts nothing for now (`null`: it does again). Sends then wait in core.
   */
  connect(on: ConnectionEvents, signal: AbortSignal): Promise<void>

  /** Closes everything. Idempotent. Settles at the latest on abort, whatever the peer does; then nothing keeps the process alive. */
  disconnect(signal: AbortSignal): Promise<void>

  /** One round trip on the live connection; rejects when the broker cannot serve (loading, read-only, out of memory). */
  ping(signal: AbortSignal): Promise<void>

  /**
   * Stores messages; answers one outcome per message, in input order. Never retries, never rejects for a single message.
   * A call holds at least one message, all with the same destination. `ok: true` means that the broker has taken
   * responsibility as its durability says. A rejection of the whole call counts as `unknown` for every message.
   *
   * Several calls may be in flight at once. Messages that core publishes again after an `unknown` outcome come with their
   * first `sendToken`, in the grouping and order of the call that failed, so one token per call can absorb the repetition.
   *
   * Bytes and header objects handed over are never changed afterwards by core, nor may the adapter change them.
   * A missing queue (never a topic without subscriptions) is `not-stored` with code MQ_QUEUE_NOT_FOUND.
   */
  publish(batch: readonly OutboundMessage[], signal: AbortSignal): Promise<readonly PublishOutcome[]>

  /**
   * Starts to take (or, with `mode: 'browse'`, to look at) messages of a queue or subscription. Resolves once subscribed: what
   * is published afterwards is seen. Rejects with MQ_QUEUE_NOT_FOUND when it does not exist.
   *
   * `lost(deliveries, cause)`: the broker took these back (a rebalance, an expired lease that was noticed, a closed channel):
   * their handlers are aborted, settling them would answer `lost`. An adapter that learns it only when settling need not call.
   */
  open(source: Source, lost: (deliveries: readonly Delivery[], cause: unknown) => void): Promise<Receiver>

  /** A private place for answers, alive as long as the connection. `address` goes into `replyTo` of requests. */
  openReplies(): Promise<{ readonly address: string; readonly receiver: Receiver }>

  /**
   * Makes a queue, topic or subscription. With `ifExists: 'take'` an existing one is taken as it is; with `'compare'` one whose
   * effective settings differ is refused with MQ_QUEUE_CONFLICT, naming every difference the broker reveals, and nothing changes.
   * Concurrent calls with equal settings all succeed. Answers the settings in force, as far as the broker reveals them
   * (an empty object where it reveals none): core uses them in place of its own.
   */
  declare(target: DeclareTarget, declaration: Declaration): Promise<Partial<QueueSettings>>

  /** Deletes it with all that it holds, delayed messages included where `purgeDelayed`. A missing one is no error. */
  remove(target: DeclareTarget): Promise<void>

  /** Removes what is ready, and what is delayed where `purgeDelayed`; leased messages stay. Answers how many. */
  purge(target: Target): Promise<number>

  /** How many messages are ready (see `capabilities.size`), those that wait behind their key included. */
  size(target: Target): Promise<number>

  /** Names an error. Total: never throws; what it does not know is `{ code: 'MQ_UNKNOWN', retryable: true }`. */
  classify(error: unknown): Classification
}

/**
 * Client and broker work side by side when neither waits for the other to finish all of a batch: the client prepares the next part while
 * the broker is at the one before.
 */
export interface Pace {
  /** Most messages of one `publish` call, where several may be under way at once. Default, and where they may not: 500. */
  readonly publish?: number
  /**
   * Messages of one `publish` call from which on it is made as two, where several may be under way, and none is or waits to go: the client writes one while the broker stores
   * the other. Default: never.
   */
  readonly halve?: number
  /**
   * Handlers that a consumer starts before it lets the event loop turn, so that what they acknowledge, and the next read, is written
   * meanwhile. For brokers that are asked for every batch. Default: as many as may run.
   */
  readonly start?: number
}

export interface ConnectionEvents {
  lost(cause: unknown): void
  blocked(reason: string | null): void
}

export interface Classification {
  readonly code: ErrorCode
  /** Whether the same call may succeed later, without anyone changing anything. */
  readonly retryable: boolean
}

/** A queue, or one subscription of a topic: what can be consumed, sized and purged. */
export type Target = { readonly queue: string } | { readonly topic: string; readonly subscription: string }

/** What `declare` and `remove` take: a topic by itself as well. */
export type DeclareTarget = Target | { readonly topic: string }

/**
 * Where a message goes: a queue, every matching subscription of a topic, one subscription alone (redrive), or the
 * address of a requester (`replyTo`; one that vanished is not an error).
 */
export type Destination = Target | { readonly topic: string } | { readonly reply: string }

/** A message on its way to the broker. Everything is encoded; `undefined` means absent. Times are ms since the epoch. */
export interface OutboundMessage {
  readonly destination: Destination
  readonly id: string
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly timestamp: number
  readonly contentType: string
  readonly contentEncoding: string | undefined
  readonly correlationId: string | undefined
  readonly replyTo: string | undefined
  /** What subscriptions match their pattern against (topics); carried along otherwise. */
  readonly routingKey: string | undefined
  /** Ordering key. */
  readonly key: string | undefined
  readonly deduplicationId: string | undefined
  /** 0-255; on a queue with `maxPriority` higher comes first. Above 0 only where the queue has priorities. */
  readonly priority: number
  /** Wait before it becomes ready, in ms from this call on, by the broker's clock where it has one. 0: none. */
  readonly delayMs: number
  /** When it expires, absolute. Copies (delayed, retried, dead) carry it. */
  readonly expiresAt: number | undefined
  /** Earlier failed handler runs. 0 but for copies that core itself makes. */
  readonly deliveryCount: number
  /** Moved back from a dead-letter queue: carried along, and not deduplicated. */
  readonly redriven: boolean
  /** Random, one per message and call of `send`; the same when core publishes it again. */
  readonly sendToken: string
}

export type Certainty = 'not-stored' | 'unknown'

export type PublishOutcome =
  { readonly ok: true } | { readonly ok: false; readonly error: unknown; readonly certainty: Certainty }

/** What happened to one settlement. `lost`: it belongs to somebody else by now, and nothing was changed. */
export type SettleOutcome = 'settled' | 'lost' | { readonly error: unknown }

export interface Source {
  readonly target: Target
  /**
   * `consume`: deliveries are leased and settled; up to `prefetch` may be fetched ahead of `receive`. `pull`: the same, but nothing
   * may be leased that `receive` does not return, and calls may come far apart. `browse`: each waiting message is shown once and nothing is leased
   * (hidden from others until `close` where `browseHides`; `open` may then refuse an ordered queue as `MQ_UNSUPPORTED`); `ack` then removes one that
   * still waits, other settlements never come, and an empty answer of `receive` means that the end was reached.
   */
  readonly mode: 'consume' | 'pull' | 'browse'
  /** The most deliveries of this receiver that core will hold without having called `ack` or another settlement for them. */
  readonly prefetch: number
  /** How long a delivery stays with its receiver without a `renew`, in ms. Meaningless where ownership is the connection. */
  readonly leaseMs: number
  /** Whether the queue keeps the order of each key. */
  readonly ordered: boolean
  /** Browse only: start after the `position` of an earlier delivery. `undefined`: at the beginning. `open` refuses as `MQ_VALIDATION` what no position looks like. */
  readonly after: string | undefined
}

/**
 * One consumer (or one browse) of a queue or subscription. All settling methods answer one outcome per delivery, in input
 * order, never reject for a single delivery, and may overlap `receive` and each other for different deliveries. Deliveries
 * given in one call all come from this receiver.
 */
export interface Receiver {
  /**
   * Up to `max` (>= 1) deliveries, as soon as there is at least one; an empty array when none came within `waitMs`
   * (default 1000 ms; 0: after one complete look at the broker). One call at a time. On abort it RESOLVES with what the
   * broker has already leased to it (core gives that back), also when the signal was aborted before the call: so core begins to
   * end a receiver whose deliveries are not settled yet, and what comes from then on should go to others.
   * Rejects when it can no longer receive (queue deleted: MQ_QUEUE_NOT_FOUND; connection lost).
   */
  receive(max: number, signal: AbortSignal, waitMs?: number): Promise<readonly Delivery[]>

  /** Done: the message is gone for good. */
  ack(deliveries: readonly Delivery[]): Promise<readonly SettleOutcome[]>

  /** Given back: ready again at once, uncounted (`deliveryCount` stays; `redeliveries` may grow). */
  release(deliveries: readonly Delivery[]): Promise<readonly SettleOutcome[]>

  /**
   * A failed run: back after `delayMs` (0: at once) with `deliveryCount` + 1, and `firstFailedAt` set now if it was not. An atomic
   * move, or a copy made safe before the original is acknowledged. Where `retryKeepsOrder`, its key stays blocked meanwhile. Elsewhere
   * this comes on an ordered queue only for what was pulled, and keeps it here until it is due, its key blocked; `close` then gives it back.
   */
  retry(deliveries: readonly Delivery[], delayMs: number): Promise<readonly SettleOutcome[]>

  /**
   * To a dead-letter queue, with `failures[i]` for `deliveries[i]`; body, id, key and headers are kept; expiry, delay and
   * counts are not: a dead-letter queue is an ordinary queue, and its metadata holds the attempts. Its own `messageTtl` begins anew, and what is
   * over is neither handed out nor shown: core gives up on nothing there.
   * The copy is safe before the original goes. An error outcome leaves the original leased.
   */
  deadLetter(
    deliveries: readonly Delivery[],
    failures: readonly DeadLetterInfo[],
    target: Target,
  ): Promise<readonly SettleOutcome[]>

  /** Starts each lease anew from now; `lost` where another one owns it already. A no-op where ownership is the connection. */
  renew(deliveries: readonly Delivery[]): Promise<readonly SettleOutcome[]>

  /** Ends it; idempotent; settles on abort. What was not settled becomes available to others (at once, if the broker can be told). */
  close(signal: AbortSignal): Promise<void>
}

/** A message that arrived, and the token that settles it. `undefined` means absent. Times are ms since the epoch. */
export interface Delivery {
  readonly id: string
  /** Not changed by core; the adapter may share it between deliveries. */
  readonly body: Uint8Array
  /**
   * Exactly the headers of the `OutboundMessage`, names under `mq-` that core put there included. What the adapter or the broker
   * itself added (`WireHeader`, `mq-dead-*`, `x-death`) is taken out and stays in `raw`. Of this delivery alone: never share it.
   */
  readonly headers: Record<string, string>
  readonly timestamp: number
  /** Absent on a message of a foreign client: core then infers it. */
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  readonly correlationId: string | undefined
  readonly replyTo: string | undefined
  readonly routingKey: string | undefined
  readonly key: string | undefined
  readonly deduplicationId: string | undefined
  readonly priority: number
  readonly expiresAt: number | undefined
  /** Failed handler runs so far; exact. */
  readonly deliveryCount: number
  /** The broker's own count of unsettled returns; may over-count. Decides poison only. */
  readonly redeliveries: number
  /** When a handler failed on it for the first time. */
  readonly firstFailedAt: number | undefined
  readonly redriven: boolean
  /** On messages of a dead-letter queue. */
  readonly deadLetter: DeadLetterInfo | undefined
  /** Browse only: an opaque cursor for `Source.after`. */
  readonly position: string | undefined
  /** The client's own object. */
  readonly raw: unknown
}

export const DeadLetterReason = {
  REJECTED: 'rejected',
  MAX_RETRIES: 'max-retries',
  EXPIRED: 'expired',
  INVALID: 'invalid',
  UNDECODABLE: 'undecodable',
  DELIVERY_LIMIT: 'delivery-limit',
  MAX_LENGTH: 'max-length',
} as const
export type DeadLetterReason = (typeof DeadLetterReason)[keyof typeof DeadLetterReason]

/** Why and where a message failed. Travels as `mq-dead-*` headers: see `deadLetterHeaders`. */
export interface DeadLetterInfo {
  readonly reason: DeadLetterReason
  /** The queue (or, with `subscription`, the topic) it was consumed from. */
  readonly queue: string
  readonly subscription: string | null
  /** Handler runs, the last one included. */
  readonly attempts: number
  readonly firstFailedAt: Date
  readonly lastFailedAt: Date
  readonly error: { readonly name: string; readonly message: string; readonly stack: string }
  readonly host: string
}

/** A queue's effective configuration, every field decided. `null`: not limited, not set. */
export interface QueueSettings {
  readonly durable: boolean
  /** Deleted when the last receiver of mode `consume` closes; those that pull or browse do not count. */
  readonly autoDelete: boolean
  readonly exclusive: boolean
  readonly maxLength: number | null
  readonly maxLengthBytes: number | null
  readonly overflow: 'reject' | 'drop-oldest'
  /**
   * ms; core applies it to each message on send (`expiresAt`). A sender to a topic knows nothing of its subscriptions: theirs is for the broker to apply
   * as messages arrive, where it can.
   */
  readonly messageTtl: number | null
  /** ms without use after which the broker deletes the queue (`x-expires`). */
  readonly expires: number | null
  /** Highest priority used, 1-255. `null`: the queue has no priorities. */
  readonly maxPriority: number | null
  readonly ordered: boolean
  readonly partitions: number
  readonly replicationFactor: number
  /** Name of the queue that takes this one's dead letters. `null`: dead-lettering is off, or this is a dead-letter queue. */
  readonly deadLetterQueue: string | null
  readonly maxRedeliveries: number
  readonly deduplicationWindowMs: number | null
  /** The broker's own arguments, the portable ones already taken out. */
  readonly arguments: Readonly<Record<string, unknown>>
}

export interface Declaration {
  readonly settings: QueueSettings
  /** Subscriptions only: which routing keys it takes (`orders.*`, `#`). */
  readonly pattern: string | undefined
  readonly ifExists: 'take' | 'compare'
}

/**
 * What a broker does fully, and where it is less. Complete and frozen once connected; drives both core and the
 * conformance suite, which asserts the declared refusal where a value is less than full.
 */
export interface Capabilities {
  /** Messages survive a restart of the broker. */
  readonly durable: boolean
  /** Levels that priorities are mapped onto; 1: none. */
  readonly priorityLevels: number
  /** Longest `delay`, in ms: ten minutes at least. */
  readonly maxDelayMs: number
  /** Largest body, in bytes: 1 MiB at least, less 16 KiB that the rest of a message may take. */
  readonly maxBodyBytes: number
  /** What ties a delivery to its receiver: a lease that must be renewed, or the connection. */
  readonly ownership: 'lease' | 'connection'
  /** Whether `redeliveries` counts, or only says 0 or 1. */
  readonly redeliveries: 'count' | 'flag'
  /** Whether `retry` keeps the key of an ordered queue blocked; otherwise core waits in place. */
  readonly retryKeepsOrder: boolean
  /** What a resolved settlement means: the broker said so, it was written to the socket, or it is told a little later. */
  readonly settle: 'confirmed' | 'written' | 'deferred'
  readonly size: 'ready' | 'ready+leased'
  /** Whether `purge` and `remove` reach delayed and retrying messages. */
  readonly purgeDelayed: boolean
  /** Whether a subscription can be purged while it is consumed. */
  readonly purgeLiveSubscription: boolean
  /** Who honours `deduplicationWindowMs`: the broker, or core at the consumer with a shared store. */
  readonly dedupe: 'broker' | 'consumer'
  /** How closely `maxLength` and `maxLengthBytes` are kept. */
  readonly limits: 'exact' | 'soft' | 'none'
  readonly exclusive: boolean
  readonly autoDelete: boolean
  /** Whether browsing hides messages from others until it ends. */
  readonly browseHides: boolean
}

/** What the factory hands to an adapter package besides the configuration. */
export interface AdapterContext {
  readonly logger: AdapterLogger
}

export interface AdapterLogger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
