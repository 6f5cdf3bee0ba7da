import type { Delivery, Target } from '../adapter/contract.ts'
import { checkOptions } from '../check-options.ts'
import type { QueueConfig } from '../config/queue-config.ts'
import { pause } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { UnsupportedError, ValidationError } from '../errors.ts'
import type { Message } from '../message/message.ts'
import { checkQueueName, deadLetterQueueName } from '../message/names.ts'
import { keyOf, sourceOf } from '../message/target.ts'
import { outlasting } from '../outlasting.ts'
import { refuseLibraryQueue } from '../send/routes.ts'
import type { Sender } from '../send/sender.ts'
import { Browse, type Browsed } from './browse.ts'
import { call } from './call.ts'
import { inTurn } from './in-turn.ts'
import { redriven } from './redriven.ts'
import { sizeOf } from './size.ts'

/** Most records looked at by one `list`. */
const MAX_SCANNED = 10_000

const COUNT = 'count the dead letters'

/** Moved in one go: sent, confirmed, then removed. */
const CHUNK = 100

/** Whether a dead letter is wanted. */
export type DeadLetterFilter = (message: Message) => boolean | Promise<boolean>

export interface RedriveOptions {
  /** Which messages to move. Default: all. */
  filter?: DeadLetterFilter | undefined
  /** Most messages to move, 1 or more. Default: no limit. */
  limit?: number | undefined
  /** Most messages to move in a second, above 0. Default: as fast as the broker takes them. */
  ratePerSecond?: number | undefined
  /** Name of the queue to move to. Default: where each message failed. */
  to?: string | undefined
  /** Changes the message, or answers another one, before it goes back. Everything of it counts but `queueName` (see `to`) and `replyTo`. */
  edit?: ((message: Message) => Message | void | Promise<Message | void>) | undefined
  /** Counts what would be moved, and moves nothing. Default `false`. */
  dryRun?: boolean | undefined
}

export interface ListOptions {
  /** Most messages to answer, 1 or more. Default 100. */
  limit?: number | undefined
  /** Which messages to answer. Default: all. */
  filter?: DeadLetterFilter | undefined
  /** The `cursor` of an earlier call, to go on where that ended. Default: the oldest. */
  cursor?: string | null | undefined
}

const REDRIVE_OPTIONS = ['filter', 'limit', 'ratePerSecond', 'to', 'edit', 'dryRun'] as const

export interface RedriveResult {
  /** Moved; with `dryRun`, what would be. */
  readonly moved: number
  /** Looked at. */
  readonly scanned: number
  /** Stays, because it could not be sent. */
  readonly failed: readonly { readonly id: string; readonly error: Error }[]
  readonly dryRun: boolean
}

/** The dead letters of one queue or subscription. Looking takes nothing; messages come with `deadLetter` set. */
export class DeadLetters {
  readonly #engine: Engine
  readonly #sender: Sender
  readonly #source: Target
  readonly #config: QueueConfig | undefined

  /** `config`: that of a typed queue, should this be its first use. */
  constructor(engine: Engine, sender: Sender, source: Target, config: QueueConfig | undefined) {
    this.#engine = engine
    this.#sender = sender
    this.#source = source
    this.#config = config
  }

