import type { Certainty, OutboundMessage, PublishOutcome, QueueSettings } from '../adapter/contract.ts'
import { onAbort } from '../adapter/on-abort.ts'
import { backoffDelay } from '../backoff.ts'
import { pause, withDeadline } from '../deadline.ts'
import { DeliveryMode } from '../config/enums.ts'
import { Drain } from '../drain.ts'
import type { Engine } from '../engine.ts'
import { ErrorCode } from '../error-codes.ts'
import { ConnectionError, PublishError } from '../errors.ts'
import { SpareSignals } from '../spare-signals.ts'
import { classify, publishError } from '../wrap-error.ts'
import { abortedError } from './aborted.ts'
import { type Batch, deadlineOf, type Entry, halfOf, newBatch, type Sent } from './batch.ts'
import { canBeMade, type Lane, Lanes } from './lanes.ts'

/** What a message costs in memory besides its body, roughly: counted against `bufferMemory`. */
const OVERHEAD_BYTES = 512

/**
 * What was sent and is not yet confirmed. Gathers what one tick sends to one destination into one call of the adapter, waits for
 * the connection, publishes again what failed or stayed unknown, and settles every message by `deliveryTimeoutMs`.
 */
export class Outbox {
  readonly #engine: Engine
  readonly #lanes: Lanes
  readonly #signals = new SpareSignals()
  #bytes = 0
  #pending = 0
  /** Of the shutdown under way, or of the last one. */
  #flush: Drain | null = null

  constructor(engine: Engine) {
    this.#engine = engine
    this.#lanes = new Lanes(engine)
  }

  get pending(): number {
    return this.#pending
  }

  /** Whether half of `bufferMemory` is free. */
  get hasRoom(): boolean {
    return this.#bytes <= this.#engine.config.producer.bufferMemory / 2
  }

  /** Counts a message that cannot go yet, its destination being declared; answers since when. Throws when there is no room for it. */
  hold(message: OutboundMessage, label: string): number {
    this.#count(message, label)
    return this.#engine.clock.monotonic()
  }

  #count({ id, body }: OutboundMessage, label: string): void {
    const size = body.length + OVERHEAD_BYTES
    if (this.#bytes + size > this.#engine.config.producer.bufferMemory) throw this.#bufferFull(id, label)
    this.#bytes += size
    this.#pending++
  }

  /** One that was held will not go. */
  release(message: OutboundMessage): void {
    this.#bytes -= message.body.length + OVERHEAD_BYTES
    this.#pending--
    if (this.#pending === 0) this.#flush?.check()
  }

  /** A destination is gone: one of its name may differ, in order for example. */
  forget(laneKey: string): void {
    this.#lanes.forget(laneKey)
  }

  /**
   * Tells `sent` the id on durable acceptance, or why not. `laneKey` identifies the destination; `since`: when it was held, and counted.
   * Throws when there is no room.
   */
  send(
    message: OutboundMessage,
    laneKey: string,
    label: string,
    settings: QueueSettings | undefined,
    signal: AbortSignal | undefined,
    sent: Sent,
    since?: number,
  ): void {
    if (since === undefined) this.#count(message, label)
    const { clock, config } = this.#engine
    const lane = this.#lanes.of(message, laneKey, label, settings)
    this.#schedule(lane)
    const batch = this.#batchFor(lane, message.body.length + OVERHEAD_BYTES)
    const entry: Entry = {
      message,
      // The clock is read once for what one tick sends, unless that waits for company.
      at: since ?? (config.producer.lingerMs === 0 ? lane.tickAt : clock.monotonic()),
      sent,
      attempted: false,
      abandoned: false,
      released: false,
      unlisten: null,
    }
    batch.entries.push(entry)
    if (signal !== undefined) this.#abortable(entry, label, signal)
    if (batch.entries.length >= lane.maxBatch) this.#close(lane)
  }

  #batchFor(lane: Lane, size: number): Batch {
    const { config } = this.#engine
    if (lane.open !== null && lane.open.bytes + size > config.producer.batchSize) this.#close(lane)
    if (lane.open === null) {
      lane.open = newBatch()
      lane.queue.push(lane.open)
    }
    lane.open.bytes += size
    return lane.open
  }

  /** Nothing more fits in: it goes, and waits for no company. */
  #close(lane: Lane): void {
    lane.open = null
    if (this.#engine.config.producer.lingerMs > 0) this.#soon(() => this.#dispatch(lane))
  }

