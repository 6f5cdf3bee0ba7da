import { describe, expect, it } from '@jest/globals'
import type { Connection } from '../../src/connection.ts'
import type { Committer } from '../../src/group/committer.ts'
import { createHandoff } from '../../src/group/handoff.ts'
import type { Commit, Membership } from '../../src/group/membership.ts'
import type { Partition } from '../../src/group/partition-contract.ts'
import { namesOf } from '../../src/names.ts'

/** A group's member whose log holds 10 up to 20, and whose commits come when they are told to. */
function member(startFrom: 'earliest' | 'latest') {
  const owned = new Map<string, Partition>()
  const warnings: unknown[] = []
  let answer = (_: Map<string, Commit>): void => undefined
  let asked = (): void => undefined
  const membership = {
    committed: () =>
      new Promise((resolve) => {
        answer = resolve
        asked()
      }),
    rejoin: () => undefined,
  } as unknown as Membership
  const call = (
    _: string,
    { topics }: { topics: readonly { partitions: readonly { timestamp: number }[] }[] },
  ) =>
    Promise.resolve({
      responses: topics.map(({ partitions }) => ({
        topic: 'q',
        partitions: partitions.map(({ timestamp }) => ({
          partition: 0,
          offset: timestamp === -2 ? '10' : '20',
        })),
      })),
    })
  const handoff = createHandoff({
    connection: {
      closed: false,
      options: { logger: { debug: () => undefined, warn: (fields: object) => void warnings.push(fields) } },
      topics: () => Promise.resolve(new Map([['q', { leaders: [1] }]])),
      link: () => Promise.resolve({ call }),
    } as unknown as Connection,
    names: namesOf({ queue: 'q' }, undefined),
    pattern: undefined,
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
    handoff,
    /** Gives it the partition; resolves when it asks where to begin, with what answers that and waits for the end. */
    async gains() {
      const asking = new Promise<void>((resolve) => (asked = resolve))
      const done = handoff.assigned({ q: [0] }, false)
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
