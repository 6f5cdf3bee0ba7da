import { describe, expect, it } from '@jest/globals'
import { until } from '@mq/conformance/fixtures'
import type { Connection } from '../../src/connection.ts'
import type { Committer } from '../../src/group/committer.ts'
import { createHandoff } from '../../src/group/handoff.ts'
import type { Commit, Membership } from '../../src/group/membership-contract.ts'
import type { Partition } from '../../src/group/partition-contract.ts'
import { encodeNotes } from '../../src/group/notes.ts'
import { namesOf } from '../../src/names.ts'

/** A group's member whose log holds 10 up to 20, and whose commits come when they are told to. */
function member(startFrom: 'earliest' | 'latest') {
  const owned = new Map<string, Partition>()
  const warnings: unknown[] = []
  const leaders = [1]
  const asks: object[] = []
  let answer = (_: Map<string, Commit>): void => undefined
  let asked = (): void => undefined
  const membership = {
    committed: (parts: object) =>
      new Promise((resolve) => {
        asks.push(parts)
        answer = resolve
        asked()
      }),
    rejoin: () => undefined,
  } as unknown as Membership
  const call = (
    _: string,
    { topics }: { topics: readonly { partitions: readonly { partition: number; timestamp: number }[] }[] },
  ) =>
    Promise.resolve({
      responses: topics.map(({ partitions }) => ({
        topic: 'q',
        partitions: partitions.map(({ partition, timestamp }) => ({
          partition,
          offset: timestamp === -2 ? '10' : '20',
        })),
      })),
    })
  const handoff = createHandoff({
    connection: {
      closed: false,
      options: { logger: { debug: () => undefined, warn: (fields: object) => void warnings.push(fields) } },
      topics: () => Promise.resolve(new Map([['q', { id: 'a', leaders: [...leaders] }]])),
      link: () => Promise.resolve({ call }),
    } as unknown as Connection,
    names: namesOf({ queue: 'q' }, undefined),
    ordered: false,
    pattern: undefined,
    hasRemovals: false,
    startFrom,
    owned,
    committer: { commit: () => Promise.resolve(true) } as unknown as Committer,
    membership: () => membership,
    drop: (partition) => void owned.delete(`${partition.topic}/${String(partition.number)}`),
    resumed: () => undefined,
  })
  return {
    owned,
    warnings,
    leaders,
    asks,
    handoff,
    /** Gives it the partition; resolves when it asks where to begin, with what answers that and waits for the end. */
    async gains(numbers = [0]) {
      const asking = new Promise<void>((resolve) => (asked = resolve))
      const done = handoff.assigned({ q: numbers }, false)
      await asking
      return (commit: Commit | undefined) => {
        answer(new Map(commit === undefined ? [] : [['q/0', commit]]))
        return done
      }
    },
  }
}

describe('a partition that is taken over', () => {
  it.each([
    ['latest', undefined, 20],
    ['earliest', undefined, 10],
    ['latest', 12, 12],
    ['latest', 4, 10],
    ['earliest', 4, 10],
  ] as const)('%s with the commit %s begins at %i', async (startFrom, offset, expected) => {
    const { owned, warnings, gains } = member(startFrom)
    const begin = await gains()
    expect(await begin(offset === undefined ? undefined : { offset, metadata: null })).toBe(false)
    expect(owned.get('q/0')?.position).toBe(expected)
    expect(warnings).toEqual(offset === 4 ? [{ topic: 'q', partition: 0, from: 4, to: 10 }] : [])
  })

  it('begins at its beginning where the log lost what was done behind its end: what comes there is new', async () => {
    const { owned, warnings, gains } = member('latest')
    const notes = { stalls: 0, held: false, heldCount: 0, pattern: undefined, attempts: new Map() }
    const { text } = encodeNotes(12, { ...notes, done: [[18, 25]] }, 4_096)
    await (
      await gains()
    )({ offset: 12, metadata: text })
    expect(owned.get('q/0')?.position).toBe(10)
    expect(owned.get('q/0')?.tracker.isDone(22)).toBe(false)
    expect(warnings).toEqual([{ topic: 'q', partition: 0, position: 25, low: 10, high: 20 }])
    owned.clear()
    const { text: whole } = encodeNotes(12, { ...notes, done: [[18, 20]] }, 4_096)
    await (
      await gains()
    )({ offset: 12, metadata: whole })
    expect(owned.get('q/0')?.position).toBe(12)
    expect(owned.get('q/0')?.tracker.isDone(18)).toBe(true)
  })

  it('knows by whom that was written which was read before, unless it begins elsewhere', async () => {
    const { owned, gains } = member('earliest')
    for (const [offset, epoch] of [
      [20, 4],
      [12, 4],
      [9, -1],
    ] as const) {
      // prettier-ignore
      await (
        await gains()
      )({ offset, metadata: 'mq1 e=4' })
      expect(owned.get('q/0')?.epoch).toBe(epoch)
      owned.clear()
    }
  })

  it('begins at its beginning where it was added to a topic that is read, whatever a group begins with', async () => {
    const { owned, leaders, gains } = member('latest')
    await (
      await gains()
    )(undefined)
    leaders.push(1)
    await (
      await gains([0, 1])
    )(undefined)
    expect([...owned.values()].map(({ position }) => position)).toEqual([20, 10])
  })

  it('begins at its beginning where it was added while nobody read the topic', async () => {
    const { owned, leaders, asks, gains } = member('latest')
    leaders.push(1)
    await (
      await gains([1])
    )({ offset: 12, metadata: 'mq1 c=1' })
    expect(owned.get('q/1')?.position).toBe(10)
    expect(asks).toEqual([{ q: [0, 1] }])
    await (
      await gains([0, 1])
    )({ offset: 12, metadata: 'mq1 c=1' })
    // Whoever takes it over next knows, too.
    expect(owned.get('q/0')?.commitEntry(false, 4_096)).toEqual({ offset: 12, metadata: 'mq1 c=1 t=a' })
  })

  it('is not read when the next round began before it was: by that one another may', async () => {
    const { owned, handoff, gains } = member('earliest')
    const begin = await gains()
    handoff.abandon()
    expect(await begin(undefined)).toBeNull()
    expect(owned.size).toBe(0)
    expect(await (await gains())(undefined)).toBe(false)
    expect(owned.size).toBe(1)
  })
})

