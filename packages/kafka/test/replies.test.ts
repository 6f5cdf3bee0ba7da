import { describe, expect, it } from '@jest/globals'
import { live, outbound } from '@mq/conformance/fixtures'
import type { Connection } from '../src/connection.ts'
import { REPLY_TOPIC } from '../src/names.ts'
import { openReplies } from '../src/replies.ts'
import { deleteInternal, onServer, until } from './support.ts'

describe('the topic of answers', () => {
  it.each([
    [1, 1],
    [2, 2],
    [5, 3],
  ])('has on %i brokers %i replicas', async (mostBrokers, expected) => {
    const enough = new Error('enough')
    const asked: number[] = []
    const opening = openReplies({ mostBrokers } as Connection, {
      ensureTopic(_name, _partitions, replicas) {
        asked.push(replicas)
        return Promise.reject(enough)
      },
    })
    await expect(opening).rejects.toBe(enough)
    expect(asked).toEqual([expected])
  })
})

describe('a requester that is closed while it looks for its topic', () => {
  it('opens no socket after that', async () => {
    const lanes: string[] = []
    let looks = 0
    let found = (): void => undefined
    const info = { name: REPLY_TOPIC, id: 'a', leaders: [1] }
    const offsets = { responses: [{ topic: REPLY_TOPIC, partitions: [{ partition: 0, offset: '0' }] }] }
    const connection = {
      mostBrokers: 1,
      closed: false,
      topic: () =>
        looks++ === 0 ? Promise.resolve(info) : new Promise((resolve) => (found = () => resolve(info))),
      topics: () => Promise.resolve(new Map([[REPLY_TOPIC, info]])),
      link(_: number, lane: string) {
        lanes.push(lane)
        return Promise.resolve({ call: () => Promise.resolve(offsets), custom: () => Promise.resolve([]) })
      },
      endLane: () => undefined,
    } as unknown as Connection
    const { receiver } = await openReplies(connection, { ensureTopic: () => Promise.resolve() })
    await until(() => looks === 2)
    await receiver.close(live)
    found()
    await new Promise(setImmediate)
    expect(new Set(lanes)).toEqual(new Set(['main']))
  })
})

describe('a requester', () => {
  // Of its own: other tests share the topic of answers.
  const { connect, url } = onServer({ fresh: true })

  it('is told that the topic of its answers is gone, and makes it anew', async () => {
    const adapter = await connect()
    const { receiver } = await adapter.openReplies()
    await deleteInternal(url(), REPLY_TOPIC)
    const failure = until(async () => (await receiver.receive(1, live)).length < 0)
    await expect(failure).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
    await receiver.close(live)
    const again = await adapter.openReplies()
    await adapter.publish([outbound({ reply: again.address }, { body: Buffer.from('answer') })], live)
    let body = ''
    await until(async () => {
      for (const each of await again.receiver.receive(1, live)) body = each.body.toString()
      return body !== ''
    })
    expect(body).toBe('answer')
    await again.receiver.close(live)
  }, 60_000)
})