  /**
   * Dead letters that wait. Makes nothing, like `getQueueSize`. A queue with a name of your own is read to tell those of others apart; of `<queue>.dlq` the broker's count is
   * taken, which covers both where a queue `a.b` and a subscription `b` of a topic `a` meet in one.
   */
  async count(): Promise<number> {
    const queue = await this.#queue('deadLetters.count', false)
    if (queue === null) return 0
    const size = (await sizeOf(this.#engine, { queue }, COUNT)) ?? 0
    if (size === 0 || queue === this.#defaultName()) return size
    let count = 0
    await this.#scan(queue, undefined, (page) => {
      count += page.length
      return Promise.resolve(true)
    })
    return count
  }

  /**
   * Up to `limit` (default 100) that match, oldest first, after looking at 10,000 at most. `cursor`: pass it to go on; `null` at the
   * end. Throws `ValidationError` for a cursor that no call answered.
   */
  async list(options: ListOptions = {}): Promise<{ messages: Message[]; cursor: string | null }> {
    checkOptions(options, ['limit', 'filter', 'cursor'], 'deadLetters.list')
    const { limit = 100, filter = every } = options
    checkCount(limit, 'limit')
    const queue = await this.#queue('deadLetters.list')
    const messages: Message[] = []
    let cursor: string | null = null
    if (queue === null) return { messages, cursor }
    let scanned = 0
    const reachedEnd = await this.#scan(queue, options.cursor ?? undefined, async (page, all) => {
      const own = new Set(page)
      for (const item of all) {
        scanned++
        cursor = item.delivery.position ?? null
        if (own.has(item) && (await filter(item.message))) messages.push(item.message)
        if (messages.length >= limit || scanned >= MAX_SCANNED) return false
      }
      return true
    })
    return { messages, cursor: reachedEnd ? null : cursor }
  }

  /** The one with this id, or `null`. */
  async get(id: string): Promise<Message | null> {
    const queue = await this.#queue('deadLetters.get')
    let found: Message | null = null
    if (queue === null) return found
    await this.#scan(queue, undefined, (page) => {
      found = page.find(({ message }) => message.id === id)?.message ?? null
      return Promise.resolve(found === null)
    })
    return found
  }

  /**
   * Moves messages back to where they failed, at least once each: body, id, key and headers as they were, count and ttl anew, marked
   * as redriven, past deduplication; a subscription's go to that subscription alone. Messages that fail again while this runs stay. Of one
   * `MessageQueue` calls wait for each other (so none may be made, and awaited, in a `filter` or an `edit`); two processes at once may each move the same message.
   */
  async redrive(options: RedriveOptions = {}): Promise<RedriveResult> {
    checkOptions(options, REDRIVE_OPTIONS, 'deadLetters.redrive')
    const { limit = Infinity, ratePerSecond, filter = every, dryRun = false } = options
    if (limit !== Infinity) checkCount(limit, 'limit')
    if (ratePerSecond !== undefined && !(ratePerSecond > 0))
      throw new ValidationError('ratePerSecond must be above 0')
    if (options.to !== undefined) refuseLibraryQueue(checkQueueName(options.to))
    const queue = await this.#queue('deadLetters.redrive')
    const result = { moved: 0, scanned: 0, failed: [] as { id: string; error: Error }[], dryRun }
    if (queue === null) return result
    const { clock } = this.#engine
    const startedAt = clock.now()
    const moved = new Set<string>()
    const chunk = Math.max(1, Math.min(CHUNK, ratePerSecond ?? CHUNK))
    await inTurn(this.#engine, dryRun ? null : queue, async () => {
      const pacedFrom = clock.monotonic()
      await this.#scan(queue, undefined, async (page, _all, browse) => {
        const chosen: Browsed[] = []
        for (const item of page) {
          if (result.moved + chosen.length >= limit) break
          result.scanned++
          // By its id, for not every broker tells of a dead letter that it was moved before.
          const failedAt = item.message.deadLetter?.lastFailedAt.getTime() ?? 0
          const again = moved.has(item.message.id) && failedAt >= startedAt
          if (!again && (await filter(item.message))) chosen.push(item)
        }
        for (let i = 0; i < chosen.length; i += chunk) {
          const part = chosen.slice(i, i + chunk)
          if (dryRun) result.moved += part.length
          else {
            const sent = await this.#send(part, options, result.failed, moved)
            await browse.remove(sent)
            result.moved += sent.length
            if (ratePerSecond !== undefined) await this.#pace(pacedFrom, result.moved, ratePerSecond)
          }
        }
        return result.moved < limit
      })
    })
    return result
  }

  /** Removes them for good; answers how many. */
  async purge(options: { filter?: DeadLetterFilter | undefined } = {}): Promise<number> {
    checkOptions(options, ['filter'], 'deadLetters.purge')
    const { filter } = options
    const queue = await this.#queue('deadLetters.purge')
    if (queue === null) return 0
    if (filter === undefined && !this.#isShared(queue)) return this.#purgeAll(queue)
    let purged = 0
    await this.#scan(queue, undefined, async (page, _all, browse) => {
      const chosen: Delivery[] = []
      for (const { delivery, message } of page)
        if (filter === undefined || (await filter(message))) chosen.push(delivery)
      purged += await browse.remove(chosen)
      return true
    })
    return purged
  }

  #purgeAll(queue: string): Promise<number> {
    const { adapter, topology } = this.#engine
    return topology.on({ queue }, undefined, () =>
      call(this.#engine, adapter, 'purge the dead letters', () => adapter.purge({ queue })),
    )
  }

  /**
   * Name of the queue that holds them; `null` when dead-lettering is off. With `make` it is declared, and so is its source; without, what is
   * there of the source is taken, for it may say where they go, and what is not there is not made.
   */
  async #queue(operation: string, make = true): Promise<string | null> {
    const { supervisor, topology } = this.#engine
    const source = this.#source
    supervisor.adapterFor(operation)
    const own = this.#isDeadLetterQueue()
    // A subscription is not made by a look at what it failed on: it would take all of its topic from then on.
    if ('queue' in source && (make || (await this.#isThere()))) await topology.ensure(source, this.#config)
    if (own) return keyOf(source)
    const deadLetterQueue = topology.deadLetterQueueOf(source, this.#config)
    if (make && deadLetterQueue !== null) await topology.ensure({ queue: deadLetterQueue })
    return deadLetterQueue
  }

  async #isThere(): Promise<boolean> {
    const { config, topology } = this.#engine
    if (!config.autoDeclare || topology.settingsOf(keyOf(this.#source)) !== undefined) return true
    return (await sizeOf(this.#engine, this.#source, COUNT)) !== null
  }

  #isDeadLetterQueue(): boolean {
    return this.#engine.topology.holdsDeadLetters(this.#source)
  }

  /**
   * Whether the queue may hold dead letters of others: one with a name of the user's own does, and so may one whose name could come about in
   * another way, `a.b.dlq` being that of the queue `a.b` and of the subscription `b` of the topic `a`.
   */
  #isShared(queue: string): boolean {
    if (this.#isDeadLetterQueue()) return false
    const { queueName, subscription } = sourceOf(this.#source)
    return subscription !== null || queueName.includes('.') || queue !== this.#defaultName()
  }

  #defaultName(): string {
    if (this.#isDeadLetterQueue()) return (this.#source as { queue: string }).queue
    const { queueName, subscription } = sourceOf(this.#source)
    return deadLetterQueueName(queueName, subscription)
  }

  /** Letters that do not say whose they are belong to whoever asks, unless the queue has a name of the user's own. */
  #isOwn({ deadLetter }: Message, queue: string): boolean {
    const own = sourceOf(this.#source)
    if (deadLetter === undefined || deadLetter.queue === '') return queue === this.#defaultName()
    return deadLetter.queue === own.queueName && deadLetter.subscription === own.subscription
  }

  /** Pages until the visitor says `false`; answers whether the end was reached. `page` is what belongs to this source, of `all`. */
  async #scan(
    queue: string,
    after: string | undefined,
    visit: (page: readonly Browsed[], all: readonly Browsed[], browse: Browse) => Promise<boolean>,
  ): Promise<boolean> {
    const shared = this.#isShared(queue)
    const { supervisor, topology } = this.#engine
    const open = () => Browse.open(this.#engine, { queue }, queue, after)
    const browse = await topology.on({ queue }, undefined, () =>
      outlasting(this.#engine, 'look at dead letters', supervisor.lifetime, open),
    )
    try {
      for (;;) {
        const all = await browse.next()
        if (all.length === 0) return true
        const page = shared ? all.filter(({ message }) => this.#isOwn(message, queue)) : all
        if (!(await visit(page, all, browse))) return false
      }
    } finally {
      await browse.close()
    }
  }

  async #send(
    items: readonly Browsed[],
    options: RedriveOptions,
    failed: { id: string; error: Error }[],
    moved: Set<string>,
  ): Promise<Delivery[]> {
    const sent: Delivery[] = []
    const changed = options.to !== undefined || options.edit !== undefined
    await Promise.all(
      items.map(async (item) => {
        const { delivery, message } = item
        try {
          const destination = this.#destination(delivery, options.to)
          const outbound = await redriven(this.#engine, item, destination, options.edit)
          const known =
            'subscription' in destination ? undefined : await this.#engine.topology.ensure(destination)
          moved.add(outbound.id)
          await this.#sender.resend(outbound, known, changed)
          sent.push(delivery)
        } catch (error) {
          failed.push({ id: message.id, error: error as Error })
        }
      }),
    )
    return sent
  }

  #destination(delivery: Delivery, to: string | undefined): Target {
    if (to !== undefined) return { queue: to }
    const info = delivery.deadLetter
    if (info !== undefined && info.queue !== '') {
      return info.subscription === null
        ? { queue: info.queue }
        : { topic: info.queue, subscription: info.subscription }
    }
    if (!this.#isDeadLetterQueue()) return this.#source
    throw new UnsupportedError(`Message ${delivery.id} does not say where it failed: pass { to: 'queue' }`)
  }

  async #pace(since: number, moved: number, ratePerSecond: number): Promise<void> {
    const { clock, supervisor } = this.#engine
    const waitMs = since + (moved / ratePerSecond) * 1000 - clock.monotonic()
    // Without a connection there is nothing to wait for, and nothing that keeps the process until it is told what was moved.
    if (waitMs > 0) await pause(clock, waitMs, supervisor.lifetime)
  }
}

function every(): boolean {
  return true
}

function checkCount(value: number, name: string): void {
  if (!(Number.isInteger(value) && value >= 1))
    throw new ValidationError(`${name} must be a whole number above 0; it is ${String(value)}`)
}
