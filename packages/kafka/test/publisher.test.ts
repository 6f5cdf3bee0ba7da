import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import type { PublishOutcome } from '@mq/core/adapter'
import { connect as connectTo, type Connection } from '../src/connection.ts'
import { markUnsent, neverSent } from '../src/errors.ts'
import { encodeBatch } from '../src/log/batch-writer.ts'
import { produceRequest } from '../src/log/protocol.ts'
import { parseOptions } from '../src/options.ts'
import { createPublisher } from '../src/publisher.ts'
import { testOptions } from './harness.ts'
import { refuseOnce } from './requests.ts'
import { consuming, declaration, onServer, take } from './support.ts'

const { connect, url } = onServer()

const certainties = (outcomes: readonly PublishOutcome[]) =>
  outcomes.map((outcome) => outcome.ok || outcome.certainty)

describe('what was written', () => {
  it('is never called unsent, whatever ended the connection', async () => {
    const queue = fresh()
    await (await connect()).declare({ queue }, declaration)
    for (const cause of [undefined, new Error('lost'), markUnsent(new Error('no way to any broker'))]) {
      const over = await connectTo(
        parseOptions(testOptions(url())),
        { lost: () => undefined, blocked: () => undefined },
        live,
      )
      const link = await over.link((await over.topic(queue))?.leaders[0] ?? -1, 'main')
      const record = { timestamp: Date.now(), key: null, value: Buffer.from('x'), headers: [] }
      const batch = encodeBatch([record], 'none')
      const answer = link
        .custom(produceRequest(queue, [{ partition: 0, batch }], -1, 5_000))
        .catch((error: unknown) => neverSent(error))
      // Written within this turn of the loop: the answer cannot have come.
      for (let i = 0; i < 50 && link.pending === 0; i++) await Promise.resolve()
      expect(link.pending).toBe(1)
      over.close(cause)
      expect(await answer).toBe(false)
    }
  })
})

describe('a call of more than one request', () => {
  it.each([
    ['all', 'unknown'],
    ['leader', 'not-stored'],
  ] as const)('stores nothing of a key behind what was refused (acks %s)', async (acks, certainty) => {
    const queue = fresh()
    const adapter = await connect({ clientId: queue, acks })
    await adapter.declare({ queue }, declaration)
    const batch = [1, 2, 3].map(() => outbound({ queue }, { key: 'k', body: Buffer.alloc(400_000) }))
    refuseOnce(queue)
    const outcomes = await adapter.publish(batch, live)
    // A leader that waits for others, and ceases to be one, says of what it has written that it leads no more.
    expect(certainties(outcomes)).toEqual([certainty, certainty, 'not-stored'])
    expect(await adapter.size({ queue })).toBe(0)
    expect((await adapter.publish(batch, live)).every(({ ok }) => ok)).toBe(true)
  })

  it('stores what follows a message that is refused for good', async () => {
    const queue = fresh()
    const adapter = await connect({ maxBodyBytes: 4_000_000 })
    await adapter.declare({ queue }, declaration)
    const batch = [2_000_000, 10, 10].map((size) =>
      outbound({ queue }, { key: 'k', body: Buffer.alloc(size) }),
    )
    const outcomes = await adapter.publish(batch, live)
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, true, true])
  })
})

describe('records for one partition', () => {
  it('are told apart by whether they were stored, where one is refused', async () => {
    const queue = fresh()
    const adapter = await connect()
    const settings = { ...declaration.settings, arguments: { 'max.message.bytes': '20000' } }
    await adapter.declare({ queue }, { ...declaration, settings })
    const events = { lost: () => undefined, blocked: () => undefined }
    const over = await connectTo(parseOptions(testOptions(url())), events, live)
    const publisher = createPublisher({ connection: () => over, ensureLater: () => Promise.resolve() })
    const records = [100, 30_000, 100].map((size) => ({
      timestamp: Date.now(),
      key: null,
      value: randomBytes(size),
      headers: [],
    }))
    const stored: number[] = []
    const produced = publisher.produceTo(queue, 0, records, (index) => stored.push(index))
    await expect(produced).rejects.toThrow('max.message.bytes')
    over.close(undefined)
    expect(stored).toEqual([0, 2])
    expect(await adapter.size({ queue })).toBe(2)
  })
})

describe('a record that the broker refuses', () => {
  it.each([
    ['its time', { 'message.timestamp.before.max.ms': '3600000' }, { timestamp: 1 }],
    ['its lack of a key', { 'cleanup.policy': 'compact' }, { key: undefined }],
  ])('for %s takes none of its neighbours with it', async (_, arguments_, over) => {
    const queue = fresh()
    const adapter = await connect()
    const settings = { ...declaration.settings, arguments: arguments_ }
    await adapter.declare({ queue }, { ...declaration, settings })
    const batch = Array.from({ length: 9 }, (_each, n) =>
      outbound(
        { queue },
        { key: `k${n}`, body: Buffer.from(String(n)), ...(n === 2 || n === 6 ? over : {}) },
      ),
    )
    const outcomes = await adapter.publish(batch, live)
    expect(certainties(outcomes)).toEqual(batch.map((_each, n) => (n === 2 || n === 6 ? 'not-stored' : true)))
    const got = await take(await consuming(adapter, { queue }), 7)
    expect(got.map(({ body }) => body.toString()).join('')).toBe('0134578')
  })
})