/** A group's member whose partitions hold 10 up to 20 each, as far as they have leaders. */
function following(leaders: number[]) {
  const owned = new Map<string, Partition>()
  const done: string[] = []
  const warnings: unknown[] = []
  type Asked = { topics: readonly { partitions: readonly { partition: number; timestamp: number }[] }[] }
  const call = (_: string, { topics: [asked] }: Asked) => {
    const partitions = asked?.partitions.map(({ partition, timestamp }) => ({
      partition,
      offset: timestamp === -2 ? '10' : '20',
    }))
    return Promise.resolve({ responses: [{ topic: 'q', partitions }] })
  }
  const membership = { committed: () => Promise.resolve(new Map()), rejoin: () => undefined, sessionMs: 1 }
  const handoff = createHandoff({
    connection: {
      closed: false,
      options: { logger: { debug: () => undefined, warn: (fields: object) => void warnings.push(fields) } },
      topics: () => Promise.resolve(new Map([['q', { leaders: [...leaders] }]])),
      link: (node: number) =>
        node === 9
          ? new Promise(() => undefined)
          : node < 0
            ? Promise.reject(Object.assign(new Error('no leader'), { type: 'LEADER_NOT_AVAILABLE' }))
            : Promise.resolve({ call }),
      forgetTopic: () => undefined,
    } as unknown as Connection,
    names: namesOf({ queue: 'q' }, undefined),
    ordered: false,
    pattern: undefined,
    hasRemovals: false,
    startFrom: 'earliest',
    owned,
    committer: {
      commit: (clean: boolean) => Promise.resolve(void done.push(`commit ${String(clean)}`)),
    } as unknown as Committer,
    membership: () => membership as unknown as Membership,
    drop: (partition) => void owned.delete(`${partition.topic}/${String(partition.number)}`),
    resumed: () => void done.push(`read ${[...owned.keys()].join(' ')}`),
  })
  return { owned, done, warnings, handoff }
}

describe('a partition without a leader', () => {
  it.each([
    ['has none', -1],
    ['does not answer', 9],
  ])('keeps nobody from reading the others, nor from giving some up, where it %s', async (_, leader) => {
    const { owned, done, warnings, handoff } = following([1, leader, 2])
    expect(await handoff.assigned({ q: [0, 1, 2] }, false)).toBe(false)
    expect([...owned.keys()].sort()).toEqual(['q/0', 'q/2'])
    // Another round gives one of them to another.
    await handoff.assigned({ q: [1, 2] }, false)
    expect(done).toContain('commit true')
    expect(warnings).toEqual([{ group: 'mq.q', partitions: ['q/1'] }])
    handoff.abandon()
  })

  it('is read as soon as there is one', async () => {
    const leaders = [1, -1]
    const { owned, done, handoff } = following(leaders)
    await handoff.assigned({ q: [0, 1] }, false)
    expect(owned.size).toBe(1)
    leaders[1] = 1
    await until(() => done.includes('read q/0 q/1'))
    expect(done).toEqual(['commit false', 'commit false', 'read q/0 q/1'])
  })

  it('is not looked for any more when the round is over', async () => {
    const leaders = [1, -1]
    const { owned, handoff } = following(leaders)
    const assigned = handoff.assigned({ q: [0, 1] }, false)
    await until(() => owned.size === 1)
    handoff.abandon()
    leaders[1] = 1
    expect(await assigned).toBeNull()
    expect(owned.size).toBe(1)
  })
})
