import { describe, expect, it } from '@jest/globals'
import { live, outbound, source } from '@mq/conformance/fixtures'
import type { Delivery } from '@mq/core/adapter'
import type { Connection } from '../src/connection.ts'
import type { Consumer } from '../src/group/consumer-contract.ts'
import { namesOf } from '../src/names.ts'
import { parseOptions } from '../src/options.ts'
import { createPublisher, type Publisher } from '../src/publisher.ts'
import { createReceiver } from '../src/receiver.ts'

/** A broker that may not be told to make topics. */
const refusal = Object.assign(new Error('no'), { type: 'TOPIC_AUTHORIZATION_FAILED' })
const refuse = () => Promise.reject(refusal)
const target = { queue: 'q' }

describe('what cannot wait because its topic cannot be made', () => {
  it('is told why when it is sent, and is not stored', async () => {
    const connection = { options: parseOptions({}), topic: () => Promise.resolve(null) }
    const publisher = createPublisher({
      connection: () => connection as unknown as Connection,
      ensureLater: refuse,
    })
    const outcomes = await publisher.publish([outbound(target, { delayMs: 1_000 }), outbound(target)], live)
    expect(outcomes).toEqual([
      { ok: false, error: refusal, certainty: 'not-stored' },
      // That one needs no such topic.
      expect.objectContaining({ error: expect.objectContaining({ code: 'MQ_QUEUE_NOT_FOUND' }) as unknown }),
    ])
  })

  it('is told why when it is retried, and stays where it is', async () => {
    const settled: unknown[] = []
    const consumer = {
      attach: () => undefined,
      holds: ({ held }: { held: boolean }) => held,
      complete: (record: unknown) => settled.push(record) > 0,
      flush: () => Promise.resolve(),
    }
    const produced: unknown[] = []
    const receiver = createReceiver({
      consumer: consumer as unknown as Consumer,
      names: namesOf(target, undefined),
      source: source(target),
      pattern: undefined,
      maxPollRecords: 1,
      publisher: {
        produce: (topic: string) => {
          produced.push(topic)
          return Promise.resolve([])
        },
      } as unknown as Publisher,
      retentionMs: () => Promise.resolve(null),
      ensureLater: refuse,
      lost: () => undefined,
    })
    const delivery = (held: boolean) => {
      const record: { held: boolean; delivery: unknown } = { held, delivery: null }
      record.delivery = { record }
      return record.delivery as Delivery
    }
    expect(await receiver.retry([delivery(true), delivery(false)], 1_000)).toEqual([
      { error: refusal },
      'lost',
    ])
    expect([...settled, ...produced]).toEqual([])
  })
})
