import { describe, expect, it, jest } from '@jest/globals'
import type { Connection } from '../../src/connection.ts'
import { createCommitter } from '../../src/group/committer.ts'
import type { Membership } from '../../src/group/membership-contract.ts'
import { createPartition } from '../../src/group/partition.ts'
import type { Partition } from '../../src/group/partition-contract.ts'
import type { Names } from '../../src/names.ts'
import { decodeBatches } from '../../src/log/batch-reader.ts'
import { encodeBatch } from '../../src/log/batch-writer.ts'

const DUE = 1_000_000
const NAMES: Names = { main: 't', later: 't.delay', group: 'g', mainIsShared: false }

/** Every other record waits until `DUE`; of the rest so much is done that the notes of a commit overflow. */
async function crowded(number = 0): Promise<Partition> {
  const partition = createPartition({
    topic: 't',
    topicId: 'a',
    number,
    offset: 0,
    metadata: null,
    pattern: undefined,
    partitions: undefined,
    delayedBytes: 1_000_000,
    readsAhead: false,
  })
  const records = Array.from({ length: 5_000 }, (_, i) => ({
    timestamp: 1,
    key: null,
    value: Buffer.from('v'),
    headers: i % 2 === 0 ? ['mq-deliver-at', String(DUE), 'mq-routing-key', i % 4 === 0 ? 'a.1' : 'b.1'] : [],
  }))
  const answer = { topic: 't', partition: 0, error: 0, highWatermark: 0, logStart: 0, aborted: [] }
  const batch = await decodeBatches({ ...answer, records: encodeBatch(records, 'none') }, 0)
  partition.accept(batch.records, records.length)
  for (const { offset } of takeAll(partition)) partition.complete(offset)
  return partition
}
const takeAll = (partition: Partition) =>
  partition.take(10_000, { pulls: false, lost: () => undefined }, false, Date.now())

