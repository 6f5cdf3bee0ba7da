import { describe, expect, it } from '@jest/globals'
import { until } from '@mq/conformance/fixtures'
import type { Connection } from '../../src/connection.ts'
import type { Committer } from '../../src/group/committer.ts'
import { createHoldings, type Holdings } from '../../src/group/holdings.ts'
import type { Membership } from '../../src/group/membership-contract.ts'
import { createPartition } from '../../src/group/partition.ts'
import { createSharing, type Sharing, type SharingSetup } from '../../src/group/sharing.ts'
import { decodeBatches } from '../../src/log/batch-reader.ts'
import { encodeBatch } from '../../src/log/batch-writer.ts'
import { namesOf } from '../../src/names.ts'

const names = namesOf({ topic: 't', subscription: 's' }, undefined)

/** Partition 0 of the topic: records with these routing keys, the first of them held by somebody who pulls. */
async function holding(keys: readonly string[], damaged = -1) {
  const partition = createPartition({
    topic: 't',
    topicId: 'a',
    number: 0,
    offset: 0,
    metadata: null,
    pattern: 'a.*',
    partitions: undefined,
    delayedBytes: 1_000_000,
    readsAhead: false,
  })
  const parts = keys.map((key) => ({
    timestamp: 1,
    key: null,
    value: Buffer.from(key),
    headers: ['mq-routing-key', key],
  }))
  const answer = { topic: 't', partition: 0, error: 0, highWatermark: 6, logStart: 0, aborted: [] }
  const { records } = await decodeBatches({ ...answer, records: encodeBatch(parts, 'none') }, 0)
  partition.accept(
    records.map((each) =>
      each.offset === damaged ? { ...each, damage: { error: new Error('damaged'), from: damaged } } : each,
    ),
    keys.length,
  )
  const holdings = createHoldings()
  holdings.owned.set('t/0', partition)
  const taker = { pulls: true, lost: () => undefined }
  holdings.attach(taker)
  holdings.give(taker, 1, false)
  return { partition, holdings, taker }
}

/** How what is held there is shared with others that wait for it. */
function sharing(holdings: Holdings, produceTo: SharingSetup['produceTo'], sessionMs: number): Sharing {
  return createSharing({
    connection: {
      options: { logger: { debug: () => undefined } },
      topic: () => Promise.resolve({ leaders: [1] }),
    } as unknown as Connection,
    names,
    pattern: 'a.*',
    hasRemovals: false,
    ordered: false,
    produceTo,
    ensureLater: () => Promise.resolve(),
    holdings,
    committer: { commit: () => Promise.resolve(true) } as unknown as Committer,
    membership: () => ({ hasOthers: true }) as unknown as Membership,
    sessionMs: () => sessionMs,
    moving: () => false,
    rest: () => Promise.resolve(false),
  })
}

describe('what is ready behind a message that somebody holds', () => {
  it('is not waited for by a round where its leader says nothing, and is moved after it', async () => {
    const { partition, holdings } = await holding(['a.held', 'a.1'])
    let answer = (): void => undefined
    const produced = new Promise<void>((resolve) => (answer = resolve))
    const produceTo: SharingSetup['produceTo'] = (_, _number, _copies, stored) =>
      produced.then(() => stored?.(0))
    await sharing(holdings, produceTo, 30).prepare()
    expect(partition.heldCount).toBe(2)
    answer()
    await until(() => partition.heldCount === 1)
    partition.complete(0)
    expect(partition.tracker.base).toBe(2)
  })

  it('is written where others of the subscription read, unless its pattern leaves it out, or it is damaged', async () => {
    const keys = ['a.held', 'b.1', 'a.1', 'b.2', 'a.damaged', 'a.2']
    const { partition, holdings, taker } = await holding(keys, 4)
    const moved: unknown[] = []
    const produceTo: SharingSetup['produceTo'] = (topic, number, copies, stored) => {
      moved.push(topic, number, ...copies.map(({ value }) => Buffer.from(value ?? []).toString()))
      for (const index of copies.keys()) stored?.(index)
      return Promise.resolve()
    }
    await sharing(holdings, produceTo, 60_000).prepare()
    expect(moved).toEqual([names.later, 0, 'a.1', 'a.2'])
    expect([...partition.held()].map(({ offset }) => offset)).toEqual([0])
    expect(holdings.give(taker, 9, false).map(({ offset }) => offset)).toEqual([4])
    partition.complete(0)
    partition.complete(4)
    expect(partition.tracker.base).toBe(6)
  })
})

describe('what is moved in part', () => {
  it('leaves here what was not stored, and nothing of the rest', async () => {
    const { partition, holdings, taker } = await holding(['a.held', 'a.1', 'a.2', 'a.3'])
    const produceTo: SharingSetup['produceTo'] = (_, _number, _copies, stored) => {
      stored?.(0)
      stored?.(2)
      return Promise.reject(new Error('no'))
    }
    await sharing(holdings, produceTo, 60_000).prepare()
    expect(holdings.give(taker, 9, false).map(({ offset }) => offset)).toEqual([2])
    expect([...partition.tracker.ranges()]).toEqual([
      [1, 2],
      [3, 4],
    ])
  })
})

describe('what failed in its place', () => {
  it('is not moved: its copy would not have failed', async () => {
    const { partition, holdings, taker } = await holding(['a.held', 'a.failed', 'a.1'])
    const [failed] = holdings.give(taker, 1, false)
    if (failed !== undefined) partition.retryInPlace(failed, 0, 0)
    const moved: unknown[] = []
    const produceTo: SharingSetup['produceTo'] = (_, _number, copies, stored) => {
      moved.push(...copies.map(({ value }) => Buffer.from(value ?? []).toString()))
      stored?.(0)
      return Promise.resolve()
    }
    await sharing(holdings, produceTo, 60_000).prepare()
    expect(moved).toEqual(['a.1'])
    expect(partition.historyOf(1).failures).toBe(1)
    expect(holdings.give(taker, 9, false).map(({ offset }) => offset)).toEqual([1])
  })
})

describe('a look at what others of the group read', () => {
  it('goes on when the coordinator has moved', async () => {
    const moved = Object.assign(new Error('moved'), { type: 'NOT_COORDINATOR_FOR_GROUP' })
    let asked = 0
    const call = (name: string, { topics }: { topics: { partitions: { timestamp: number }[] }[] }) => {
      if (name === 'OffsetFetch')
        return ++asked === 1 ? Promise.reject(moved) : Promise.resolve({ responses: [] })
      const offset = topics[0]?.partitions[0]?.timestamp === -2 ? '0' : '1'
      return Promise.resolve({ responses: [{ topic: 't', partitions: [{ partition: 0, offset }] }] })
    }
    const look = createSharing({
      connection: {
        topics: () => Promise.resolve(new Map([['t', { leaders: [1] }]])),
        link: () => Promise.resolve({ call }),
        coordinator: () => Promise.resolve({ call }),
        forgetCoordinator: () => undefined,
      } as unknown as Connection,
      names,
      pattern: undefined,
      hasRemovals: false,
      ordered: false,
      produceTo: () => Promise.resolve(),
      ensureLater: () => Promise.resolve(),
      holdings: createHoldings(),
      committer: {} as unknown as Committer,
      membership: () => ({ committed: () => Promise.reject(moved) }) as unknown as Membership,
      sessionMs: () => 1_000,
      moving: () => false,
      rest: () => Promise.resolve(false),
    })
    expect(await look.waitsElsewhere()).toBe(true)
    expect(asked).toBe(2)
  })
})
