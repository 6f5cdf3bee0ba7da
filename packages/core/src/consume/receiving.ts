import type { DeclareTarget } from '../adapter/contract.ts'
import { checkMs, checkOptions } from '../check-options.ts'
import type { Engine } from '../engine.ts'
import {
  AlreadySettledError,
  LeaseLostError,
  NotConnectedError,
  QueueNotFoundError,
  RejectError,
  UnsupportedError,
  ValidationError,
  type MessageQueueError,
} from '../errors.ts'
import { admit, deduplicationOf, type Refusal, type Refuser } from './admission.ts'
import { failureOf } from './failure.ts'
import { heldOf, type Held } from './held.ts'
import { rawMessage } from './inbound.ts'
import { MessageIterator } from './message-iterator.ts'
import type { Message } from '../message/message.ts'
import { Puller } from './puller.ts'
import { ACK, type Settlement } from './settlement.ts'
import type { ResolvedQueue } from '../message/typed.ts'
import { keyOf, labelOf, sourceOf } from '../message/target.ts'

export interface ReceiveOptions {
  /** How long to wait for a message, in ms. Without it: one complete look. */
  timeoutMs?: number | undefined
  /** How long the message stays with the caller, in ms. Default: `consumer.sessionTimeoutMs`. */
  leaseMs?: number | undefined
}

export interface IterateOptions {
  /** Most messages read ahead and unsettled. Default: `consumer.prefetchCount` (10). */
  prefetch?: number | undefined
  /** How long each stays with the caller once the loop is over, in ms; until then it is renewed. Default: `consumer.sessionTimeoutMs`. */
  leaseMs?: number | undefined
}

export interface RejectOptions {
  /** Brings it back, in place of dead-lettering it. Default `false`. */
  requeue?: boolean | undefined
  /** ms before it comes back; only with `requeue`. Default 0. */
  delayMs?: number | undefined
  /** Why, for whoever looks at the dead letters. */
  reason?: string | undefined
}

/** Pulling messages by hand, and settling them by hand. */
export class Receiving implements Refuser {
  readonly #engine: Engine
  readonly #pullers = new Map<string, Puller>()
  readonly #iterating = new Set<MessageIterator>()
  /** The connection, reconnections included, that nothing is received by any more. */
  #over: AbortSignal | null = null

  constructor(engine: Engine) {
    this.#engine = engine
  }

