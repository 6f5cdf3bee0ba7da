import { describe, expect, it } from '@jest/globals'
import type { Message } from 'amqplib'
import {
  connected,
  declare,
  fresh,
  live,
  outbound,
  plainSettings,
  source,
  until,
} from '@mq/conformance/fixtures'
import type { Receiver } from '@mq/core/adapter'
import { rabbitmqAdapter } from '../src/index.ts'
import { adapter, broker, channel, foreign } from './bench.ts'

/** More than the server keeps before it moves nothing else. */
const MANY = 40

const delayed = (queue: string, n: number, delayMs: number) =>
  adapter.publish(
    Array.from({ length: n }, () => outbound({ queue }, { delayMs })),
    live,
  )
async function comes(queue: string, n = 1): Promise<void> {
  await until(async () => (await adapter.size({ queue })) === n)
}
async function idOf(receiver: Receiver): Promise<string | undefined> {
  const [got] = await receiver.receive(1, live, 10_000)
  return got?.id
}

describe('what waits for a queue', () => {
  it('that is deleted meanwhile holds up nobody', async () => {
    const [gone, other] = [await declare(adapter, fresh()), await declare(adapter, fresh())]
    await delayed(gone.queue, MANY, 500)
    await adapter.remove(gone)
    await delayed(other.queue, 1, 500)
    await comes(other.queue)
    await delayed(other.queue, 1, 500)
    await comes(other.queue, 2)
  })

  it('that is full holds up nobody else', async () => {
    const full = await declare(adapter, fresh(), { maxLength: 1 })
    const other = await declare(adapter, fresh())
    await adapter.publish([outbound(full), outbound(full)], live)
    await delayed(full.queue, MANY, 600)
    await delayed(other.queue, 1, 600)
    await comes(other.queue)
    await delayed(other.queue, 1, 600)
    await comes(other.queue, 2)
  })

  it('that refuses when it is full goes with it', async () => {
    const { queue } = await declare(adapter, fresh(), { maxLength: 9 })
    await delayed(queue, 1, 200)
    await comes(queue)
    const waiting = `mq:delayed:200:${queue}`
    await channel.checkQueue(waiting)
    await adapter.remove({ queue })
    const looking = await foreign.createChannel()
    looking.on('error', () => undefined)
    await expect(looking.checkQueue(waiting)).rejects.toMatchObject({ code: 404 })
    await declare(adapter, queue, { maxLength: 9 })
    await delayed(queue, 1, 200)
    await comes(queue)
  })

  it('reaches one that was made again meanwhile, by whomever', async () => {
    const [ours, theirs] = [await declare(adapter, fresh()), await declare(adapter, fresh())]
    await delayed(ours.queue, 1, 1_000)
    await delayed(theirs.queue, 1, 1_000)
    for (const { queue } of [ours, theirs]) await channel.deleteQueue(queue)
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    await declare(other, ours.queue)
    await channel.assertQueue(theirs.queue, { durable: true })
    await comes(ours.queue)
    await comes(theirs.queue)
    // Known to the one that bound its predecessor.
    await delayed(theirs.queue, 1, 100)
    await comes(theirs.queue, 2)
    await other.disconnect(live)
  })

  it('comes without a detour to one that another client made again after it was removed here', async () => {
    const { queue } = await declare(adapter, fresh())
    await adapter.remove({ queue })
    await channel.assertQueue(queue, { durable: true })
    await delayed(queue, 1, 100)
    await comes(queue)
    const got = (await channel.get(queue, { noAck: true })) as Message
    const waitedIn = got.properties.headers?.['x-death']?.map((death) => death.queue)
    expect(waitedIn).toEqual(['mq:delayed:100'])
  })

  it('comes with its own routing key or none, retried ones included', async () => {
    const { queue } = await declare(adapter, fresh())
    const sent = [undefined, 'a.b'].map((routingKey) => outbound({ queue }, { routingKey, delayMs: 100 }))
    await adapter.publish(sent, live)
    const receiver = await adapter.open(source({ queue }), () => undefined)
    for (let attempt = 0; attempt < 2; attempt++) {
      const got = [...(await receiver.receive(2, live, 10_000))]
      if (got.length === 1) got.push(...(await receiver.receive(1, live, 10_000)))
      const keys = Object.fromEntries(got.map(({ id, routingKey }) => [id, routingKey]))
      expect([keys[sent[0]?.id ?? ''], keys[sent[1]?.id ?? '']]).toEqual([undefined, 'a.b'])
      expect(await receiver.retry(got, 100)).toEqual(['settled', 'settled'])
    }
    await receiver.close(live)
  })

  it.each([
    ['exclusive', { exclusive: true }],
    ['with partitions', { ordered: true, partitions: 3 }],
  ])('that is %s arrives', async (_, over) => {
    const { queue } = await declare(adapter, fresh(), over)
    const sent = outbound({ queue }, { delayMs: 100, key: 'k' })
    expect(await adapter.publish([sent], live)).toEqual([{ ok: true }])
    const receiver = await adapter.open(source({ queue }, { ordered: 'ordered' in over }), () => undefined)
    expect(await idOf(receiver)).toBe(sent.id)
    await receiver.close(live)
  })

  it('of a subscription arrives as what it was', async () => {
    const target = { topic: fresh('topic'), subscription: 's' }
    await adapter.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
    const sent = outbound({ topic: target.topic }, { routingKey: 'a.b' })
    await adapter.publish([sent], live)
    const receiver = await adapter.open(source(target), () => undefined)
    expect(await receiver.retry(await receiver.receive(1, live, 10_000), 100)).toEqual(['settled'])
    const [again] = await receiver.receive(1, live, 10_000)
    expect([again?.id, again?.routingKey, again?.deliveryCount]).toEqual([sent.id, 'a.b', 1])
    await receiver.close(live)
  })
})

describe('what waits for a topic', () => {
  it('arrives where the queue that keeps nothing was made otherwise', async () => {
    const target = { topic: fresh('topic'), subscription: 's' }
    await channel.deleteQueue('mq::sink')
    await channel.assertQueue('mq::sink', {
      durable: true,
      arguments: { 'x-queue-type': 'classic', 'x-message-ttl': 0, 'x-max-length': 1 },
    })
    try {
      await adapter.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
      const sent = outbound({ topic: target.topic }, { delayMs: 100 })
      expect(await adapter.publish([sent], live)).toEqual([{ ok: true }])
      await until(async () => (await adapter.size(target)) === 1)
    } finally {
      await channel.deleteQueue('mq::sink')
    }
  })

  it('and is wanted by no subscription, goes and holds up nothing', async () => {
    const target = { topic: fresh('topic'), subscription: 's' }
    await adapter.declare(target, { settings: plainSettings, pattern: 'wanted', ifExists: 'take' })
    const send = (routingKey: string, n: number) =>
      adapter.publish(
        Array.from({ length: n }, () => outbound({ topic: target.topic }, { routingKey, delayMs: 200 })),
        live,
      )
    await send('unwanted', MANY)
    await send('wanted', 1)
    await until(async () => (await adapter.size(target)) === 1)
    await until(async () => (await channel.checkQueue('mq::sink')).messageCount === 0)
  })
})
