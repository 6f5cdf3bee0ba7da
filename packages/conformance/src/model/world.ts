import assert from 'node:assert/strict'
import { RejectError, type Message, type MessageQueue } from '@mq/core'
import type { TestContext } from '../context.ts'
import type { Faulty } from '../faulty.ts'
import type { Running } from '../helpers.ts'
import { Expected, type Copy, type Settlement } from './expected.ts'
import type { Pace } from './pace.ts'

export type HandlerKind = 'ack' | 'fail-first' | 'reject'

export interface Held {
  readonly message: Message
  readonly copy: Copy
  readonly owner: number
}

interface Settled {
  readonly copy: Copy
  readonly settlement: Settlement
  /** By a handler: when its connection breaks nobody knows whether it went through. */
  readonly handled: boolean
}

interface Connection {
  readonly link: Faulty
  readonly queue: MessageQueue
  settled: Settled[]
  consumer: { readonly running: Running; readonly kind: HandlerKind } | null
  kind: HandlerKind
  registered: boolean
  /** Its process died. What of it still runs here does not exist. */
  dead: boolean
}

const RETRY_MS = 20
/** A process that stalls keeps what it holds. */
const LEAST_LEASE_MS = 3000

/** The broker as two processes use it, beside what is expected of it. */
export class World {
  readonly expected = new Expected()
  readonly held: Held[] = []
  readonly name: string
  readonly #t: TestContext
  readonly #pace: Pace
  readonly #hasty: boolean
  readonly #connections: Connection[] = []
  /** Nothing broke yet. */
  #whole = true
  /** What is ready is there for whoever looks. */
  #calm = true

  /** `hasty`: where nothing broke, what does not come soon does not come. Good enough to look for a shorter way to a failure. */
  constructor(t: TestContext, pace: Pace, hasty: boolean) {
    this.#t = t
    this.#pace = pace
    this.#hasty = hasty
    this.name = t.name('model')
  }

