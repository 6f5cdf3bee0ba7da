import type {
  Clock,
  DeadLetterInfo,
  DeadLetterReason,
  OutboundMessage,
  QueueSettings,
} from '../adapter/index.ts'
import { Ages } from './ages.ts'
import { Alarm } from './alarm.ts'
import { MemoryDelivery } from './delivery.ts'
import { endOf, Entry, isExpired, isGone, isWaiting, markGone, type Storable } from './entry.ts'
import { Heap } from './heap.ts'
import { Keys } from './keys.ts'
import { endLease, isHeld, type LeaseBatch } from './leases.ts'
import { Limits } from './limits.ts'
import { ReadyList } from './ready-list.ts'
import { DeduplicationWindow } from './window.ts'

/** What a queue tells about messages that it gives up by itself: they go to its dead-letter queue, if it has one. */
export type GiveUp = (entry: Entry, reason: DeadLetterReason) => void

/** A receiver that waits for messages. Takes what it wants when called; answers whether it still waits. */
export type Waiter = () => boolean

/** What a queue makes of a message. */
export type Verdict = 'stored' | 'duplicate' | 'full'

/**
 * One queue, or one subscription: what is stored in it and in which state. Knows nothing of connections; receivers lease through it.
 * No operation costs more because much is waiting, but `purge`, and a browse of an ordered or prioritised queue.
 */
