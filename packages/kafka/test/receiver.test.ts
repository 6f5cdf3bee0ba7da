import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { failure, fresh, live, outbound } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Delivery, OutboundMessage, Receiver } from '@mq/core/adapter'
import { encodeBatch } from '../src/log/batch-writer.ts'
import { encodeMessage } from '../src/wire.ts'
import { hold } from './requests.ts'
import { consuming, declaration, onServer, take } from './support.ts'

const { connect } = onServer()

describe('what is retried or dead', () => {
  it('is settled although the coordinator says nothing', async () => {
    const clientId = fresh()
    const adapter = await connect({ clientId })
    const [target, dead] = [{ queue: fresh() }, { queue: `${fresh()}.dlq` }]
    for (const each of [target, dead]) await adapter.declare(each, declaration)
    await adapter.publish([outbound(target), outbound(target)], live)
    const receiver = await consuming(adapter, target)
    const [first, second] = await take(receiver, 2)
    const commits = hold(clientId, 'OffsetCommit')
    try {
      expect(await receiver.retry([first as Delivery], 1)).toEqual(['settled'])
      expect(await receiver.deadLetter([second as Delivery], [failure()], dead)).toEqual(['settled'])
    } finally {
      commits.letGo()
    }
  }, 60_000)
})

describe('a message as large as its topic takes', () => {
  const MOST = 20_000
  /** Nothing makes it smaller. */
  const largest = (queue: string): OutboundMessage => {
    const of = (size: number) => outbound({ queue }, { body: randomBytes(size) })
    const { length } = encodeBatch([encodeMessage(of(MOST / 2), undefined, undefined)], 'none')
    return of(MOST / 2 + MOST - length)
  }
  const limited = (adapter: BrokerAdapter, queue: string, bytes: number) => {
    const settings = { ...declaration.settings, arguments: { 'max.message.bytes': String(bytes) } }
    return adapter.declare({ queue }, { ...declaration, settings })
  }
  const held = async (adapter: BrokerAdapter, queue: string): Promise<[Receiver, Delivery[]]> => {
    await limited(adapter, queue, MOST)
    const sent = await adapter.publish(
      [largest(queue), outbound({ queue }, { body: randomBytes(MOST) })],
      live,
    )
    expect(sent.map(({ ok }) => ok)).toEqual([true, false])
    const receiver = await consuming(adapter, { queue })
    return [receiver, await take(receiver, 1)]
  }

  it('is retried, at once in its place, and dead-lettered with all that is said of its failure', async () => {
    const adapter = await connect()
    const queue = fresh()
    const [receiver, first] = await held(adapter, queue)
    expect(await receiver.retry(first, 0)).toEqual(['settled'])
    const second = await take(receiver, 1)
    expect(second[0]?.deliveryCount).toBe(1)
    expect(await receiver.retry(second, 1)).toEqual(['settled'])
    const third = await take(receiver, 1)
    expect(third[0]?.deliveryCount).toBe(2)
    const dead = { queue: `${queue}.dlq` }
    await adapter.declare(dead, declaration)
    expect(await receiver.deadLetter(third, [failure()], dead)).toEqual(['settled'])
    const [letter] = await take(await consuming(adapter, dead), 1)
    expect(letter?.deadLetter?.error).toEqual(failure().error)
    expect(letter?.body).toEqual(first[0]?.body)
    expect(await adapter.size({ queue })).toBe(0)
  }, 60_000)

  it('waits in its place where not even the topic of what waits takes its copy', async () => {
    const adapter = await connect()
    const queue = fresh()
    await limited(adapter, `${queue}.delay`, MOST)
    const [receiver, first] = await held(adapter, queue)
    expect(await receiver.retry(first, 1)).toEqual(['settled'])
    const [again] = await take(receiver, 1)
    expect(again?.deliveryCount).toBe(1)
    expect(again?.firstFailedAt).toBeDefined()
  })

  it('goes without the text of its error to a dead-letter queue that takes little more, and to none that takes less', async () => {
    const adapter = await connect()
    const [queue, dead, small] = [fresh(), fresh('dead'), fresh('dead')]
    const [receiver, first] = await held(adapter, queue)
    const { name, message } = failure().error
    const told = failure({ error: { name, message, stack: randomBytes(2_000).toString('hex') } })
    await limited(adapter, dead, MOST + 1_000)
    await limited(adapter, small, MOST)
    const [refused] = await receiver.deadLetter(first, [told], { queue: small })
    const { error } = refused as { error: Error }
    expect(adapter.classify(error).code).toBe('MQ_MESSAGE_TOO_LARGE')
    expect(error.message).toMatch(new RegExp(`"${small}" .*max\\.message\\.bytes`))
    expect(await receiver.deadLetter(first, [told], { queue: dead })).toEqual(['settled'])
    const [letter] = await take(await consuming(adapter, { queue: dead }), 1)
    expect(letter?.deadLetter).toEqual(failure({ error: { name, message, stack: '' } }))
    expect(letter?.body).toEqual(first[0]?.body)
  })
})
