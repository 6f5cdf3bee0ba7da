import { describe, expect, it } from '@jest/globals'
import { AdapterError } from '@mq/core/adapter'
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
    topicId: 'a',
    number: 0,
    position: 0,
    epoch: -1,
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
    diverged: () => Promise.resolve(),
    replaced: () => Promise.resolve(),
    missing: () => undefined,
    failed: () => undefined,
  })
  fetcher.poke()
  expect(await read).toBe(8)
  fetcher.stop()
})

/** Fetches once from a broker that answers so; resolves with what failed it, `null` when it asks again. */
function outcome(broker: { code?: number; link?: Error; metadata?: Error }): Promise<unknown> {
  return new Promise((resolve) => {
    let asked = 0
    const answer = {
      topic: 't',
      partition: 0,
      highWatermark: 0,
      logStart: 0,
      divergesAt: null,
      records: Buffer.alloc(0),
    }
    const again = (error: Error | undefined): Promise<void> => {
      if (++asked > 1) resolve(null)
      return error === undefined ? Promise.resolve() : Promise.reject(error)
    }
    const connection = {
      closed: false,
      options: { fetchMaxWaitMs: 1, fetchMinBytes: 1, fetchPartitionBytes: 1, requestTimeoutMs: 1 },
      topic: () =>
        broker.metadata === undefined ? Promise.resolve({ leaders: [1] }) : again(broker.metadata),
      forgetTopic: () => undefined,
      link: () =>
        again(broker.link).then(() => ({
          custom: () => Promise.resolve([{ ...answer, error: broker.code, aborted: [] }]),
        })),
      endLane: () => undefined,
    } as unknown as Connection
    const partition = {
      topic: 't',
      topicId: 'a',
      number: 0,
      position: 0,
      epoch: -1,
      highWatermark: 0,
      gone: false,
      accept: () => undefined,
    }
    const fetcher = createFetcher({
      connection,
      lane: 'l',
      // Nothing is asked for without an end.
      wanted: () => (asked > 1 ? [] : [partition]),
      crowded: () => false,
      arrived: () => undefined,
      outOfRange: () => Promise.resolve(),
      diverged: () => Promise.resolve(),
      replaced: () => Promise.resolve(),
      missing: () => undefined,
      failed(error) {
        fetcher.stop()
        resolve(error)
      },
    })
    fetcher.poke()
  })
}

describe('what a broker refuses', () => {
  const refused = new AdapterError('MQ_AUTHENTICATION', 'no')
  it('for good fails the consumer: it says so to whoever reads', async () => {
    expect(await outcome({ code: 29 })).toMatchObject({ type: 'TOPIC_AUTHORIZATION_FAILED' })
    expect(await outcome({ link: refused })).toBe(refused)
    expect(await outcome({ metadata: refused })).toBe(refused)
  })
  it('for now is asked for again', async () => {
    const passing = Object.assign(new Error('no'), { type: 'LEADER_NOT_AVAILABLE' })
    expect(await outcome({ code: 6 })).toBeNull()
    expect(await outcome({ link: passing })).toBeNull()
    expect(await outcome({ metadata: passing })).toBeNull()
  })
})