  #schedule(lane: Lane): void {
    if (lane.scheduled) return
    lane.scheduled = true
    const { clock, config } = this.#engine
    const { lingerMs } = config.producer
    lane.tickAt = clock.monotonic()
    const dispatch = () => {
      lane.scheduled = false
      this.#dispatch(lane)
    }
    if (lingerMs > 0) clock.setTimeout(dispatch, lingerMs)
    else this.#soon(dispatch)
  }

  /** When this turn has gathered what it sends; timers and sockets come first when it is their turn. */
  #soon(dispatch: () => void): void {
    if (this.#engine.turn.overdue()) setImmediate(dispatch)
    else queueMicrotask(dispatch)
  }

  #dispatch(lane: Lane): void {
    while (lane.inFlight < lane.maxInFlight) {
      const batch = lane.queue[0]
      // The one that still gathers goes when its time comes.
      if (batch === undefined || (batch === lane.open && lane.scheduled)) break
      lane.queue.shift()
      if (batch === lane.open) lane.open = null
      if (lane.inFlight === 0 && lane.queue.length === 0 && batch.entries.length >= lane.halvedFrom)
        lane.queue.push(halfOf(batch))
      lane.inFlight++
      void this.#deliver(lane, batch).finally(() => {
        lane.inFlight--
        if (lane.queue.length > 0) this.#dispatch(lane)
      })
    }
  }

  /** Takes a batch to its end: every entry resolved or rejected. Never rejects. */
  async #deliver(lane: Lane, batch: Batch): Promise<void> {
    const { supervisor, clock, config } = this.#engine
    const { deliveryTimeoutMs, retries, retryBackoffMs } = config.producer
    let last: unknown = null
    for (let entries = batch.entries; ;) {
      this.#expire(lane, batch, entries, last)
      entries = this.#withoutAbandoned(batch, entries)
      if (entries.length === 0) return
      const deadline = deadlineOf(entries, deliveryTimeoutMs)
      const remaining = deadline - clock.monotonic()
      if (supervisor.state !== 'connected' || supervisor.blocked !== null) {
        try {
          await supervisor.ready('send', Math.max(0, remaining))
        } catch (error) {
          last ??= error
          // The first one's time is up, the others may have some left.
          if (classify(this.#engine.adapter, error).code !== ErrorCode.TIMEOUT)
            return this.#reject(lane, entries, last, batch.certainty)
        }
        continue
      }
      batch.attempts++
      const outcomes = await this.#publish(lane, entries, remaining)
      const again: Entry[] = []
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[i] as Entry
        const outcome = (outcomes as readonly PublishOutcome[] | undefined)?.[i] ?? NO_OUTCOME
        if (outcome.ok) {
          this.#engine.stats.messagesSent++
          this.#settle(entry)
          entry.sent.resolve(entry.message.id)
          continue
        }
        if (outcome.certainty === 'unknown') batch.certainty = 'unknown'
        if (this.#mayRepeat(lane, batch, outcome, retries)) {
          last = outcome.error
          again.push(entry)
        } else this.#reject(lane, [entry], outcome.error, batch.certainty)
      }
      if (again.length === 0) return
      entries = again
      await this.#beforeRepeating(
        lane,
        batch,
        last,
        backoffDelay({ ...BACKOFF, delayMs: retryBackoffMs }, batch.attempts),
        deadline,
      )
    }
  }

  async #publish(
    lane: Lane,
    entries: readonly Entry[],
    remaining: number,
  ): Promise<readonly PublishOutcome[]> {
    const { adapter, clock, config } = this.#engine
    const now = clock.monotonic()
    const messages = entries.map((entry) => {
      entry.attempted = true
      const { message } = entry
      return message.delayMs === 0 || now === entry.at
        ? message
        : { ...message, delayMs: Math.max(0, message.delayMs - (now - entry.at)) }
    })
    const ms = Math.min(remaining, config.producer.requestTimeoutMs)
    try {
      return await withDeadline(
        clock,
        ms,
        `publishing to ${lane.label}`,
        (signal) => adapter.publish(messages, signal),
        undefined,
        this.#signals,
      )
    } catch (error) {
      return entries.map(() => ({ ok: false, error, certainty: 'unknown' }))
    }
  }

  #mayRepeat(lane: Lane, batch: Batch, { error, certainty }: NotStored, retries: number): boolean {
    const { adapter, config, supervisor } = this.#engine
    if (supervisor.state === 'disconnected' || supervisor.state === 'disconnecting') return false
    if (certainty === 'unknown' && config.producer.deliveryMode === DeliveryMode.AT_MOST_ONCE) return false
    const { code, retryable } = classify(adapter, error)
    // Deleted underneath: made again once, as on first use.
    if (code === ErrorCode.QUEUE_NOT_FOUND) return config.autoDeclare && !batch.redeclared && canBeMade(lane)
    // An outage is no failed attempt: it lasts as long as it lasts, up to the delivery time-out.
    if (code === ErrorCode.CONNECTION) return true
    return retryable && batch.attempts <= retries
  }

  async #beforeRepeating(
    lane: Lane,
    batch: Batch,
    error: unknown,
    delayMs: number,
    deadline: number,
  ): Promise<void> {
    const { adapter, clock, topology, logger, supervisor } = this.#engine
    const { destination } = lane
    const missing = classify(adapter, error).code === ErrorCode.QUEUE_NOT_FOUND
    logger.debug({ queue: lane.label, attempt: batch.attempts, error }, 'publishing again')
    if (missing && !('reply' in destination)) {
      batch.redeclared = true
      topology.missing(destination)
      await topology.ensure(destination).catch(() => undefined)
      return
    }
    const wait = Math.min(delayMs, Math.max(0, deadline - clock.monotonic()))
    if (wait > 0) await pause(clock, wait, supervisor.lifetime)
  }

  /** Tells those whose time is up. */
  #expire(lane: Lane, batch: Batch, entries: readonly Entry[], last: unknown): void {
    const { clock, config, adapter, stats } = this.#engine
    const { deliveryTimeoutMs } = config.producer
    const oldest = clock.monotonic() - deliveryTimeoutMs
    for (const entry of entries) {
      if (entry.at > oldest) return
      if (entry.abandoned) continue
      entry.abandoned = true
      stats.errorCount++
      const certainty = entry.attempted ? batch.certainty : 'not-stored'
      const error = last ?? timedOut(deliveryTimeoutMs)
      entry.sent.reject(publishError(adapter, entry.message.id, lane.label, error, certainty))
    }
  }

  /**
   * What is still to be published. A call whose outcome is unknown is repeated as it was, for that is how the broker knows it: as long as
   * anybody waits for one of its messages.
   */
  #withoutAbandoned(batch: Batch, entries: Entry[]): Entry[] {
    if (!entries.some((entry) => entry.abandoned)) return entries
    const wanted = entries.filter((entry) => !entry.abandoned)
    if (batch.certainty === 'unknown' && wanted.length > 0) return entries
    for (const entry of entries) if (entry.abandoned) this.#settle(entry)
    return wanted
  }

  #reject(lane: Lane, entries: readonly Entry[], error: unknown, certainty: Certainty): void {
    for (const entry of entries) {
      this.#settle(entry)
      this.#engine.stats.errorCount++
      entry.sent.reject(
        publishError(
          this.#engine.adapter,
          entry.message.id,
          lane.label,
          error,
          entry.attempted ? certainty : 'not-stored',
        ),
      )
    }
  }

  #settle(entry: Entry): void {
    entry.unlisten?.()
    if (entry.released) return
    entry.released = true
    this.release(entry.message)
  }

  #abortable(entry: Entry, label: string, signal: AbortSignal): void {
    const abort = () => {
      entry.abandoned = true
      const certainty = entry.attempted ? 'unknown' : 'not-stored'
      entry.sent.reject(abortedError(entry.message.id, label, signal, certainty))
      // What was never written takes no room any more, however long its turn takes to come.
      if (!entry.attempted) this.#settle(entry)
    }
    if (signal.aborted) return abort()
    entry.unlisten = onAbort(signal, abort)
  }

  #bufferFull(id: string, label: string): PublishError {
    this.#engine.stats.errorCount++
    const limit = this.#engine.config.producer.bufferMemory
    return new PublishError(
      `Message ${id} for ${label} was not stored: ${this.#pending} messages wait to be confirmed and fill ` +
        `producer.bufferMemory (${limit} bytes). Await earlier sends before sending more`,
      { code: ErrorCode.PUBLISH, certainty: 'not-stored' },
    )
  }

  /** A shutdown begins: it waits until nothing waits to be confirmed. */
  beginFlush(): Drain {
    this.#flush = new Drain(this.#engine.clock, () => this.#pending === 0)
    return this.#flush
  }

  /** The flush of the shutdown under way, begun or not, lasts no longer than `ms` from now. */
  limitFlush(ms: number): void {
    this.#flush?.limit(ms)
  }
}

type NotStored = Extract<PublishOutcome, { ok: false }>

/** An adapter that says nothing about a message leaves its fate unknown. */
const NO_OUTCOME: NotStored = {
  ok: false,
  error: new Error('the adapter gave no outcome for this message'),
  certainty: 'unknown',
}

const BACKOFF = { backoff: 'exponential', delayMs: 0, maxDelayMs: 5000, jitter: 0.2 } as const

function timedOut(ms: number): ConnectionError {
  return new ConnectionError(`not confirmed within ${ms} ms (producer.deliveryTimeoutMs)`, {
    code: ErrorCode.TIMEOUT,
  })
}
