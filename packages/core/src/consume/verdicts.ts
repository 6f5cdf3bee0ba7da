import type { DeadLetterReason } from '../adapter/contract.ts'
import type { Engine } from '../engine.ts'
import { toError } from '../errors.ts'
import { failureOf } from './failure.ts'
import type { Held, Settled } from './held.ts'
import { rawMessage } from './inbound.ts'
import type { Message } from '../message/message.ts'
import { waitsInPlace, type ConsumerPlan } from './plan.ts'
import { decide, type Decision, isRejection } from './retry.ts'
import { isThenable } from './timed-run.ts'

/** What a consumer, or `processMessage`, does with a decision that only it can carry out. */
export interface VerdictHost {
  /** The delivery left this consumer: settled, lost, or given up. */
  readonly settled: Settled
  /** Whether nothing else is under way: an acknowledgement then need not wait for company. */
  idle(): boolean
  /** Whether this run was the circuit breaker's probe: when it fails, its message is given back at no attempt. */
  isProbe(held: Held): boolean
  /** An ordered queue whose broker cannot keep order over a retry: run it again here after `delayMs`, as failed so many times more. */
  waitInPlace(held: Held, delayMs: number, failures: 0 | 1): void
  /** Answers a request. Rejects when the answer could not be stored. */
  answer(message: Message, outcome: { value: unknown } | { error: Error }): Promise<void>
}

/** Turns the outcome of a run into a settlement: the one place where it is decided what becomes of a message. */
export class Verdicts {
  readonly #engine: Engine
  readonly #plan: ConsumerPlan
  readonly #host: VerdictHost
  /** The last of those that wait for their dead-letter queue to be declared. */
  #last: Promise<void> | null = null

  constructor(engine: Engine, plan: ConsumerPlan, host: VerdictHost) {
    this.#engine = engine
    this.#plan = plan
    this.#host = host
  }

