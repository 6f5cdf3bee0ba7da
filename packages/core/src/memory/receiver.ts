import {
  AdapterError,
  ErrorCode,
  onAbort,
  type DeadLetterInfo,
  type Delivery,
  type Receiver,
  type SettleOutcome,
  type Source,
  type Target,
} from '../adapter/index.ts'
import { Alarm } from './alarm.ts'
import type { MemoryBroker } from './broker.ts'
import type { Connection } from './connection.ts'
import type { MemoryDelivery } from './delivery.ts'
import { isHeld, Leases, type LeaseBatch } from './leases.ts'
import type { QueueStore } from './queue.ts'

const WAIT_MS = 1000
const NOTHING: readonly MemoryDelivery[] = []

/** Takes messages of one queue under leases, and settles them. */
export function openReceiver(
  broker: MemoryBroker,
  connection: Connection,
  store: QueueStore,
  source: Source,
  lost: (deliveries: readonly Delivery[], cause: unknown) => void,
): Receiver {
  const { clock } = broker
  const leases = new Leases(source.leaseMs)
  let closed = false
  let stopWaiting: (() => void) | null = null

  const check = () => {
    if (closed) throw new AdapterError(ErrorCode.CONNECTION, 'the receiver is closed', { retryable: true })
    if (store.deleted) throw deleted(store)
  }

  /** Leases that end go back to the queue, counted as redeliveries; whoever had them is told. */
  const alarm = new Alarm(clock, () => {
    const expired = leases.takeExpired(clock.monotonic())
    for (const delivery of expired) store.giveBack(delivery, true)
    if (expired.length > 0) {
      lost(expired, new AdapterError(ErrorCode.LEASE_LOST, `the lease of ${source.leaseMs} ms ran out`))
      store.wake()
    }
    alarm.set(leases.nextDeadline)
  })

  const take = (max: number): MemoryDelivery[] => {
    const batch: LeaseBatch = { deadline: 0, deliveries: NOTHING, left: 0 }
    const deliveries = store.take(max, batch)
    if (deliveries.length > 0) {
      leases.begin(batch, clock.monotonic())
      alarm.set(leases.nextDeadline)
    }
    return deliveries
  }

  const settle = (
    deliveries: readonly Delivery[],
    apply: (delivery: MemoryDelivery, i: number) => boolean,
  ): Promise<SettleOutcome[]> => {
    const outcomes = new Array<SettleOutcome>(deliveries.length)
    for (let i = 0; i < deliveries.length; i++) {
      outcomes[i] = apply(deliveries[i] as MemoryDelivery, i) ? 'settled' : 'lost'
    }
    store.wake()
    return Promise.resolve(outcomes)
  }

  /** The queue was deleted, with what was leased from it. */
  const gone = () => {
    alarm.cancel()
    const deliveries = leases.takeAll()
    if (deliveries.length > 0) lost(deliveries, deleted(store))
  }

  const receiver: Receiver = {
    receive(max, signal, waitMs = WAIT_MS) {
      try {
        check()
        store.usedAt = clock.monotonic()
        // A look that was cancelled before it began takes nothing.
        if (signal.aborted) return Promise.resolve([])
        const now = take(max)
        if (now.length > 0 || waitMs <= 0) return Promise.resolve(now)
      } catch (error) {
        return Promise.reject(error)
      }
      return new Promise((resolve, reject) => {
        const end = () => {
          stopWaiting = null
          clock.clearTimeout(giveUp)
          store.removeWaiter(waiter)
          heard()
        }
        const nothing = () => {
          end()
          resolve([])
        }
        const waiter = () => {
          try {
            check()
            const deliveries = take(max)
            if (deliveries.length === 0) return true
            end()
            resolve(deliveries)
          } catch (error) {
            end()
            reject(error)
          }
          return false
        }
        const giveUp = clock.setTimeout(nothing, waitMs)
        stopWaiting = nothing
        store.addWaiter(waiter)
        const heard = onAbort(signal, nothing)
      })
    },

    ack: (deliveries) => settle(deliveries, (delivery) => store.ack(delivery)),
    release: (deliveries) => settle(deliveries, (delivery) => store.giveBack(delivery, false)),
    retry: (deliveries, delayMs) => settle(deliveries, (delivery) => store.retry(delivery, delayMs)),

    deadLetter(deliveries: readonly Delivery[], failures: readonly DeadLetterInfo[], target: Target) {
      let dead: QueueStore
      try {
        dead = broker.deadLetterQueue(target)
      } catch (error) {
        return Promise.resolve(deliveries.map(() => ({ error })))
      }
      const outcomes = deliveries.map((each, i): SettleOutcome => {
        const delivery = each as MemoryDelivery
        if (store.deleted || !isHeld(delivery)) return 'lost'
        // Stored first, then settled; nothing can come between the two.
        const verdict = dead.storeDeadLetter(delivery.entry, failures[i] as DeadLetterInfo)
        if (verdict === 'full') return { error: full(dead) }
        return store.ack(delivery) ? 'settled' : 'lost'
      })
      dead.wake()
      store.wake()
      return Promise.resolve(outcomes)
    },

    renew(deliveries) {
      const now = clock.monotonic()
      const outcomes = deliveries.map((each): SettleOutcome => {
        const delivery = each as MemoryDelivery
        if (store.deleted || !isHeld(delivery)) return 'lost'
        leases.renew(delivery, now)
        return 'settled'
      })
      return Promise.resolve(outcomes)
    },

    close() {
      if (closed) return Promise.resolve()
      closed = true
      stopWaiting?.()
      alarm.cancel()
      for (const delivery of leases.takeAll()) store.giveBack(delivery, true)
      connection.receivers.delete(receiver)
      store.receivers.delete(gone)
      store.usedAt = clock.monotonic()
      if (source.mode === 'consume' && --store.consumers === 0 && store.settings.autoDelete)
        broker.removeStore(source.target, store)
      store.wake()
      return Promise.resolve()
    },
  }
  store.receivers.add(gone)
  if (source.mode === 'consume') store.consumers++
  connection.receivers.add(receiver)
  return receiver
}

function full(store: QueueStore): AdapterError {
  return new AdapterError(ErrorCode.QUEUE_FULL, `${store.name} is full`, { retryable: true })
}

export function deleted({ name }: QueueStore): AdapterError {
  return new AdapterError(ErrorCode.QUEUE_NOT_FOUND, `${name} was deleted`)
}
