import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Receiver } from '@mq/core/adapter'
import { createHoldings } from '../../src/group/holdings.ts'
import { createPartition } from '../../src/group/partition.ts'
import { decodeBatches, type LogRecord } from '../../src/log/batch-reader.ts'
import { encodeBatch } from '../../src/log/batch-writer.ts'
import { declaration, onServer, until } from '../support.ts'

const { connect } = onServer()

/** A topic's partition and that of what is redriven to its ordered subscription, with records of these keys. */
async function pair(keys: readonly string[], later: readonly string[]) {
  const holdings = createHoldings()
  for (const [topic, list] of [
    ['t', keys],
    ['t.later', later],
  ] as const) {
    const partition = createPartition({
      topic,
      topicId: topic,
      number: 0,
      offset: 0,
      metadata: null,
      pattern: undefined,
      partitions: undefined,
      delayedBytes: 1_000_000,
      readsAhead: false,
      beside: () => holdings.owned.get(topic === 't' ? 't.later/0' : 't/0'),
    })
    const parts = list.map((key) => ({ timestamp: 1, key, value: Buffer.from(key), headers: [] }))
    const answer = { topic, partition: 0, error: 0, highWatermark: 0, logStart: 0, aborted: [] }
    const { records } = await decodeBatches({ ...answer, records: encodeBatch(parts, 'none') }, 0)
    partition.accept(records, records.length)
    holdings.owned.set(`${topic}/0`, partition)
  }
  const taker = (pulls: boolean) => {
    const made = { pulls, lost: () => undefined }
    holdings.attach(made)
    return (max: number) => holdings.give(made, max, true)
  }
  const partitionOf = ({ hold }: LogRecord) => hold?.partition
  return { taker, partitionOf }
}
const places = (records: readonly LogRecord[]) =>
  records.map(({ topic, offset }) => `${topic} ${offset}`).sort()

describe('two logs with the same keys', () => {
  it('hand out one of a key at a time to who pulls', async () => {
    const { taker } = await pair(['a', 'b'], ['a', 'c'])
    const take = taker(true)
    const got = [...take(1), ...take(1), ...take(1), ...take(1)]
    expect(got.map(({ key }) => String(key)).sort()).toEqual(['a', 'b', 'c'])
  })

  it('are handed out to one at a time', async () => {
    const { taker, partitionOf } = await pair(['a'], ['a', 'b'])
    const [one, other] = [taker(false), taker(false)]
    const [first] = one(1) as [LogRecord]
    expect(other(9)).toEqual([])
    partitionOf(first)?.complete(first.offset)
    expect(other(9).length).toBe(2)
  })

  it('hand out nothing of a key of which a message waits that failed', async () => {
    const { taker, partitionOf } = await pair(['a'], ['a', 'b'])
    const take = taker(false)
    const [first] = take(1) as [LogRecord]
    partitionOf(first)?.retryInPlace(first, Date.now() + 60_000, Date.now())
    expect(places(take(9))).toEqual(['t.later 1'])
  })
})

describe('what is sent to an ordered subscription alone', () => {
  it('goes to the consumer that has the messages of its key', async () => {
    const target = { topic: fresh('topic'), subscription: 's' }
    const settings = { ...declaration.settings, ordered: true, partitions: 3 }
    const [a, b] = [await connect(), await connect()]
    await a.declare({ topic: target.topic }, { ...declaration, settings })
    await a.declare(target, { ...declaration, settings, pattern: '#' })
    const consuming = (adapter: BrokerAdapter) =>
      adapter.open({ ...source(target), ordered: true }, () => undefined)
    const receivers = [await consuming(a), await consuming(b)]
    const keys = Array.from({ length: 12 }, (_, n) => `k${n}`)
    const who = new Map<string, Set<number>>()
    let count = 0
    const read = async (receiver: Receiver, n: number, signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        const got = await receiver.receive(10, signal)
        await receiver.ack(got)
        for (const { key = '' } of got) who.set(key, (who.get(key) ?? new Set()).add(n))
        count += got.length
      }
    }
    const ended = new AbortController()
    const reading = receivers.map((receiver, n) => read(receiver, n, ended.signal))
    const send = (to: object) =>
      a.publish(
        keys.map((key) => outbound(to as typeof target, { key })),
        live,
      )
    const readers = () => new Set([...who.values()].flatMap((each) => [...each]))
    await until(async () => {
      await send({ topic: target.topic })
      return readers().size === 2
    })
    // What is made for these is shared out by now.
    const before = count
    await send(target)
    await until(() => count >= before + keys.length)
    await until(async () => (await a.size(target)) === 0)
    who.clear()
    count = 0
    await send(target)
    await send({ topic: target.topic })
    await until(() => count >= 2 * keys.length)
    ended.abort()
    await Promise.all(reading)
    expect(readers().size).toBe(2)
    expect([...who.values()].map((each) => each.size)).toEqual(keys.map(() => 1))
  }, 60_000)
})
