import { live } from '@mq/conformance/fixtures'
import type { Delivery, Receiver } from '@mq/core/adapter'

/** Exactly `n`, however many calls it takes. */
export async function take(receiver: Receiver, n: number): Promise<Delivery[]> {
  const got: Delivery[] = []
  while (got.length < n) {
    const more = await receiver.receive(n - got.length, live, 20_000)
    if (more.length === 0) throw new Error(`${got.length} of ${n} came`)
    got.push(...more)
  }
  return got
}
