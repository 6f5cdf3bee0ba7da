import { expect, it } from '@jest/globals'
import type { Connection } from '../../src/connection.ts'
import { markUnsent } from '../../src/errors.ts'
import { createFetcher } from '../../src/group/fetcher.ts'

it('a leader that left is looked for anew, and read from', async () => {
  let leader = 7
  let reading = (_: number): void => undefined
  const read = new Promise<number>((resolve) => (reading = resolve))
  const connection = {
    closed: false,
    options: { fetchMaxWaitMs: 1, fetchMinBytes: 1, fetchPartitionBytes: 1, requestTimeoutMs: 1 },
    topic: () => Promise.resolve({ leaders: [leader] }),
    forgetTopic: () => (leader = 8),
    link: (node: number) => {
      if (node === 7)
        return Promise.reject(markUnsent(Object.assign(new Error('no'), { type: 'LEADER_NOT_AVAILABLE' })))
      reading(node)
      return new Promise(() => undefined)
    },
    endLane: () => undefined,
  } as unknown as Connection
  const partition = {
    topic: 't',
    number: 0,
    position: 0,
    highWatermark: 0,
    gone: false,
    accept: () => undefined,
  }
  const fetcher = createFetcher({
    connection,
    lane: 'l',
    wanted: () => [partition],
    crowded: () => false,
    arrived: () => undefined,
    outOfRange: () => Promise.resolve(),
    missing: () => undefined,
  })
  fetcher.poke()
  expect(await read).toBe(8)
  fetcher.stop()
})
