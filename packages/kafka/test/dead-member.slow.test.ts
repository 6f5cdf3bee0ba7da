import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { Target } from '@mq/core/adapter'
import { connect as connectTo, type Connection } from '../src/connection.ts'
import { joinGroup } from '../src/group/membership.ts'
import type { Membership } from '../src/group/membership-contract.ts'
import { namesOf } from '../src/names.ts'
import { parseOptions } from '../src/options.ts'
import { SESSION_MS, testOptions } from './harness.ts'
import { consuming, declaration, onServer, take, until } from './support.ts'

const { connect, url } = onServer()
const ignore = (): void => undefined

interface Member {
  readonly over: Connection
  readonly membership: Membership
  /** Rounds that it took part in, one that is not over included. */
  rounds(): number
  /** From now on it does not decide what it leads. */
  stall(): void
}

/** A member of the group that wants nothing; the brokers wait for it for a session when its connection is closed. */
async function member(target: Target, sessionTimeoutMs: number): Promise<Member> {
  const over = await connectTo(parseOptions(testOptions(url())), { lost: ignore, blocked: ignore }, live)
  const { group, main, later } = namesOf(target, undefined)
  let rounds = 0
  let stalled = false
  const assigned = await new Promise<Membership>((resolve) => {
    const membership: Membership = joinGroup({
      connection: {
        ...over,
        topics: (...args) => (stalled ? new Promise(ignore) : over.topics(...args)),
      },
      group,
      topics: [main, later],
      sessionTimeoutMs,
      ghosts: new Map(),
      hooks: {
        view() {
          rounds++
          return { owned: {}, pinned: {}, only: true }
        },
        prepare: () => Promise.resolve(),
        assigned: () => resolve(membership),
        lost: ignore,
        missing: ignore,
        failed: ignore,
      },
    })
  })
  return { over, membership: assigned, rounds: () => rounds, stall: () => void (stalled = true) }
}

async function stateOf(over: Connection, target: Target): Promise<string | undefined> {
  const { group } = namesOf(target, undefined)
  const link = await over.coordinator(group, 'main')
  type Answer = { readonly groups: readonly { readonly state: string }[] }
  const { groups } = await link.call<Answer>('DescribeGroups', { groupIds: [group] })
  return groups[0]?.state
}

describe('while a group waits for a member that died', () => {
  it('others can commit', async () => {
    const adapter = await connect()
    const target: Target = { queue: fresh() }
    await adapter.declare(target, declaration)
    const { over, membership, rounds } = await member(target, SESSION_MS)
    const dead = await member(target, 60_000)
    dead.over.close(undefined)
    const before = rounds()
    await consuming(adapter, target)
    await until(() => rounds() > before)
    const topic = namesOf(target, undefined).main
    await membership.commit([{ topic, partition: 0, offset: 0, metadata: '' }])
    expect(await stateOf(over, target)).toBe('PreparingRebalance')
    await membership.stop(true, live)
    over.close(undefined)
  }, 60_000)

  it('those with shorter sessions keep what they hold', async () => {
    const [adapter, other] = [await connect(), await connect()]
    const target: Target = { queue: fresh() }
    await adapter.declare(target, declaration)
    const lost: unknown[] = []
    const receiver = await adapter.open(source(target), (deliveries) => void lost.push(...deliveries))
    const messages = Array.from({ length: 5 }, () => outbound(target))
    await adapter.publish(messages, live)
    const held = await take(receiver, messages.length)
    const watcher = await member(target, 20_000)
    const dead = await member(target, 20_000)
    dead.over.close(undefined)
    await consuming(other, target)
    await until(async () => (await stateOf(watcher.over, target)) === 'PreparingRebalance')
    await until(async () => (await stateOf(watcher.over, target)) === 'Stable')
    expect(lost).toHaveLength(0)
    expect(await receiver.ack(held)).toEqual(held.map(() => 'settled'))
    await receiver.close(live)
    expect(await adapter.size(target)).toBe(0)
    await watcher.membership.stop(true, live)
    watcher.over.close(undefined)
  }, 90_000)
})

it('what is settled is committed while the leader of a round does not say who reads what', async () => {
  const adapter = await connect()
  const target: Target = { queue: fresh() }
  await adapter.declare(target, declaration)
  const leader = await member(target, 60_000)
  const receiver = await consuming(adapter, target)
  const messages = Array.from({ length: 5 }, () => outbound(target))
  await adapter.publish(messages, live)
  const held = await take(receiver, messages.length)
  leader.stall()
  leader.membership.rejoin()
  await until(async () => (await stateOf(leader.over, target)) === 'CompletingRebalance')
  expect(await receiver.ack(held)).toEqual(held.map(() => 'settled'))
  await receiver.close(live)
  expect(await adapter.size(target)).toBe(0)
  await leader.membership.stop(false, live)
  leader.over.close(undefined)
}, 60_000)
