import type { MemoryDelivery } from './delivery.ts'
import { Heap } from './heap.ts'

/** What one call of `receive` handed out: it shares a deadline, so that a lease costs nothing per message. */
export interface LeaseBatch {
  deadline: number
  deliveries: readonly MemoryDelivery[]
  /** Not yet settled. */
  left: number
}

/** The leases of one receiver. */
export class Leases {
  readonly leaseMs: number
  readonly #batches = new Heap<LeaseBatch>(
    (a, b) => a.deadline < b.deadline,
    ({ left }) => left === 0,
  )

  constructor(leaseMs: number) {
    this.leaseMs = leaseMs
  }

  begin(batch: LeaseBatch, now: number): void {
    batch.deadline = now + this.leaseMs
    this.#dropSettled()
    this.#batches.push(batch)
  }

  renew({ entry }: MemoryDelivery, now: number): void {
    entry.until = now + this.leaseMs
  }

  /** When the first lease may end; `Infinity` when nothing is leased. */
  get nextDeadline(): number {
    this.#dropSettled()
    return this.#batches.peek()?.deadline ?? Infinity
  }

  /** Those whose lease is over. What was renewed meanwhile goes on with the time of its renewal. */
  takeExpired(now: number): MemoryDelivery[] {
    const expired: MemoryDelivery[] = []
    for (
      let batch = this.#batches.peek();
      batch !== undefined && batch.deadline <= now;
      batch = this.#batches.peek()
    ) {
      this.#batches.pop()
      const renewed: MemoryDelivery[] = []
      for (const delivery of batch.deliveries) {
        const { entry } = delivery
        if (entry.lease !== batch || !isHeld(delivery)) continue
        if ((entry.until ?? batch.deadline) <= now) expired.push(delivery)
        else renewed.push(delivery)
      }
      if (renewed.length > 0) this.#goOn(renewed)
    }
    return expired
  }

  #goOn(renewed: readonly MemoryDelivery[]): void {
    let deadline = Infinity
    // In time for the one that ends first; the others are then looked at once more.
    for (const { entry } of renewed) deadline = Math.min(deadline, entry.until ?? Infinity)
    const batch: LeaseBatch = { deadline, deliveries: renewed, left: renewed.length }
    for (const { entry } of renewed) entry.lease = batch
    this.#batches.push(batch)
  }

  /** Everything that is still leased, in the order in which it was handed out; nothing is watched over afterwards. */
  takeAll(): MemoryDelivery[] {
    const all = this.#batches
      .values()
      .flatMap((batch) =>
        batch.deliveries.filter((delivery) => delivery.entry.lease === batch && isHeld(delivery)),
      )
    this.#batches.clear()
    return all
  }

  #dropSettled(): void {
    while (this.#batches.peek()?.left === 0) this.#batches.pop()
  }
}

/** Ends the part of an entry in its lease: a batch without any keeps nothing alive until its deadline. */
export function endLease({ entry }: MemoryDelivery): void {
  const { lease } = entry
  entry.lease = null
  entry.until = null
  if (lease !== null && --lease.left === 0) lease.deliveries = []
}

/** Whether a delivery is the current one of its message. */
export function isHeld({ entry, generation }: MemoryDelivery): boolean {
  return entry.state === 'leased' && entry.generation === generation
}
