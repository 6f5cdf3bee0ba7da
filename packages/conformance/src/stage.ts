import assert from 'node:assert/strict'
import type { BrokerAdapter, Delivery, Receiver, SettleOutcome } from '@mq/core/adapter'
import type { TestContext } from './context.ts'
import { failure, outbound, plainSettings, source } from './fixtures.ts'
import { receiveAll } from './helpers.ts'

/** A queue whose messages are leased: where settlements are tried out. */
export interface Stage {
  readonly adapter: BrokerAdapter
  readonly name: string
  readonly ids: readonly string[]
  readonly receiver: Receiver
  readonly deliveries: readonly Delivery[]
}

/** Everything that may be done to what is leased. */
export const OPERATIONS = ['ack', 'release', 'retry', 'deadLetter', 'renew'] as const
export type Operation = (typeof OPERATIONS)[number]

/** What a settlement does to each: whether it is in the queue again, or in the dead-letter queue, and whether it was counted. */
export const EFFECTS: Readonly<Record<Operation, { back: number; dead: number; counted: number }>> = {
  ack: { back: 0, dead: 0, counted: 0 },
  release: { back: 1, dead: 0, counted: 0 },
  retry: { back: 1, dead: 0, counted: 1 },
  deadLetter: { back: 0, dead: 1, counted: 0 },
  renew: { back: 0, dead: 0, counted: 0 },
}

/** A queue with `n` messages, all leased to one receiver, which notes in `lost` what it is told. */
export async function leased(
  t: TestContext,
  n: number,
  leaseMs = 30_000,
  lost: Delivery[] = [],
): Promise<Stage> {
  const adapter = await t.connected()
  const name = t.name()
  await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
  const messages = Array.from({ length: n }, (_, i) =>
    outbound({ queue: name }, { body: Buffer.from(String(i)), headers: { i: String(i) } }),
  )
  await adapter.publish(messages, t.deadline())
  const receiver = await adapter.open(
    source({ queue: name }, { mode: 'pull', leaseMs, prefetch: Math.max(100, n) }),
    (deliveries) => void lost.push(...deliveries),
  )
  const deliveries = await receiveAll(t, receiver, n)
  return { adapter, name, ids: messages.map(({ id }) => id), receiver, deliveries }
}

/** Its dead-letter queue. */
export const deadOf = ({ name }: Stage) => ({ queue: `${name}.dlq` })

/** As `leased`, with a dead-letter queue of at most `maxLength` messages. */
export async function mortal(
  t: TestContext,
  n: number,
  leaseMs?: number,
  maxLength: number | null = null,
): Promise<Stage> {
  const stage = await leased(t, n, leaseMs)
  const settings = { ...plainSettings, maxLength }
  await stage.adapter.declare(deadOf(stage), { settings, pattern: undefined, ifExists: 'take' })
  return stage
}

/** One call for all of them. */
export function settle(
  stage: Stage,
  operation: Operation,
  deliveries: readonly Delivery[],
): Promise<readonly SettleOutcome[]> {
  const { receiver } = stage
  if (operation === 'retry') return receiver.retry(deliveries, 0)
  if (operation !== 'deadLetter') return receiver[operation](deliveries)
  const failures = deliveries.map(() => failure({ queue: stage.name }))
  return receiver.deadLetter(deliveries, failures, deadOf(stage))
}

/** What another receiver finds: `n` messages, or with 0 whatever is ready now. */
export async function found(t: TestContext, { adapter, name }: Stage, n: number): Promise<Delivery[]> {
  const prefetch = Math.max(100, n)
  const other = await adapter.open(source({ queue: name }, { mode: 'pull', prefetch }), () => undefined)
  if (n > 0) return receiveAll(t, other, n)
  const all = [...(await other.receive(10, t.deadline(), 0))]
  await other.close(t.deadline())
  return all
}

export function settled(outcomes: readonly SettleOutcome[], n: number): void {
  assert.deepEqual([...outcomes], new Array(n).fill('settled'))
}