  async receive(queue: ResolvedQueue, options: ReceiveOptions): Promise<Message | null> {
    this.#engine.supervisor.adapterFor('receive')
    checkOptions(options, ['timeoutMs', 'leaseMs'], 'receive')
    const { timeoutMs } = options
    const leaseMs = options.leaseMs ?? this.#engine.config.consumer.sessionTimeoutMs
    checkMs(leaseMs, 'leaseMs', 1)
    if (timeoutMs !== undefined) checkMs(timeoutMs, 'timeoutMs', 0)
    const endsAt = timeoutMs === undefined ? null : this.#engine.clock.monotonic() + timeoutMs
    // An outage is waited out, as far as the caller's patience goes.
    await this.#engine.supervisor.ready(
      'receive',
      timeoutMs ?? this.#engine.config.producer.requestTimeoutMs,
      true,
    )
    for (;;) {
      const puller = await this.#puller(queue, leaseMs)
      const left = endsAt === null ? undefined : Math.max(0, endsAt - this.#engine.clock.monotonic())
      const held = await puller.receive(left)
      if (held === null) return null
      const message = this.#admit(held, queue)
      if (message === null) continue
      const isNew = this.#isNew(held, message)
      // It may expire while a store is asked.
      if (isNew === true || ((await isNew) && this.#admit(held, queue) !== null)) {
        this.#engine.stats.messagesReceived++
        return message
      }
    }
  }

  /** Throws once `end` was called, until there is another connection. */
  #refuseIfOver(operation: string): void {
    if (this.#engine.supervisor.lifetime === this.#over) throw new NotConnectedError(operation)
  }

  async #puller(queue: ResolvedQueue, leaseMs: number): Promise<Puller> {
    const settings = await this.#engine.topology.ensure(queue.target, queue.config)
    // Before it is made: nobody would close it.
    this.#refuseIfOver('receive')
    const key = `${queue.label} ${leaseMs}`
    let puller = this.#pullers.get(key)
    if (puller === undefined) {
      const lost = (held: Held) => this.#lost(held)
      const idle = () => void (this.#pullers.get(key) === made && this.#pullers.delete(key))
      const made = new Puller(this.#engine, queue.target, settings, leaseMs, lost, idle)
      this.#pullers.set(key, made)
      puller = made
    }
    return puller
  }

  /** The message, or `null` for one that nobody should see: the caller's wait goes on. */
  #admit(held: Held, { target, label, validate }: ResolvedQueue): Message | null {
    const { topology } = this.#engine
    const asked = {
      queueName: sourceOf(target).queueName,
      ofDeadLetters: topology.holdsDeadLetters(target),
      maxRedeliveries: topology.settingsOf(label)?.maxRedeliveries ?? Infinity,
      validate,
    }
    return admit(this.#engine, asked, this, held)
  }

  /** `false`: handled before, or by another copy under way; the caller's wait goes on. */
  #isNew(held: Held, message: Message): boolean | Promise<boolean> {
    const windowMs = this.#engine.topology.settingsOf(keyOf(held.intake.source.target))?.deduplicationWindowMs
    return deduplicationOf(this.#engine, windowMs, message)?.admit(held, message, windowMs ?? 0) ?? true
  }

  messages<Body>(
    queue: ResolvedQueue,
    options: IterateOptions,
  ): AsyncGenerator<Message<Body>, void, undefined> {
    const leaving = new AbortController()
    const loop = this.#iterate(queue, options, leaving.signal)
    const leave = loop.return.bind(loop)
    // A generator hears of it only after the `next` that waits for a message, which may never come.
    loop.return = (value) => {
      leaving.abort()
      return leave(value)
    }
    return loop as AsyncGenerator<Message<Body>, void, undefined>
  }

  async *#iterate(
    queue: ResolvedQueue,
    options: IterateOptions,
    leaving: AbortSignal,
  ): AsyncGenerator<Message, void, undefined> {
    this.#engine.supervisor.adapterFor('messages')
    checkOptions(options, ['prefetch', 'leaseMs'], 'messages')
    const { consumer } = this.#engine.config
    const prefetch = options.prefetch ?? consumer.prefetchCount
    const leaseMs = options.leaseMs ?? consumer.sessionTimeoutMs
    checkMs(leaseMs, 'leaseMs', 1)
    checkMs(prefetch, 'prefetch', 1)
    const settings = await this.#engine.topology.ensure(queue.target, queue.config)
    this.#refuseIfOver('messages')
    const source = {
      target: queue.target,
      mode: 'pull',
      prefetch,
      leaseMs,
      ordered: settings.ordered,
      after: undefined,
    } as const
    const iterator = new MessageIterator(this.#engine, source, {
      lost: (held) => this.#lost(held),
      closed: () => this.#iterating.delete(iterator),
    })
    this.#iterating.add(iterator)
    leaving.addEventListener('abort', () => iterator.end(), { once: true })
    if (leaving.aborted) iterator.end()
    for await (const held of iterator) {
      const message = this.#admit(held, queue)
      if (message === null) continue
      const isNew = this.#isNew(held, message)
      if (isNew !== true && !((await isNew) && this.#admit(held, queue) !== null)) continue
      this.#engine.stats.messagesReceived++
      yield message
    }
  }

  #lost(held: Held): void {
    if (held.message !== null) this.#engine.emit('leaseLost', held.message)
  }

  // Settling by hand

  async acknowledge(message: Message): Promise<void> {
    const held = this.#open(message, 'acknowledge')
    // A rejection that failed, perhaps.
    held.rejection = null
    // Idle: the caller waits for it. Those of one tick still go together.
    await new Promise<void>((resolve, reject) =>
      held.intake.ack(held, true, (result) => settleWith(result, resolve, reject)),
    )
  }

  async reject(message: Message, options: RejectOptions): Promise<void> {
    checkOptions(options, ['requeue', 'delayMs', 'reason'], 'reject')
    const { requeue = false, delayMs = 0, reason } = options
    checkMs(delayMs, 'delayMs', 0)
    if (!requeue && delayMs > 0) throw new ValidationError('reject takes delayMs only with requeue: true')
    const held = this.#open(message, 'reject')
    const { broker, capabilities } = this.#engine.adapter
    if (delayMs > capabilities.maxDelayMs) {
      throw new UnsupportedError(`${broker} delays at most ${capabilities.maxDelayMs} ms, not ${delayMs}`)
    }
    const rejection = new RejectError(reason)
    held.rejection = requeue ? 'requeued' : rejection
    if (!requeue) return this.#deadLetter(held, 'rejected', rejection, true)
    this.#engine.stats.messagesRetried++
    if (held.intake.retryHere(held, delayMs)) return
    await this.#settle(held, { kind: 'retry', delayMs })
  }

  async extend(message: Message, ms: number): Promise<void> {
    checkMs(ms, 'ms', 1)
    const held = this.#open(message, 'extend')
    await held.intake.extend(held, ms)
  }

  #open(message: Message, operation: string): Held {
    this.#engine.supervisor.adapterFor(operation)
    const held = heldOf(message)
    if (held === null)
      throw new ValidationError(
        `${operation} takes a message that was received; ${String(message?.id)} was not`,
      )
    if (!held.intake.belongsTo(this.#engine)) {
      throw new ValidationError(`Message ${message.id} was received by another MessageQueue: settle it there`)
    }
    if (held.gone) throw new LeaseLostError(message.id)
    if (held.state !== 'open') throw new AlreadySettledError(message.id)
    return held
  }

  /** Nobody waits for it: what cannot be dead-lettered now comes again, and is refused again. */
  refuse(held: Held, reason: Refusal, error: unknown): void {
    const refused = this.#deadLetter(held, reason, error, false).catch((failure: unknown) =>
      this.#engine.logger.debug(
        { id: held.delivery.id, reason, error: failure },
        'a refused message could not be dead-lettered',
      ),
    )
    held.intake.waitFor(refused)
  }

  async #deadLetter(held: Held, reason: Refusal | 'rejected', error: unknown, ran: boolean): Promise<void> {
    const { topology, config, clock, stats, logger } = this.#engine
    const { target } = held.intake.source
    const deadLetterQueue = config.enableDeadLetterQueue ? topology.deadLetterQueueOf(target) : null
    if (deadLetterQueue === null) {
      logger.warn({ id: held.delivery.id, reason }, 'a message is dropped: dead-lettering is off')
      return this.#settle(held, ACK)
    }
    // Nobody else may settle it while the dead-letter queue is looked up.
    held.state = 'settling'
    await topology.ensure({ queue: deadLetterQueue }).catch(() => undefined)
    const source = sourceOf(target)
    const info = failureOf(held, reason, error, source, ran, clock.now())
    await this.#settle(held, { kind: 'deadLetter', info, target: { queue: deadLetterQueue } })
    stats.messagesDeadLettered++
    this.#engine.emit('deadLetter', held.message ?? rawMessage(held, source.queueName), info)
  }

  #settle(held: Held, settlement: Settlement): Promise<void> {
    return new Promise<void>((resolve, reject) =>
      held.intake.settle(held, settlement, (result) => settleWith(result, resolve, reject)),
    )
  }

  /** Deleted: the next `receive` opens anew. */
  forget(target: DeclareTarget): void {
    const prefix = 'topic' in target && !('subscription' in target) ? `${target.topic}/` : `${keyOf(target)} `
    for (const [key, puller] of this.#pullers) {
      if (!key.startsWith(prefix)) continue
      this.#pullers.delete(key)
      void puller.close(new QueueNotFoundError(`${labelOf(target)} was deleted`))
    }
  }

  connectionLost(cause: unknown): void {
    for (const puller of this.#pullers.values()) puller.connectionLost(cause)
    for (const iterator of this.#iterating) iterator.connectionLost(cause)
  }

  /** Nothing more is handed out, until there is another connection; what was stays with its owner. */
  end(): void {
    this.#over = this.#engine.supervisor.lifetime
    for (const puller of this.#pullers.values()) puller.end()
    for (const iterator of this.#iterating) iterator.end()
  }

  /** Gives back everything received and unsettled. `ms`: what is left of the time to stop. */
  async close(ms = 0): Promise<void> {
    this.end()
    const pullers = [...this.#pullers.values()]
    this.#pullers.clear()
    await Promise.all([
      ...pullers.map((puller) => puller.close(undefined, ms)),
      ...[...this.#iterating].map((iterator) => iterator.close(ms)),
    ])
  }
}

function settleWith(
  result: MessageQueueError | null,
  resolve: () => void,
  reject: (error: Error) => void,
): void {
  if (result === null) resolve()
  else reject(result)
}