export class QueueStore {
  readonly name: string
  readonly settings: QueueSettings
  readonly pattern: string | undefined
  /** The connection that owns an exclusive queue. */
  readonly owner: object
  /** One per open receiver, called when the queue is deleted. */
  readonly receivers = new Set<() => void>()
  /** Receivers that take what comes: one that pulls now and then is none. */
  consumers = 0
  /** By `Clock.monotonic`. */
  usedAt: number
  deleted = false
  readonly #clock: Required<Clock>
  readonly #giveUp: GiveUp
  readonly #alarm: Alarm
  readonly #ready = new ReadyList()
  readonly #keys: Keys | null
  readonly #limits: Limits | null
  readonly #window: DeduplicationWindow | null
  /** Whether storing is no more than appending. */
  readonly #plain: boolean
  readonly #highestPriority: number
  readonly #delayed = new Heap<Entry>(
    (a, b) => (a.until as number) < (b.until as number) || (a.until === b.until && a.seq < b.seq),
  )
  readonly #expiring = new Heap<Entry>((a, b) => (a.expiresAt as number) < (b.expiresAt as number), isGone)
  readonly #ages: Ages | null
  readonly #waiters = new Set<Waiter>()
  #nextSeq = 1
  /** Ready and waiting. */
  #count = 0
  #bytes = 0

  constructor(
    name: string,
    settings: QueueSettings,
    pattern: string | undefined,
    owner: object,
    clock: Required<Clock>,
    giveUp: GiveUp,
  ) {
    this.name = name
    this.settings = settings
    this.pattern = pattern
    this.owner = owner
    this.#clock = clock
    this.#giveUp = giveUp
    this.#alarm = new Alarm(clock, () => this.#ring())
    const { ordered, maxPriority, messageTtl, deduplicationWindowMs } = settings
    this.#keys = ordered ? new Keys() : null
    this.#limits = Limits.of(settings)
    this.#ages = ordered && this.#limits?.drops === true ? new Ages() : null
    this.#window = deduplicationWindowMs === null ? null : new DeduplicationWindow(deduplicationWindowMs)
    this.#highestPriority = maxPriority ?? 0
    const alike = !ordered && maxPriority === null && messageTtl === null
    this.#plain = alike && this.#limits === null && this.#window === null
    this.usedAt = clock.monotonic()
  }

  /** Ready for delivery, those behind their key included; what has expired is not. */
  get size(): number {
    this.tick()
    return this.#count
  }

  // In

  /** Takes a message, or says why not. Call `wake` after the last one of a batch. */
  store(message: OutboundMessage): Verdict {
    if (this.#plain && message.delayMs === 0 && message.expiresAt === undefined) {
      this.#count++
      this.#bytes += message.body.length
      this.#ready.push(Entry.of(message, this.#nextSeq++, undefined, 0))
      return 'stored'
    }
    const verdict = this.judge(message)
    if (verdict === 'stored') this.put(message)
    return verdict
  }

  /** A copy of what failed elsewhere. */
  storeDeadLetter(dead: Entry, info: DeadLetterInfo): Verdict {
    if (!this.#hasRoom(dead)) return 'full'
    const expiresAt = endOf(this.#clock.now(), this.settings.messageTtl)
    this.#enter(Entry.ofDead(dead, this.#nextSeq++, expiresAt, this.#highestPriority, info), 0)
    return 'stored'
  }

  /** What `store` would answer. */
  judge(message: OutboundMessage): Verdict {
    if (this.#plain) return 'stored'
    const { deduplicationId, redriven, delayMs } = message
    if (this.#window !== null && deduplicationId !== undefined && !redriven) {
      if (this.#window.has(deduplicationId, this.#clock.monotonic())) return 'duplicate'
    }
    // A delayed message is counted when it is due.
    return delayMs > 0 || this.#hasRoom(message) ? 'stored' : 'full'
  }

  /** Takes what was judged to be storable just now. */
  put(message: OutboundMessage): void {
    const { deduplicationId, redriven, delayMs } = message
    if (this.#window !== null && deduplicationId !== undefined && !redriven) {
      this.#window.add(deduplicationId, this.#clock.monotonic())
    }
    // Of a queue's own ttl core takes care.
    const ttl = this.pattern === undefined ? null : this.settings.messageTtl
    const expiresAt = endOf(this.#clock.now(), ttl, message.expiresAt, delayMs)
    this.#enter(Entry.of(message, this.#nextSeq++, expiresAt, this.#highestPriority), delayMs)
  }

  #enter(entry: Entry, delayMs: number): void {
    const { expiresAt } = entry
    if (expiresAt !== undefined) {
      this.#expiring.push(entry)
      this.#alarm.setTime(expiresAt)
    }
    if (delayMs > 0) this.#delay(entry, delayMs)
    else this.#arrive(entry)
  }

  /** Whether it fits, once receivers that wait had their part; dropping the oldest counts as fitting. */
  #hasRoom({ body }: Storable): boolean {
    if (this.#limits === null || this.#limits.fit(this.#count, this.#bytes, body.length)) return true
    this.tick()
    this.wake()
    return (
      this.#limits.fit(this.#count, this.#bytes, body.length) ||
      (this.#limits.drops && this.#limits.fit(0, 0, body.length))
    )
  }

  /** New to the queue: to its end, behind its key. */
  #arrive(entry: Entry): void {
    if (this.#limits?.drops === true) this.#makeRoom(this.#limits, entry.body.length)
    const { key } = entry
    const mayGoOut = this.#keys === null || key === undefined || this.#keys.enter(key, entry)
    this.#counted(entry, mayGoOut ? 'ready' : 'waiting')
    if (mayGoOut) this.#ready.push(entry)
  }

  #makeRoom(limits: Limits, bytes: number): void {
    while (!limits.fit(this.#count, this.#bytes, bytes)) {
      const oldest = this.#ages === null ? this.#ready.shiftLowest() : this.#ages.shift()
      if (oldest === undefined) return
      this.#uncount(oldest)
      this.#leave(oldest, this.#ages !== null)
      this.#giveUp(oldest, 'max-length')
    }
  }

  #counted(entry: Entry, state: 'ready' | 'waiting'): void {
    entry.state = state
    this.#count++
    this.#bytes += entry.body.length
    this.#ages?.push(entry)
  }

  #uncount(entry: Entry): void {
    this.#count--
    this.#bytes -= entry.body.length
  }

  /** Gone for good. `inPlace`: it is still in the list where it waited. The next one of its key may go out. */
  #leave(entry: Entry, inPlace: boolean): void {
    const { key } = entry
    const before = entry.state
    entry.state = 'gone'
    if (entry.expiresAt !== undefined) this.#expiring.forget()
    if (inPlace && before === 'ready') this.#ready.forget(entry)
    if (this.#keys === null || key === undefined) return
    if (before === 'waiting') this.#keys.forget(key)
    if (!entry.holdsKey) return
    const next = this.#keys.leave(key)
    if (next === undefined) return
    next.state = 'ready'
    this.#ready.giveBack(next)
  }

  // Out

  /** Up to `max`, now part of `lease`. */
  take(max: number, lease: LeaseBatch): MemoryDelivery[] {
    const taken: MemoryDelivery[] = []
    if (this.#expiring.size > 0 || this.#delayed.size > 0) this.tick()
    while (taken.length < max) {
      const entry = this.#ready.shift()
      if (entry === undefined) break
      this.#uncount(entry)
      this.#ages?.forget()
      entry.state = 'leased'
      entry.generation++
      entry.lease = lease
      taken.push(new MemoryDelivery(entry, undefined))
    }
    lease.deliveries = taken
    lease.left = taken.length
    return taken
  }

  /** Ends the lease of a delivery if it is the current one; `false`: it is somebody else's by now. */
  #end(delivery: MemoryDelivery): boolean {
    if (this.deleted || !isHeld(delivery)) return false
    endLease(delivery)
    return true
  }

  ack(delivery: MemoryDelivery): boolean {
    if (!this.#end(delivery)) return false
    this.#leave(delivery.entry, false)
    return true
  }

  /** Back to its old place. `lapsed`: its receiver did not do so itself, which may be the message's fault. */
  giveBack(delivery: MemoryDelivery, lapsed: boolean): boolean {
    if (!this.#end(delivery)) return false
    const { entry } = delivery
    if (lapsed) entry.redeliveries++
    this.#return(entry, this.#clock.now())
    return true
  }

  /** To the tail (or the front of its key, which stays blocked) after `delayMs`, counted. */
  retry(delivery: MemoryDelivery, delayMs: number): boolean {
    if (!this.#end(delivery)) return false
    const { entry } = delivery
    const now = this.#clock.now()
    entry.deliveryCount++
    entry.firstFailedAt ??= now
    // A new life as far as poison is concerned: its handler came to an end.
    entry.redeliveries = 0
    if (delayMs > 0) {
      this.#delay(entry, delayMs)
      // Its expiry came while it was leased, and was passed over.
      if (isExpired(entry, now)) this.#expiring.push(entry)
      this.tick()
    } else {
      if (this.#keys === null) entry.seq = this.#nextSeq++
      this.#return(entry, now)
    }
    return true
  }

  /** Ready again, or gone if it expired meanwhile. */
  #return(entry: Entry, now: number): void {
    if (isExpired(entry, now)) return this.#expire(entry, false)
    this.#counted(entry, 'ready')
    this.#ready.giveBack(entry)
  }

  // Time

  #delay(entry: Entry, delayMs: number): void {
    entry.state = 'delayed'
    entry.until = this.#clock.monotonic() + delayMs
    this.#delayed.push(entry)
    this.#alarm.set(entry.until)
  }

  /** Whatever is due by now: delayed ones become ready, expired ones leave. */
  tick(): void {
    if (this.#delayed.size === 0 && this.#expiring.size === 0) return
    const now = this.#clock.now()
    for (
      let entry = this.#expiring.peek();
      entry !== undefined && isExpired(entry, now);
      entry = this.#expiring.peek()
    ) {
      this.#expiring.pop()
      if (entry.state === 'leased' || entry.state === 'gone') continue
      if (entry.state !== 'delayed') this.#uncount(entry)
      this.#expire(entry, true)
    }
    const elapsed = this.#clock.monotonic()
    for (
      let entry = this.#delayed.peek();
      entry !== undefined && (entry.until as number) <= elapsed;
      entry = this.#delayed.peek()
    ) {
      this.#delayed.pop()
      if (entry.state === 'delayed') this.#due(entry)
    }
  }

  #ring(): void {
    this.tick()
    this.wake()
    this.#alarm.set(this.#delayed.peek()?.until ?? Infinity)
    this.#alarm.setTime(this.#expiring.peek()?.expiresAt ?? Infinity)
  }

  #due(entry: Entry): void {
    entry.until = null
    if (entry.holdsKey) {
      this.#counted(entry, 'ready')
      this.#ready.giveBack(entry)
    } else {
      entry.seq = this.#nextSeq++
      this.#arrive(entry)
    }
  }

  #expire(entry: Entry, inPlace: boolean): void {
    this.#leave(entry, inPlace)
    this.#giveUp(entry, 'expired')
  }

  // Waiting receivers

  addWaiter(waiter: Waiter): void {
    this.#waiters.add(waiter)
  }

  removeWaiter(waiter: Waiter): void {
    this.#waiters.delete(waiter)
  }

  /** Lets receivers that wait look, the one that waits longest first. */
  wake(): void {
    for (const waiter of this.#waiters) {
      if (this.#count === 0 && !this.deleted) return
      if (!waiter()) this.#waiters.delete(waiter)
    }
  }

  // Looking and removing

  /** What waits after a place in the queue, oldest first: up to `max`, or all where that costs the same. */
  browse(after: number, max: number): { entries: Entry[]; all: boolean } {
    this.tick()
    if (this.#keys === null && this.settings.maxPriority === null)
      return { entries: this.#ready.after(after, max), all: false }
    const entries = [...this.#ready, ...(this.#keys ?? [])].filter(({ seq }) => seq > after)
    return { entries: entries.sort((a, b) => a.seq - b.seq), all: true }
  }

  /** Removes one that was looked at; `false` when it is no longer there to be taken. */
  remove(entry: Entry): boolean {
    if (this.deleted || !isWaiting(entry)) return false
    this.#uncount(entry)
    this.#leave(entry, true)
    return true
  }

  /** Ready, waiting and delayed ones go; leased ones stay. Answers how many went. */
  purge(): number {
    this.tick()
    const purged = markGone(this.#ready) + markGone(this.#keys ?? []) + markGone(this.#delayed.values())
    this.#ready.clear()
    this.#keys?.clear()
    this.#delayed.clear()
    this.#ages?.clear()
    this.#expiring.prune()
    this.#count = 0
    this.#bytes = 0
    return purged
  }

  /** Deleted: receivers learn it, timers end. */
  delete(): void {
    this.deleted = true
    this.#alarm.cancel()
    this.wake()
    for (const gone of [...this.receivers]) gone()
  }
}