  get #patienceMs(): number {
    const { patienceMs, hastyMs } = this.#pace
    return !this.#hasty ? patienceMs : this.#whole ? hastyMs : Math.max(hastyMs, patienceMs / 4)
  }

  async start(): Promise<void> {
    for (let i = 0; i < 2; i++) this.#connections.push(await this.#connection())
    await this.#at(0).queue.createQueue({ name: this.name })
  }

  async end(): Promise<void> {
    for (const { queue, link } of this.#connections) {
      await queue.disconnect({ timeoutMs: 1 })
      await link.close()
    }
  }

  consumes(i: number): boolean {
    return this.#at(i).consumer !== null
  }

  get consuming(): boolean {
    return this.#connections.some(({ consumer }) => consumer !== null)
  }

  async send(i: number, delayMs: number): Promise<void> {
    const sentAt = this.#t.now()
    const { queue } = this.#at(i)
    const id = `${this.name}-${Math.random().toString(36).slice(2, 10)}`
    // Known before it is sent: a consumer may be faster than the answer.
    this.expected.sent(id, delayMs === 0 ? 0 : sentAt + delayMs)
    await queue.send({ id, body: id, queueName: this.name, ...(delayMs === 0 ? {} : { delay: delayMs }) })
  }

  /** One look: what is certain must show. */
  async look(i: number): Promise<void> {
    const certain = this.#calm && !this.consuming ? this.expected.certain.length : 0
    const message = await this.#at(i).queue.receive(this.name)
    if (message !== null) return this.#hold(i, message)
    assert.ok(certain === 0, 'nothing came although something is ready')
  }

  /** Waits: what must come some time must come now. */
  async await(i: number): Promise<void> {
    const since = this.#t.now()
    const message = await this.#at(i).queue.receive(this.name, { timeoutMs: this.#patienceMs })
    assert.ok(message !== null, `lost: ${this.#labels(this.expected.mandatory)}`)
    this.#pace.happened(this.#t.now() - since)
    await this.#hold(i, message)
  }

  async #hold(i: number, message: Message): Promise<void> {
    const copy = this.expected.came(message.id, message.deliveryCount, this.#t.now())
    this.held.push({ message, copy, owner: i })
    // For as long as its process lives.
    await this.#at(i).queue.extend(message, 3_600_000)
  }

  async settle(pick: number, how: 'ack' | 'requeue' | 'reject', delayMs = 0): Promise<void> {
    const [{ message, copy, owner }] = this.held.splice(pick % this.held.length, 1) as [Held]
    const connection = this.#at(owner)
    const { queue } = connection
    const settledAt = this.#t.now()
    let settlement: Settlement
    if (how === 'ack') {
      settlement = this.expected.acknowledged(copy)
      await queue.acknowledge(message)
    } else if (how === 'requeue') {
      settlement = this.expected.retried(copy, delayMs === 0 ? 0 : settledAt + delayMs)
      await queue.reject(message, { requeue: true, ...(delayMs === 0 ? {} : { delayMs }) })
    } else {
      settlement = this.expected.deadLettered(copy)
      await queue.reject(message)
    }
    connection.settled.push({ copy, settlement, handled: false })
  }

  async consume(i: number, kind: HandlerKind): Promise<void> {
    const connection = this.#at(i)
    connection.kind = kind
    if (!connection.registered)
      connection.queue.registerFunctionHandler(this.name, (message) => this.#handle(connection, message), {
        retry: { delayMs: RETRY_MS, maxRetries: 3, jitter: 0 },
      })
    connection.registered = true
    const running = await connection.queue.startConsuming(this.name)
    connection.consumer = { running, kind }
  }

  #handle(connection: Connection, message: Message): void {
    if (connection.dead) return
    let copy: Copy
    try {
      copy = this.expected.came(message.id, message.deliveryCount, this.#t.now())
    } catch (error) {
      this.expected.violation ??= error as Error
      return
    }
    const note = (settlement: Settlement) => connection.settled.push({ copy, settlement, handled: true })
    if (connection.kind === 'reject') {
      note(this.expected.deadLettered(copy))
      throw new RejectError('the model says so')
    }
    if (connection.kind === 'fail-first' && copy.count === 0) {
      note(this.expected.retried(copy, this.#t.now() + RETRY_MS))
      throw new Error('the model says so')
    }
    note(this.expected.acknowledged(copy))
  }

  /** `drain`: not before everything that is due has been handled. */
  async stop(i: number, drain: boolean): Promise<void> {
    const connection = this.#at(i)
    if (drain) await this.#drained()
    const { running } = connection.consumer as NonNullable<Connection['consumer']>
    connection.consumer = null
    await running.stop()
    // A clean end: the broker was told of everything.
    connection.settled = connection.settled.map((each) => ({ ...each, handled: false }))
  }

  async #drained(): Promise<void> {
    const waiting = this.expected.due(this.#t.now())
    const open = () => waiting.filter((copy) => this.expected.has(copy))
    await this.#until(
      () => open().length === 0 || this.expected.violation !== null,
      () => `not handled by a consumer: ${this.#labels(open())}`,
    )
  }

  /** Its process ends properly, and another begins. */
  async reconnect(i: number): Promise<void> {
    // Before it goes: a consumer elsewhere may be given them at once.
    for (const { copy } of this.#takeHeld(i)) {
      const { id, count } = copy
      this.expected.add({ id, count, from: 0, certain: true })
    }
    await this.#at(i).queue.disconnect()
    this.#connections[i] = await this.#connection()
  }

  /** Its process dies, and another begins. */
  async crash(i: number): Promise<void> {
    this.#abandon(i)
    this.#at(i).dead = true
    await this.#at(i).link.crash()
    this.#broke(i)
    this.#connections[i] = await this.#connection()
  }

  /** Its connection breaks, and core makes a new one. */
  async cut(i: number): Promise<void> {
    const { link, queue } = this.#at(i)
    const before = queue.getStats().reconnects
    this.#abandon(i)
    link.cut()
    this.#broke(i)
    await this.#until(
      () => queue.getStats().reconnects > before && queue.getStats().isConnected,
      () => 'not connected again after its connection was cut',
    )
  }

  #abandon(i: number): void {
    this.#whole = false
    for (const { copy } of this.#takeHeld(i)) this.expected.abandoned(copy)
  }

  #broke(i: number): void {
    const connection = this.#at(i)
    const { ownership, settle } = this.#t.capabilities
    for (const { copy, settlement, handled } of connection.settled)
      if (handled || settle !== 'confirmed') this.expected.doubted(copy, settlement, handled)
    connection.settled = []
    // What a consumer asked for last may still be given to it, though it is not there any more.
    if (connection.consumer === null && ownership === 'lease') return
    this.expected.unsettled()
    this.#calm = false
  }

  #takeHeld(owner: number): readonly Held[] {
    const all = this.held.splice(0)
    this.held.push(...all.filter((each) => each.owner !== owner))
    return all.filter((each) => each.owner === owner)
  }

  pause(ms: number): Promise<void> {
    return this.#t.quiet(ms)
  }

  check(): void {
    if (this.expected.violation !== null) throw this.expected.violation
  }

  /** Everything that was sent is accounted for, and nothing else is there. */
  async finish(): Promise<void> {
    for (const i of [0, 1]) if (this.consumes(i)) await this.stop(i, false)
    this.check()
    while (this.held.length > 0) await this.settle(0, 'ack')
    while (this.expected.mandatory.length > 0) {
      await this.await(0)
      await this.settle(0, 'ack')
    }
    const dead = new Map<string, number>()
    const looks = async () => {
      while (await this.#takeOne()) continue
      while (await this.#takeDead(dead)) continue
      return this.expected.owed(dead).length === 0 && this.expected.missing(dead).length === 0
    }
    await this.#until(looks, () => {
      const owed = this.expected.owed(dead)
      if (owed.length > 0) return `lost: ${owed.map((id) => this.expected.label(id)).join(', ')}`
      return `missing among the dead letters: ${this.expected
        .missing(dead)
        .map((id) => this.expected.label(id))
        .join(', ')}`
    })
  }

  async #takeOne(): Promise<boolean> {
    const before = this.held.length
    await this.look(0)
    if (this.held.length === before) return false
    await this.settle(0, 'ack')
    return true
  }

  async #takeDead(dead: Map<string, number>): Promise<boolean> {
    const { queue } = this.#at(1)
    const message = await queue.receive(`${this.name}.dlq`)
    if (message === null) return false
    const times = (dead.get(message.id) ?? 0) + 1
    dead.set(message.id, times)
    this.expected.checkDead(message.id, times)
    await queue.acknowledge(message)
    return true
  }

  async #until(condition: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
    const since = this.#t.now()
    while (!(await condition())) {
      if (this.#t.now() - since > this.#patienceMs) assert.fail(what())
      await this.#t.quiet(5)
    }
    this.#pace.happened(this.#t.now() - since)
  }

  #labels(copies: readonly Copy[]): string {
    return copies.map(({ id }) => this.expected.label(id)).join(', ')
  }

  #at(i: number): Connection {
    return this.#connections[i] as Connection
  }

  async #connection(): Promise<Connection> {
    const link = this.#t.faulty()
    // Short enough to wait for where a process died with messages in its hands.
    const queue = await this.#t.connect(
      this.#t.shortLease(Math.max(LEAST_LEASE_MS, this.#t.leaseMs)),
      link.adapter,
    )
    return { link, queue, settled: [], consumer: null, kind: 'ack', registered: false, dead: false }
  }
}
