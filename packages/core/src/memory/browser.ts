import {
  AdapterError,
  ErrorCode,
  type Delivery,
  type Receiver,
  type SettleOutcome,
  type Source,
} from '../adapter/index.ts'
import type { Connection } from './connection.ts'
import { MemoryDelivery } from './delivery.ts'
import { isWaiting, type Entry } from './entry.ts'
import { deleted } from './receiver.ts'
import type { QueueStore } from './queue.ts'

/** Looks at what waits, once each. Leases nothing; `ack` removes what still waits. */
export function openBrowse(connection: Connection, store: QueueStore, source: Source): Receiver {
  let after = placeOf(source.after)
  /** Where pages cannot be had one by one: what waited when the browse began, and how much of it was shown. */
  let all: Entry[] | null = null
  let shown = 0
  let closed = false

  const page = (max: number): Entry[] => {
    if (all === null) {
      const found = store.browse(after, max)
      if (!found.all) return found.entries
      all = found.entries
    }
    const entries: Entry[] = []
    while (entries.length < max && shown < all.length) {
      const entry = all[shown++] as Entry
      if (isWaiting(entry)) entries.push(entry)
    }
    return entries
  }

  const refused = (deliveries: readonly Delivery[]): Promise<SettleOutcome[]> =>
    Promise.resolve(deliveries.map(() => 'lost'))
  const receiver: Receiver = {
    receive(max, signal) {
      if (store.deleted) return Promise.reject(deleted(store))
      if (closed || signal.aborted) return Promise.resolve([])
      const entries = page(max)
      after = entries.at(-1)?.seq ?? after
      return Promise.resolve(entries.map((entry) => new MemoryDelivery(entry, String(entry.seq))))
    },
    ack(deliveries) {
      const outcomes = deliveries.map((each): SettleOutcome =>
        store.remove((each as MemoryDelivery).entry) ? 'settled' : 'lost',
      )
      return Promise.resolve(outcomes)
    },
    release: refused,
    retry: refused,
    deadLetter: refused,
    renew: refused,
    close() {
      closed = true
      all = null
      connection.receivers.delete(receiver)
      return Promise.resolve()
    },
  }
  connection.receivers.add(receiver)
  return receiver
}

/** The place in the queue that a cursor stands for. Throws for one that is no cursor of ours. */
function placeOf(cursor: string | undefined): number {
  if (cursor === undefined) return 0
  if (/^\d+$/.test(cursor)) return Number(cursor)
  throw new AdapterError(ErrorCode.VALIDATION, `${JSON.stringify(cursor)} is no cursor that list answered`)
}
