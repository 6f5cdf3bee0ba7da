import { describe, expect, it } from '@jest/globals'
import { until } from '@mq/conformance/fixtures'
import type { Connection } from '../../src/connection.ts'
import { offsetsOf, offsetsOfLed } from '../../src/log/offsets.ts'

/** Partitions of `q` that hold 10 up to 20, by the node that leads each; a negative one fails so. */
function cluster(
  leaders: readonly number[],
  failure: Error,
): { connection: Connection; tries: () => number } {
  let tries = 0
  type Asked = { topics: readonly { partitions: readonly { partition: number; timestamp: number }[] }[] }
  const call = (_: string, { topics: [asked] }: Asked) => {
    const partitions = asked?.partitions.map(({ partition, timestamp }) => ({
      partition,
      offset: timestamp === -2 ? '10' : '20',
    }))
    return Promise.resolve({ responses: [{ topic: 'q', partitions }] })
  }
  const connection = {
    topics: () => Promise.resolve(new Map([['q', { leaders }]])),
    link: (node: number) => {
      if (node >= 0) return Promise.resolve({ call })
      tries++
      return Promise.reject(failure)
    },
    forgetTopic: () => undefined,
  } as unknown as Connection
  return { connection, tries: () => tries }
}
const noLeader = Object.assign(new Error('no leader'), { type: 'LEADER_NOT_AVAILABLE' })
const unreachable = Object.assign(new Error('no way'), { code: 'ECONNREFUSED' })

describe('ends of logs', () => {
  it.each([
    ['has no leader', noLeader],
    ['cannot be reached', unreachable],
  ])('are known of all others when the leader of one %s', async (_, failure) => {
    const { connection, tries } = cluster([1, -1, 2], failure)
    const ends = await offsetsOfLed(connection, { q: [0, 1, 2] })
    expect([...ends].sort()).toEqual([
      ['q/0', { low: 10, high: 20 }],
      ['q/2', { low: 10, high: 20 }],
    ])
    // It was not given up at once.
    expect(tries()).toBeGreaterThan(2)
  })

  it('are an error where nobody can be reached', async () => {
    const { connection } = cluster([-1, 1], unreachable)
    const known = await connection.topics(['q'])
    const alone: Connection = {
      ...connection,
      topics: (_, fresh) => (fresh === true ? Promise.reject(unreachable) : Promise.resolve(known)),
    }
    await expect(offsetsOfLed(alone, { q: [0] })).rejects.toBe(unreachable)
    await expect(offsetsOf(alone, { q: [0, 1] })).rejects.toBe(unreachable)
  })

  it('are waited for where all are wanted, and the leader of one that went is named until there is another', async () => {
    const leaders = [-1, 1]
    const { connection, tries } = cluster(leaders, unreachable)
    const asked = offsetsOf(connection, { q: [0, 1] })
    await until(() => tries() > 2)
    leaders[0] = 2
    expect((await asked).size).toBe(2)
  })

  it('are an error at once when the topic is gone, whose leaders come no more', async () => {
    const { connection, tries } = cluster([-1, -1], noLeader)
    const gone = { ...connection, topics: () => Promise.resolve(new Map()) }
    await expect(offsetsOfLed(gone, { q: [0, 1] })).rejects.toBe(noLeader)
    expect(tries()).toBe(2)
  })
})
