import { randomUUID } from 'node:crypto'
import { systemClock, type Clock } from '@mq/core'
import {
  AdapterError,
  adapterErrorOf,
  ErrorCode,
  type BrokerAdapter,
  type ConnectionEvents,
  type Delivery,
  type PublishOutcome,
  type Receiver,
  type SettleOutcome,
  type Source,
} from '@mq/core/adapter'
import { checkPlan, drawFault, FaultKind, type FaultPlan } from './fault-plan.ts'

/** One fault that was injected. */
export interface Injected {
  readonly kind: FaultKind
  /** Which occasion of its kind, from 1 on. */
  readonly occasion: number
}

/** The wrapped adapter, for `new MessageQueue(…)`. Looking at messages, administration and answers to requests go through unharmed. */
export interface Faulty extends BrokerAdapter {
  /** The faults so far, in order: the same for one plan, seed and sequence of calls. */
  readonly injected: readonly Injected[]
}

const DEFAULT_STALL_MS = 1000

/**
 * Wraps any adapter so that what brokers and networks do now and then happens as `plan` says. The same seed gives the same faults.
 * `clock`: that of the queue, for stalls. Throws a TypeError for a plan that makes no sense.
 */
export function withFaults(
  inner: BrokerAdapter,
  plan: FaultPlan,
  seed: number,
  clock: Clock = systemClock,
): Faulty {
  checkPlan(plan, seed)
  const injected: Injected[] = []
  const occasions = new Map<FaultKind, number>()
  /** Who is to be told when the connection that is up breaks; `null` while none is. */
  let connection: ConnectionEvents | null = null
  let closing: Promise<unknown> = Promise.resolve()

  function happens(kind: FaultKind): boolean {
    const rule = plan[kind]
    if (rule === undefined) return false
    const occasion = (occasions.get(kind) ?? 0) + 1
    occasions.set(kind, occasion)
    if (injected.length >= (plan.limit ?? Infinity) || !drawFault(rule, seed, kind, occasion)) return false
    injected.push({ kind, occasion })
    return true
  }

  /** Waits when it is time to, at the longest until the signal aborts. */
  async function stall(signal?: AbortSignal): Promise<void> {
    if (!happens(FaultKind.STALL)) return
    await new Promise<void>((resolve) => {
      const done = () => {
        clock.clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = clock.setTimeout(done, plan.stallMs ?? DEFAULT_STALL_MS)
      signal?.addEventListener('abort', done)
    })
  }

  /** The connection breaks: the broker takes back what it had leased, and core is told. */
  function cut(): AdapterError {
    const error = broken('the connection was cut by a fault plan')
    const events = connection
    connection = null
    if (events !== null) {
      closing = inner.disconnect(AbortSignal.abort()).catch(() => undefined)
      events.lost(error)
    }
    return error
  }

  const publish: BrokerAdapter['publish'] = async (batch, signal) => {
    await stall(signal)
    if (connection !== null && happens(FaultKind.CUT)) cut()
    // Known before anything is written; what breaks later is for the adapter to say.
    if (connection === null) {
      const error = broken('the connection is down')
      return batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
    }
    const outcomes = await inner.publish(batch, signal)
    const again = batch.filter((_, i) => outcomes[i]?.ok && happens(FaultKind.DELIVER_TWICE))
    // A token of its own, or the broker would take it for a repetition. That it was stored once is the answer, whatever comes of this.
    if (again.length > 0)
      await inner
        .publish(
          again.map((each) => ({ ...each, sendToken: randomUUID() })),
          signal,
        )
        .catch(() => undefined)
    return outcomes.map((outcome): PublishOutcome => {
      if (!outcome.ok || !happens(FaultKind.LOSE_CONFIRMATION)) return outcome
      const error = broken('the confirmation was lost by a fault plan')
      return { ok: false, error, certainty: 'unknown' }
    })
  }

  function wrap(receiver: Receiver, mode: Source['mode']): Receiver {
    if (mode === 'browse') return receiver
    // Each by name: a spread would leave out what belongs to a class.
    return {
      async receive(max, signal, waitMs) {
        const deliveries = await receiver.receive(max, signal, waitMs)
        const lost = deliveries.filter(() => happens(FaultKind.CRASH_BEFORE_HANDLER))
        if (lost.length === 0) return deliveries
        await receiver.release(lost)
        return deliveries.filter((each) => !lost.includes(each))
      },
      async ack(deliveries) {
        await stall()
        if (connection !== null && happens(FaultKind.CRASH_AFTER_HANDLER)) {
          // Where a lease outlives the connection, the acknowledgement would be made up for after the reconnection.
          await receiver.release(deliveries)
          const error = cut()
          return deliveries.map(() => ({ error }))
        }
        const lost = new Set(deliveries.filter(() => happens(FaultKind.LOSE_ACKNOWLEDGEMENT)))
        return lost.size === 0 ? receiver.ack(deliveries) : partly(receiver, deliveries, lost)
      },
      async retry(deliveries, delayMs) {
        await stall()
        return receiver.retry(deliveries, delayMs)
      },
      async deadLetter(deliveries, failures, target) {
        await stall()
        return receiver.deadLetter(deliveries, failures, target)
      },
      release: (deliveries) => receiver.release(deliveries),
      renew: (deliveries) => receiver.renew(deliveries),
      close: (signal) => receiver.close(signal),
    }
  }

  return {
    broker: inner.broker,
    ...(inner.pace === undefined ? {} : { pace: inner.pace }),
    injected,
    get capabilities() {
      return inner.capabilities
    },
    get details() {
      return inner.details ?? {}
    },
    async connect(on, signal) {
      await closing
      let over = false
      const mine: ConnectionEvents = {
        lost(cause) {
          if (over) return
          over = true
          if (connection === mine) connection = null
          on.lost(cause)
        },
        blocked(reason) {
          if (!over) on.blocked(reason)
        },
      }
      await inner.connect(mine, signal)
      if (!over) connection = mine
    },
    async disconnect(signal) {
      connection = null
      await inner.disconnect(signal)
    },
    ping: (signal) => inner.ping(signal),
    publish,
    open: async (source, lost) => wrap(await inner.open(source, lost), source.mode),
    openReplies: () => inner.openReplies(),
    declare: (target, declaration) => inner.declare(target, declaration),
    remove: (target) => inner.remove(target),
    purge: (target) => inner.purge(target),
    size: (target) => inner.size(target),
    classify: (error) => adapterErrorOf(error) ?? inner.classify(error),
  }
}

function broken(text: string): AdapterError {
  return new AdapterError(ErrorCode.CONNECTION, text, { retryable: true })
}

/** Acknowledges all but `lost`, which go back while their consumer believes that they are done. */
async function partly(
  receiver: Receiver,
  deliveries: readonly Delivery[],
  lost: ReadonlySet<Delivery>,
): Promise<readonly SettleOutcome[]> {
  const kept = deliveries.filter((each) => !lost.has(each))
  const outcomes = kept.length > 0 ? await receiver.ack(kept) : []
  await receiver.release([...lost])
  const of = new Map(kept.map((each, i) => [each, outcomes[i]]))
  return deliveries.map((each) => of.get(each) ?? 'settled')
}