describe('a topic that takes little at once', () => {
  it('gets in pieces what is too much for one batch, in order, and what is refused for good holds up nothing', async () => {
    const queue = fresh()
    const adapter = await connect()
    const settings = { ...declaration.settings, arguments: { 'max.message.bytes': '20000' } }
    await adapter.declare({ queue }, { ...declaration, settings })
    const sizes = [9_000, 9_000, 9_000, 30_000, 9_000, 100]
    const batch = sizes.map((size, n) =>
      outbound({ queue }, { key: 'k', body: Buffer.alloc(size, String(n)) }),
    )
    const outcomes = await adapter.publish(batch, live)
    expect(certainties(outcomes)).toEqual([true, true, true, 'not-stored', true, true])
    const got = await take(await consuming(adapter, { queue }), 5)
    expect(got.map(({ body }) => String.fromCharCode(body[0] as number))).toEqual(['0', '1', '2', '4', '5'])
  })

  it('keeps what came compressed: its retry and its dead letter are', async () => {
    const queue = fresh()
    const settings = { ...declaration.settings, arguments: { 'max.message.bytes': '20000' } }
    const [foreign, adapter] = [
      await connect({ compression: 'gzip', maxBodyBytes: 4_000_000 }),
      await connect(),
    ]
    await adapter.declare({ queue }, { ...declaration, settings })
    await adapter.declare({ queue: `${queue}.dlq` }, declaration)
    const body = Buffer.alloc(2_000_000, 'x')
    expect(certainties(await foreign.publish([outbound({ queue }, { body })], live))).toEqual([true])
    const receiver = await consuming(adapter, { queue })
    expect(await receiver.retry(await take(receiver, 1), 1)).toEqual(['settled'])
    const again = await take(receiver, 1)
    expect(again[0]?.deliveryCount).toBe(1)
    const failure = {
      reason: 'rejected',
      queue,
      subscription: null,
      attempts: 2,
      firstFailedAt: new Date(),
      lastFailedAt: new Date(),
      error: { name: 'Error', message: 'no', stack: '' },
      host: 'h',
    } as const
    expect(await receiver.deadLetter(again, [failure], { queue: `${queue}.dlq` })).toEqual(['settled'])
    const [letter] = await take(await consuming(adapter, { queue: `${queue}.dlq` }), 1)
    expect(letter?.body.length).toBe(2_000_000)
  })
})

describe('messages without a key', () => {
  it('reach every partition of a queue, whatever is sent to others in turn', async () => {
    const adapter = await connect()
    const queues = [fresh(), fresh()]
    const settings = { ...declaration.settings, partitions: 2 }
    for (const queue of queues) await adapter.declare({ queue }, { ...declaration, settings })
    for (let n = 0; n < 4; n++) for (const queue of queues) await adapter.publish([outbound({ queue })], live)
    for (const queue of queues) {
      const got = await take(await consuming(adapter, { queue }), 4)
      const partitions = got.map(({ raw }) => (raw as { partition: number }).partition)
      expect(partitions.sort()).toEqual([0, 0, 1, 1])
    }
  })
})

describe('what nobody confirms', () => {
  it('is sent once, and counts as stored', async () => {
    const queue = fresh()
    const adapter = await connect({ acks: 'none' })
    await adapter.declare({ queue }, declaration)
    const batch = ['a', 'b', 'c'].map((text) => outbound({ queue }, { body: Buffer.from(text) }))
    expect(certainties(await adapter.publish(batch, live))).toEqual([true, true, true])
    const receiver = await consuming(adapter, { queue })
    const got = await take(receiver, 3)
    expect(got.map(({ body }) => body.toString())).toEqual(['a', 'b', 'c'])
    expect(await receiver.ack(got)).toEqual(['settled', 'settled', 'settled'])
    expect(await adapter.size({ queue })).toBe(0)
  })
})

describe('an answer', () => {
  it('counts as stored only where its requester is known to be gone', async () => {
    const clientId = fresh()
    const adapter = await connect({ clientId })
    const answer = (reply: string) => adapter.publish([outbound({ reply })], live)
    expect(certainties(await answer(fresh('gone')))).toEqual([true])
    expect(certainties(await answer('no name of a topic'))).toEqual([true])
    refuseOnce(clientId, 3, new Error('no broker'))
    expect(certainties(await answer(fresh('unasked')))).toEqual(['not-stored'])
  })
})

describe('a leader that left', () => {
  it('is looked for anew by the next call', async () => {
    const forgotten: string[] = []
    const connection = {
      options: parseOptions({}),
      topic: (name: string) => Promise.resolve({ name, leaders: [7], replicas: 1, error: 0 }),
      link: () =>
        Promise.reject(markUnsent(Object.assign(new Error('no'), { type: 'LEADER_NOT_AVAILABLE' }))),
      forgetTopic: (name: string) => void forgotten.push(name),
    } as unknown as Connection
    const publisher = createPublisher({ connection: () => connection, ensureLater: () => Promise.resolve() })
    expect(certainties(await publisher.publish([outbound({ queue: 'q' })], live))).toEqual(['not-stored'])
    expect(forgotten).toEqual(['q'])
  })
})
