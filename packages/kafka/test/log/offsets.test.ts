import { describe, expect, it } from '@jest/globals'
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

  it('are an error where nobody can be reached, and where all are wanted', async () => {
    const { connection } = cluster([-1, 1], unreachable)
    await expect(offsetsOfLed(connection, { q: [0] })).rejects.toBe(unreachable)
    await expect(offsetsOf(connection, { q: [0, 1] })).rejects.toBe(unreachable)
  })

  it('are an error at once when the topic is gone, whose leaders come no more', async () => {
    const { connection, tries } = cluster([-1, -1], noLeader)
    const gone = { ...connection, topics: () => Promise.resolve(new Map()) }
    await expect(offsetsOfLed(gone, { q: [0, 1] })).rejects.toBe(noLeader)
    expect(tries()).toBe(2)
  })
})