/** Commits once; resolves when delayed records are being written anew, and with what ends that. */
async function rewriting(
  partition: Partition,
  names: Names = NAMES,
  pattern?: string,
): Promise<{
  end: (error?: Error, stored?: number) => Promise<void>
  place: string
  keys: Set<string | undefined>
}> {
  let place = ''
  const keys = new Set<string | undefined>()
  let settle: ((error: Error | undefined, stored: number | undefined) => void) | undefined
  const committer = createCommitter({
    connection: {
      options: { commitIntervalMs: 1, logger: { debug: () => undefined } },
      topic: () => Promise.resolve({ leaders: [1, 1, 1] }),
    } as unknown as Connection,
    names,
    pattern,
    ensureLater: () => Promise.resolve(),
    owned: new Map([['t/0', partition]]),
    membership: () => ({ commit: () => Promise.resolve() }) as unknown as Membership,
    verify: () => Promise.resolve(),
    isAlone: () => Promise.resolve(true),
    trims: () => Promise.resolve(false),
    produceTo: (topic, number, copies, stored) => {
      place = `${topic}/${number}`
      for (const { headers } of copies)
        keys.add(headers[headers.findIndex((each) => String(each) === 'mq-routing-key') + 1]?.toString())
      return new Promise<void>((resolve, reject) => {
        settle = (error, count = copies.length) => {
          for (let i = 0; i < count; i++) stored?.(i)
          if (error === undefined) resolve()
          else reject(error)
        }
      })
    },
    committed: () => undefined,
  })
  await committer.commit(true)
  committer.stop()
  await new Promise((resolve) => setImmediate(resolve))
  expect(settle).toBeDefined()
  return {
    place,
    keys,
    async end(error, stored) {
      settle?.(error, stored)
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

describe('delayed records that are written anew', () => {
  it.each([
    ['are handed out by nobody meanwhile, nor after', undefined, undefined, 2_450],
    ['are handed out when that failed', new Error('no'), 0, 2_500],
    ['are handed out but for those that were stored before it failed', new Error('no'), 20, 2_480],
  ])('%s', async (_, error, stored, after) => {
    const clock = jest.spyOn(Date, 'now').mockReturnValue(DUE - 1)
    try {
      const partition = await crowded()
      const { end } = await rewriting(partition)
      clock.mockReturnValue(DUE)
      const meanwhile = takeAll(partition).length
      expect(meanwhile).toBe(2_450)
      await end(error, stored)
      expect(meanwhile + takeAll(partition).length).toBe(after)
    } finally {
      clock.mockRestore()
    }
  })
})

describe('the place of what is written anew', () => {
  it.each([
    ['of a queue is where it was', NAMES, 't/4'],
    ['of a subscription is its own: others read the topic', { ...NAMES, mainIsShared: true }, 't.delay/1'],
    [
      'of what is in that place already stays',
      { ...NAMES, main: 'other', later: 't', mainIsShared: true },
      't/4',
    ],
  ])('%s', async (_, names, expected) => {
    const clock = jest.spyOn(Date, 'now').mockReturnValue(DUE - 1)
    try {
      const { place, end } = await rewriting(await crowded(4), names)
      await end()
      expect(place).toBe(expected)
    } finally {
      clock.mockRestore()
    }
  })
})

describe('what a pattern leaves out', () => {
  it('is not written where nobody looks at that', async () => {
    const clock = jest.spyOn(Date, 'now').mockReturnValue(DUE - 1)
    try {
      const partition = await crowded()
      const { keys, end } = await rewriting(partition, { ...NAMES, mainIsShared: true }, 'a.*')
      expect([...keys]).toEqual(['a.1'])
      await end()
      expect(partition.tracker.base).toBe(100)
    } finally {
      clock.mockRestore()
    }
  })
})

describe('an end without anything held', () => {
  it('stays a clean one, although what is consumed is deleted after the last commit', async () => {
    const partition = createPartition({
      topic: 't',
      topicId: 'a',
      number: 0,
      offset: 0,
      metadata: null,
      pattern: undefined,
      partitions: undefined,
      delayedBytes: 1_000_000,
      readsAhead: false,
    })
    const records = [1, 2].map((timestamp) => ({
      timestamp,
      key: null,
      value: Buffer.from('v'),
      headers: [],
    }))
    const answer = { topic: 't', partition: 0, error: 0, highWatermark: 2, logStart: 0, aborted: [] }
    const batch = await decodeBatches({ ...answer, records: encodeBatch(records, 'none') }, 0)
    partition.accept(batch.records, records.length)
    const [first, second] = takeAll(partition)
    partition.complete(first?.offset as number)
    partition.giveBack(second as (typeof batch.records)[0])
    const committed: string[] = []
    const deleted = jest.fn(() => Promise.resolve({}))
    const committer = createCommitter({
      connection: {
        options: { commitIntervalMs: 1, requestTimeoutMs: 1, logger: { debug: () => undefined } },
        topics: () => Promise.resolve(new Map([['t', { leaders: [1] }]])),
        link: () => Promise.resolve({ call: deleted }),
      } as unknown as Connection,
      names: NAMES,
      pattern: undefined,
      ensureLater: () => Promise.resolve(),
      owned: new Map([['t/0', partition]]),
      membership: () =>
        ({
          commit: (entries: readonly { metadata: string }[]) => {
            committed.push(...entries.map(({ metadata }) => metadata))
            return Promise.resolve()
          },
        }) as unknown as Membership,
      verify: () => Promise.resolve(),
      isAlone: () => Promise.resolve(true),
      trims: () => Promise.resolve(true),
      produceTo: () => Promise.resolve(),
      committed: () => undefined,
    })
    committer.ending(true)
    await committer.commit(true)
    await committer.trim()
    committer.stop()
    expect(deleted).toHaveBeenCalledTimes(1)
    expect(committed).toEqual(['mq1 t=a'])
  })
})

describe('what is consumed', () => {
  it('is not deleted while the group refuses its commit, nor while another group reads it', async () => {
    const partition = await crowded()
    let refusing = true
    let alone = false
    const deleted = jest.fn(() => Promise.resolve({}))
    const committer = createCommitter({
      connection: {
        options: { commitIntervalMs: 1_000, requestTimeoutMs: 1, logger: { debug: () => undefined } },
        topics: () => Promise.resolve(new Map([['t', { leaders: [1] }]])),
        link: () => Promise.resolve({ call: deleted }),
      } as unknown as Connection,
      names: NAMES,
      pattern: undefined,
      ensureLater: () => Promise.resolve(),
      owned: new Map([['t/0', partition]]),
      membership: () =>
        ({
          poke: () => undefined,
          commit: () =>
            refusing
              ? Promise.reject(Object.assign(new Error('no'), { type: 'REBALANCE_IN_PROGRESS' }))
              : Promise.resolve(),
        }) as unknown as Membership,
      verify: () => Promise.resolve(),
      isAlone: () => Promise.resolve(alone),
      trims: () => Promise.resolve(true),
      produceTo: () => Promise.reject(new Error('no')),
      committed: () => undefined,
    })
    partition.dropBelow(7)
    await committer.trim()
    expect(deleted).not.toHaveBeenCalled()
    refusing = false
    await committer.trim()
    expect(deleted).not.toHaveBeenCalled()
    alone = true
    await committer.trim()
    committer.stop()
    expect(deleted).toHaveBeenCalledTimes(1)
  })
})

describe('commits that are refused', () => {
  const refusal = (type: string) => Object.assign(new Error('no'), { type })
  it.each([
    ['for good', 'TOPIC_AUTHORIZATION_FAILED', 1],
    ['for now', 'NOT_COORDINATOR_FOR_GROUP', 0],
    ['however short they are', 'OFFSET_METADATA_TOO_LARGE', 1],
  ])('%s are warned of as often: %s, %i', async (_, type, times) => {
    const partition = await crowded()
    const warn = jest.fn()
    let refusing = true
    const committer = createCommitter({
      connection: {
        options: { commitIntervalMs: 60_000, logger: { debug: () => undefined, warn } },
        forgetCoordinator: () => undefined,
      } as unknown as Connection,
      names: NAMES,
      pattern: undefined,
      ensureLater: () => Promise.resolve(),
      owned: new Map([['t/0', partition]]),
      membership: () =>
        ({
          commit: () => (refusing ? Promise.reject(refusal(type)) : Promise.resolve()),
        }) as unknown as Membership,
      verify: () => Promise.resolve(),
      isAlone: () => Promise.resolve(true),
      trims: () => Promise.resolve(false),
      produceTo: () => Promise.reject(new Error('no')),
      committed: () => undefined,
    })
    for (let tries = 0; tries < 12; tries++) expect(await committer.commit(true)).toBe(false)
    expect(warn).toHaveBeenCalledTimes(times)
    refusing = false
    expect(await committer.commit(true)).toBe(true)
    committer.stop()
  })
})