  /** The handler resolved. */
  succeeded(held: Held, message: Message, value: unknown): void {
    this.#engine.stats.messagesProcessed++
    const outcome = message.replyTo === undefined ? null : outcomeOf(held, value)
    if (outcome !== null) {
      held.intake.waitFor(
        this.#host.answer(message, outcome).then(
          () => this.#acknowledge(held),
          (error: unknown) => this.failed(held, message, error),
        ),
      )
    } else this.#acknowledge(held)
  }

  #acknowledge(held: Held): void {
    if (this.#plan.mode === 'auto') this.#ack(held)
    else this.#leave(held)
  }

  #ack(held: Held): void {
    if (held.state !== 'open') return this.#leave(held)
    held.intake.ack(held, this.#host.idle(), this.#host.settled)
  }

  /** Settled already by the handler itself (or lost): nothing more to tell the broker. Unsettled ones of `manual` stay held. */
  #leave(held: Held): void {
    if (held.state === 'open') held.byHand = true
    else this.#host.settled(null, held)
  }

  /** The handler threw, timed out, or could not be answered for. */
  failed(held: Held, message: Message, thrown: unknown): void {
    // A rejection is about the message: it says nothing about what the breaker waits for.
    if (held.state === 'open' && this.#host.isProbe(held) && !isRejection(thrown)) {
      // Given back, it would come behind what is read ahead of its key; and a broker that counts that too would take it for poison in the end.
      return this.#host.waitInPlace(held, 0, 0)
    }
    const error = this.tell(message, thrown)
    if (held.state !== 'open') {
      // One that is gone comes again; one that was settled by hand, or before the run, has no other attempt to be answered by.
      if (!held.gone) this.#answerFailure(message, error)
      return this.#leave(held)
    }
    const decision = this.#decide(thrown, held, message)
    if (decision.action === 'retry') return this.#retry(held, decision.delayMs)
    this.#deadLetter(held, message, decision.reason, thrown, true, error)
  }

  /** A failed run is counted and logged, and its handler hears of it, whatever becomes of the message. */
  tell(message: Message, thrown: unknown): Error {
    const { logger, stats } = this.#engine
    const error = toError(thrown)
    stats.messagesFailed++
    this.#tellHandler(message, error)
    logger.debug(
      { id: message.id, queue: this.#plan.label, attempt: message.deliveryCount + 1, error },
      'a handler failed',
    )
    return error
  }

  #answerFailure(message: Message, error: Error): void {
    if (message.replyTo === undefined) return
    this.#host.answer(message, { error }).catch((failure: unknown) => {
      this.#engine.logger.warn({ id: message.id, error: failure }, 'a failed request could not be answered')
    })
  }

  #decide(thrown: unknown, held: Held, message: Message): Decision {
    const { retry, retriesRequests, ofDeadLetters, deadLetter } = this.#plan
    const maxRetries = message.replyTo !== undefined && !retriesRequests ? 0 : retry.maxRetries
    const decision = decide(thrown, held.deliveryCount, { ...retry, maxRetries })
    const exhausted = decision.action === 'dead-letter' && decision.reason === 'max-retries'
    // Unless its handler names a further queue.
    const kept = ofDeadLetters && deadLetter === null && exhausted
    return kept ? { action: 'retry', delayMs: retry.maxDelayMs } : decision
  }

  #retry(held: Held, askedMs: number): void {
    const { stats, adapter, logger } = this.#engine
    const { maxDelayMs } = adapter.capabilities
    const delayMs = Math.min(askedMs, maxDelayMs)
    if (delayMs < askedMs) {
      logger.warn(
        { id: held.delivery.id, queue: this.#plan.label, askedMs, maxDelayMs },
        'a retry comes earlier than asked for: the broker delays no longer',
      )
    }
    stats.messagesRetried++
    if (waitsInPlace(this.#engine, this.#plan)) {
      held.firstFailedAt ??= this.#engine.clock.now()
      this.#host.waitInPlace(held, delayMs, 1)
    } else held.intake.settle(held, { kind: 'retry', delayMs }, this.#host.settled)
  }

  /** Not for a handler: expired, undecodable, invalid, or poison. */
  refuse(held: Held, reason: DeadLetterReason, thrown: unknown): void {
    this.#engine.logger.debug(
      { id: held.delivery.id, queue: this.#plan.label, reason },
      'a message is refused',
    )
    const message = held.message ?? rawMessage(held, this.#plan.queueName)
    // Nobody waits any more for the answer to a request that expired.
    this.#deadLetter(held, message, reason, thrown, false, reason === 'expired' ? null : toError(thrown))
  }

  /** `answer`: for a requester, once it is final. Not before: an answer that the broker closes the connection for must not bring the message back for ever. */
  #deadLetter(
    held: Held,
    message: Message,
    reason: DeadLetterReason,
    thrown: unknown,
    ran: boolean,
    answer: Error | null,
  ): void {
    const { clock, stats, logger, topology } = this.#engine
    const { deadLetter } = this.#plan
    if (deadLetter === null) {
      // Dead-lettering is off (or this is a dead-letter queue): the message is dropped, and said to be.
      logger.warn(
        { id: message.id, queue: this.#plan.label, reason },
        'a failed message is dropped: dead-lettering is off',
      )
      // A send of the same id may do better.
      held.claim?.release()
      held.claim = null
      this.#ack(held)
      if (answer !== null) this.#answerFailure(message, answer)
      return
    }
    const info = failureOf(held, reason, thrown, this.#plan, ran, clock.now())
    const settle = () =>
      held.intake.settle(held, { kind: 'deadLetter', info, target: deadLetter }, (result) => {
        if (result === null) {
          stats.messagesDeadLettered++
          this.#engine.emit('deadLetter', message, info)
          if (answer !== null) this.#answerFailure(message, answer)
        }
        this.#host.settled(result, held)
      })
    if (this.#last === null && topology.settingsOf(deadLetter.queue) !== undefined) return settle()
    // Nobody else may settle it while the dead-letter queue is looked up.
    held.state = 'settling'
    // One after another: what fails first comes first among the dead letters.
    const before = this.#last ?? topology.ensure(deadLetter).catch(() => undefined)
    const last = before.then(settle).finally(() => {
      if (this.#last === last) this.#last = null
    })
    this.#last = last
    held.intake.waitFor(last)
  }

  #tellHandler(message: Message, error: Error): void {
    const { onError } = this.#plan.handler
    if (onError === null) return
    const report = (failure: unknown) =>
      this.#engine.logger.error(
        { id: message.id, queue: this.#plan.label, error: failure },
        'handleError failed',
      )
    try {
      const result = onError(message, error)
      if (isThenable(result)) result.then(undefined, report)
    } catch (failure) {
      report(failure)
    }
  }
}

/** What a requester is told of a run that ended well. `null`: nothing yet, for the message comes again. */
function outcomeOf({ rejection }: Held, value: unknown): { value: unknown } | { error: Error } | null {
  if (rejection === null || value !== undefined) return { value }
  return rejection === 'requeued' ? null : { error: rejection }
}
