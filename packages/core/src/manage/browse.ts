import type { Delivery, Receiver, Target } from '../adapter/contract.ts'
import { CLOSE_MS, closeQuietly } from '../consume/close-quietly.ts'
import { withDeadline } from '../deadline.ts'
import type { Engine } from '../engine.ts'
import { Held } from '../consume/held.ts'
import { inboundMessage, rawMessage } from '../consume/inbound.ts'
import type { Intake } from '../consume/intake.ts'
import type { Message } from '../message/message.ts'
import { wrapError } from '../wrap-error.ts'

/** Deliveries per look: what `browseHides` hides at once, and what one answer of the broker holds. */
const PAGE = 100

export interface Browsed {
  readonly delivery: Delivery
  /** With the bytes as body where they cannot be decoded. */
  readonly message: Message
}

/** Looks at waiting messages, page by page, taking nothing. `receiver.ack` removes what was looked at. */
export class Browse {
  readonly #engine: Engine
  readonly #receiver: Receiver
  readonly #queueName: string

  private constructor(engine: Engine, receiver: Receiver, queueName: string) {
    this.#engine = engine
    this.#receiver = receiver
    this.#queueName = queueName
  }

  static async open(
    engine: Engine,
    target: Target,
    queueName: string,
    after: string | undefined,
  ): Promise<Browse> {
    const { adapter, config, clock } = engine
    const source = {
      target,
      mode: 'browse',
      prefetch: PAGE,
      leaseMs: config.consumer.sessionTimeoutMs,
      ordered: false,
      after,
    } as const
    try {
      const receiver = await withDeadline(
        clock,
        config.producer.requestTimeoutMs,
        'opening a browse',
        () => adapter.open(source, () => undefined),
        (late) => void closeQuietly(late),
      )
      return new Browse(engine, receiver, queueName)
    } catch (error) {
      throw wrapError(adapter, error, `Cannot look into ${queueName}`)
    }
  }

  /** The next page; empty at the end. */
  async next(): Promise<Browsed[]> {
    const { adapter, clock, config } = this.#engine
    try {
      const deliveries = await withDeadline(clock, config.producer.requestTimeoutMs, 'browsing', (signal) =>
        this.#receiver.receive(PAGE, signal),
      )
      return deliveries.map((delivery) => ({ delivery, message: this.#message(delivery) }))
    } catch (error) {
      throw wrapError(adapter, error, `Cannot look into ${this.#queueName}`)
    }
  }

  #message(delivery: Delivery): Message {
    // Nobody can settle what is only looked at: it has no intake.
    const held = new Held(delivery, null as unknown as Intake)
    held.state = 'lost'
    try {
      return inboundMessage(held, this.#engine.codec, this.#queueName)
    } catch {
      return rawMessage(held, this.#queueName)
    }
  }

  /** Removes these; answers how many still were there. */
  async remove(deliveries: readonly Delivery[]): Promise<number> {
    const { adapter, clock, config } = this.#engine
    if (deliveries.length === 0) return 0
    try {
      const outcomes = await withDeadline(clock, config.producer.requestTimeoutMs, 'removing', () =>
        this.#receiver.ack(deliveries),
      )
      for (const outcome of outcomes) if (typeof outcome === 'object') throw outcome.error
      return outcomes.filter((outcome) => outcome === 'settled').length
    } catch (error) {
      throw wrapError(adapter, error, `Cannot remove from ${this.#queueName}`)
    }
  }

  async close(): Promise<void> {
    await withDeadline(this.#engine.clock, CLOSE_MS, 'closing a browse', (signal) =>
      this.#receiver.close(signal),
    ).catch(() => undefined)
  }
}
