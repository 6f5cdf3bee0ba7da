import assert from 'node:assert/strict'
import type { BrokerAdapter, Delivery, Receiver, SettleOutcome } from '@mq/core/adapter'
import type { TestContext } from './context.ts'
import { outbound, plainSettings, source } from './fixtures.ts'
import { receiveAll } from './helpers.ts'

export interface Stage {
  readonly adapter: BrokerAdapter
  readonly name: string
  readonly ids: readonly string[]
  readonly receiver: Receiver
  readonly deliveries: readonly Delivery[]
}

/** A queue with `n` messages, all leased to one receiver. */
export async function leased(t: TestContext, n: number, leaseMs = 30_000): Promise<Stage> {
  const adapter = await t.connected()
  const name = t.name()
  await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
  const messages = Array.from({ length: n }, (_, i) =>
    outbound({ queue: name }, { body: Buffer.from(String(i)), headers: { i: String(i) } }),
  )
  await adapter.publish(messages, t.deadline())
  const receiver = await adapter.open(source({ queue: name }, { mode: 'pull', leaseMs }), () => undefined)
  const deliveries = await receiveAll(t, receiver, n)
  return { adapter, name, ids: messages.map(({ id }) => id), receiver, deliveries }
}

/** What another receiver finds: `n` messages, or with 0 whatever is ready now. */
export async function found(t: TestContext, { adapter, name }: Stage, n: number): Promise<Delivery[]> {
  const other = await adapter.open(source({ queue: name }, { mode: 'pull' }), () => undefined)
  if (n > 0) return receiveAll(t, other, n)
  const all = [...(await other.receive(10, t.deadline(), 0))]
  await other.close(t.deadline())
  return all
}

export function settled(outcomes: readonly SettleOutcome[], n: number): void {
  assert.deepEqual([...outcomes], new Array(n).fill('settled'))
}
