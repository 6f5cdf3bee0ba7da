import { afterEach, describe, expect, it, jest } from '@jest/globals'
import type { Source } from '@mq/core/adapter'
import type { Channel } from 'amqplib'
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
import { rabbitmqAdapter } from '../src/index.ts'
import { adapter, broker, channel, foreign } from './bench.ts'
import { take } from './take.ts'

async function exists(queue: string): Promise<boolean> {
  const looking = await foreign.createChannel()
  looking.on('error', () => undefined)
  return looking.checkQueue(queue).then(
    () => true,
    () => false,
  )
}

/** Where a channel of the client has a method from: all channels of its kind share it. */
function methodsOf(channel: Channel, name: string): Channel {
  let methods = Object.getPrototypeOf(channel) as Channel
  while (!Object.hasOwn(methods, name)) methods = Object.getPrototypeOf(methods) as Channel
  return methods
}

function step(): { over: () => void; done: Promise<void> } {
  let over = (): void => undefined
  const done = new Promise<void>((resolve) => (over = resolve))
  return { over, done }
}

afterEach(() => void jest.restoreAllMocks())

describe('what is interrupted', () => {
  it('a topic that was removed in part is removed with all of its subscriptions by the next call', async () => {
    const topic = fresh('topic')
    const subscriptions = Array.from({ length: 40 }, (_, n) => `s${n}`)
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    for (const subscription of subscriptions)
      await other.declare(
        { topic, subscription },
        { settings: plainSettings, pattern: '#', ifExists: 'take' },
      )
    const removing = other.remove({ topic }).catch(() => undefined)
    await until(async () => !(await exists(`${topic}:s0`)))
    await other.disconnect(AbortSignal.abort())
    await removing
    expect(await exists(`${topic}:s39`)).toBe(true)
    await adapter.remove({ topic })
    for (const each of subscriptions) expect([each, await exists(`${topic}:${each}`)]).toEqual([each, false])
  })

  it('an ordered queue that lost one of its partitions has all of them again, and is removed whole', async () => {
    const queue = fresh('ordered')
    const all = [queue, `${queue}::p1`, `${queue}::p2`, `${queue}::p3`]
    const there = async () => (await Promise.all(all.map(exists))).filter(Boolean).length
    const lose = async () => (await foreign.createChannel()).deleteQueue(`${queue}::p1`)
    await declare(adapter, queue, { ordered: true, partitions: 4 })
    for (const settings of [{ ...plainSettings, ordered: true, partitions: 4 }, plainSettings]) {
      await lose()
      const other = rabbitmqAdapter({ url: broker.url })
      await connected(other)
      const taken = await other.declare({ queue }, { settings, pattern: undefined, ifExists: 'take' })
      expect([taken.partitions, await there()]).toEqual([4, 4])
      await other.disconnect(live)
    }
    await lose()
    const stranger = rabbitmqAdapter({ url: broker.url })
    await connected(stranger)
    await stranger.remove({ queue })
    expect(await there()).toBe(0)
    await stranger.disconnect(live)
  })

  it('the removal of an ordered queue is finished by the next call', async () => {
    const queue = fresh('ordered')
    const last = `${queue}::p9`
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    await declare(other, queue, { ordered: true, partitions: 10 })
    const removing = other.remove({ queue }).catch(() => undefined)
    await until(async () => !(await exists(queue)) || !(await exists(last)))
    await other.disconnect(AbortSignal.abort())
    await removing
    await adapter.remove({ queue })
    expect([await exists(queue), await exists(last)]).toEqual([false, false])
  })

  it.each([
    ['queue', (channel: Channel, topic: string) => channel.deleteQueue(`${topic}:s`)],
    ['topic', (channel: Channel, topic: string) => channel.deleteExchange(topic)],
  ])('a subscription whose %s alone is gone is bound again, by the pattern that it had', async (_, lose) => {
    const topic = fresh('topic')
    const target = { topic, subscription: 's' }
    await adapter.declare(target, { settings: plainSettings, pattern: 'orders.*', ifExists: 'compare' })
    await lose(await foreign.createChannel(), topic)
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    await other.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
    await other.publish(
      ['bills.a', 'orders.a'].map((routingKey) => outbound({ topic }, { routingKey })),
      live,
    )
    const receiver = await other.open(source(target), () => undefined)
    expect((await take(receiver, 1)).map(({ routingKey }) => routingKey)).toEqual(['orders.a'])
    await expect(
      other.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'compare' }),
    ).rejects.toMatchObject({ code: 'MQ_QUEUE_CONFLICT' })
    await receiver.close(live)
    await other.disconnect(live)
  })

  it('a topic that others delete is made again by the connection that knew it', async () => {
    const topic = fresh('topic')
    const target = { topic, subscription: 's' }
    const declaration = { settings: plainSettings, pattern: '#', ifExists: 'take' } as const
    await adapter.declare(target, declaration)
    await (await foreign.createChannel()).deleteExchange(topic)
    await adapter.declare(target, declaration)
    expect(await adapter.publish([outbound({ topic })], live)).toEqual([{ ok: true }])
    expect(await adapter.size(target)).toBe(1)
  })

  it('a subscription that its consumer makes again while another deletes the topic stays, and gets messages', async () => {
    const topic = fresh('topic')
    const declaration = { settings: plainSettings, pattern: '#', ifExists: 'take' } as const
    const targets = ['a', 'b'].map((subscription) => ({ topic, subscription }))
    for (const target of targets) await adapter.declare(target, declaration)
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const removing = other.remove({ topic })
    await until(async () => !(await exists(`${topic}:a`)))
    const [again] = targets as [{ topic: string; subscription: string }]
    await adapter.declare(again, declaration)
    await removing
    expect(await adapter.publish([outbound({ topic })], live)).toEqual([{ ok: true }])
    expect(await adapter.size(again)).toBe(1)
    await other.remove({ topic })
    expect(await exists(`${topic}:a`)).toBe(false)
    await other.disconnect(live)
  })

  it('a topic that two delete at once is gone, and no error for either', async () => {
    const topic = fresh('topic')
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const declaration = { settings: plainSettings, pattern: '#', ifExists: 'take' } as const
    for (let round = 0; round < 8; round++) {
      await adapter.declare({ topic, subscription: 'a' }, declaration)
      await Promise.all([adapter.remove({ topic }), other.remove({ topic })])
      expect(await exists(`${topic}:a`)).toBe(false)
    }
    await other.disconnect(live)
  })

  it('a subscription that is made as its topic goes is written down once more, for the register went with it', async () => {
    const topic = fresh('topic')
    const [register, queue] = [`mq:topic:${topic}`, `${topic}:s`]
    const declaration = { settings: plainSettings, pattern: '#', ifExists: 'take' } as const
    await adapter.declare({ topic, subscription: 'before' }, declaration)
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const [begun, emptied, written, gone] = [step(), step(), step(), step()]
    const methods = methodsOf(channel, 'deleteQueue')
    const { assertQueue, deleteQueue } = methods
    jest.spyOn(methods, 'assertQueue').mockImplementation(async function (this: Channel, name, options) {
      if (name === register) {
        begun.over()
        await emptied.done
      }
      if (name === queue) {
        written.over()
        await gone.done
      }
      return assertQueue.call(this, name, options)
    })
    jest.spyOn(methods, 'deleteQueue').mockImplementation(async function (this: Channel, name, options) {
      if (name === register) {
        emptied.over()
        await written.done
      }
      const answer = await deleteQueue.call(this, name, options)
      if (name === register) gone.over()
      return answer
    })
    const declaring = adapter.declare({ topic, subscription: 's' }, declaration)
    await begun.done
    await other.remove({ topic })
    await declaring
    expect(await exists(queue)).toBe(true)
    await other.remove({ topic })
    expect(await exists(queue)).toBe(false)
    await other.disconnect(live)
  })

  it('a topic that is deleted while another client reads its register is deleted whole by the next call', async () => {
    const topic = fresh('topic')
    const declaration = { settings: plainSettings, pattern: '#', ifExists: 'take' } as const
    await adapter.declare({ topic, subscription: 's' }, declaration)
    const reading = await foreign.createChannel()
    const register = `mq:topic:${topic}`
    for (let entry = await reading.get(register); entry !== false; entry = await reading.get(register));
    await adapter.remove({ topic })
    await reading.close()
    await until(async () => (await channel.checkQueue(register)).messageCount > 0)
    await adapter.remove({ topic })
    expect(await exists(`${topic}:s`)).toBe(false)
    expect(await exists(register)).toBe(false)
  })

  it('a subscription that was removed in part may be made with another pattern', async () => {
    const topic = fresh('topic')
    const target = { topic, subscription: 's' }
    await adapter.declare(target, { settings: plainSettings, pattern: 'orders.*', ifExists: 'compare' })
    await (await foreign.createChannel()).deleteQueue(`${topic}:s`)
    await adapter.declare(target, { settings: plainSettings, pattern: 'bills.*', ifExists: 'compare' })
    await adapter.publish(
      ['orders.a', 'bills.a'].map((routingKey) => outbound({ topic }, { routingKey })),
      live,
    )
    expect(await adapter.size(target)).toBe(1)
  })

  it.each([false, true])(
    'a retry amid the closing makes no second message (ordered: %s)',
    async (ordered) => {
      const { queue } = await declare(adapter, fresh(), { ordered })
      await adapter.publish(
        Array.from({ length: 20 }, () => outbound({ queue })),
        live,
      )
      const receiver = await adapter.open(source({ queue }, { ordered }), () => undefined)
      const got = await take(receiver, 20)
      const retried = receiver.retry(got.slice(5), 0)
      await receiver.close(live)
      expect(new Set(await retried)).toEqual(new Set(['settled']))
      await until(async () => (await adapter.size({ queue })) >= 20)
      expect(await adapter.size({ queue })).toBe(20)
    },
  )

  it('who is not told that a queue is gone finds out', async () => {
    const methods = methodsOf(channel, 'handleCancel') as unknown as { handleCancel: () => void }
    const deaf = jest.spyOn(methods, 'handleCancel').mockImplementation(() => undefined)
    const cancelling = jest.spyOn(methodsOf(channel, 'cancel'), 'cancel')
    const findsOut = async (waitMs: number, held: number, how: Partial<Source> = {}) => {
      const { queue } = await declare(adapter, fresh(), { ordered: how.ordered ?? false })
      for (let n = 0; n < held; n++) await adapter.publish([outbound({ queue })], live)
      const receiver = await adapter.open(source({ queue }, how), () => undefined)
      expect(await take(receiver, held)).toHaveLength(held)
      let error: unknown = null
      const told = until(async () => {
        await receiver.receive(1, live, waitMs).catch((cause: unknown) => (error = cause))
        return error !== null
      })
      await until(async () => (await channel.checkQueue(queue)).consumerCount === 1)
      await channel.deleteQueue(queue)
      await told
      await receiver.close(live)
      return adapter.classify(error).code
    }
    const codes = await Promise.all([
      // Again and again, in one call, and with a message in hand.
      findsOut(200, 0),
      findsOut(120_000, 0),
      findsOut(120_000, 1),
      findsOut(120_000, 0, { mode: 'pull' }),
      findsOut(120_000, 0, { mode: 'pull', ordered: true }),
    ])
    expect(codes).toEqual(codes.map(() => 'MQ_QUEUE_NOT_FOUND'))
    expect(deaf).toHaveBeenCalledTimes(codes.length)
    // A cluster of 3.10 ends the connection of who cancels where it has not told.
    expect(cancelling).not.toHaveBeenCalled()
  })

  it.each([
    [false, 1],
    [true, 1],
    [true, 2],
  ])(
    'a consumer that does not get what the server counts as sent begins again (ordered: %s, partitions: %d)',
    async (ordered, partitions) => {
      const { queue } = await declare(adapter, fresh(), { ordered, partitions })
      // Of different partitions, where there are two.
      const [key, other] = ['a', 'b']
      const send = (id: string, of = key) => adapter.publish([outbound({ queue }, { id, key: of })], live)
      const open = () =>
        adapter.open(source({ queue }, { ordered, prefetch: 2 * partitions }), () => undefined)
      const methods = methodsOf(channel, 'consume')
      const { consume } = methods
      let [deaf, dropped] = [false, 0]
      jest.spyOn(methods, 'consume').mockImplementation(function (this: Channel, name, taken) {
        return consume.call(this, name, (message) => {
          if (deaf) dropped++
          else taken(message)
        })
      })
      const receiver = await open()
      await send('0')
      await receiver.ack(await take(receiver, 1))
      deaf = true
      for (let n = 1; n <= 4; n++) await send(`${n}`)
      await until(() => dropped === 2)
      deaf = false
      let error: unknown = null
      await until(async () => {
        // The other partition is busy all the time.
        if (partitions > 1) await send('other', other)
        await receiver
          .receive(1, live, 200)
          .then(receiver.ack)
          .catch((cause: unknown) => (error = cause))
        return error !== null
      }, 60_000)
      expect(adapter.classify(error)).toMatchObject({ code: 'MQ_UNAVAILABLE', retryable: true })
      await receiver.close(live)
      const again = await open()
      const ids: string[] = []
      while (ids.length < 4) {
        const got = await take(again, 1)
        ids.push(...got.map(({ id }) => id).filter((id) => id !== 'other'))
        await again.ack(got)
      }
      expect(ids).toEqual(['1', '2', '3', '4'])
      await again.close(live)
    },
    90_000,
  )

  it('a retry whose confirm stays away for long makes one copy, however often it is asked for', async () => {
    const { queue } = await declare(adapter, fresh())
    const hasty = rabbitmqAdapter({ url: broker.url, rpcTimeoutMs: 500 })
    await connected(hasty)
    await hasty.publish([outbound({ queue })], live)
    const receiver = await hasty.open(source({ queue }), () => undefined)
    // The channel of copies is open by the second time.
    expect(await receiver.retry(await take(receiver, 1), 0)).toEqual(['settled'])
    const got = await take(receiver, 1)
    broker.freeze()
    try {
      for (let i = 0; i < 3; i++) expect(await receiver.retry(got, 0)).toEqual([{ error: expect.anything() }])
    } finally {
      broker.thaw()
    }
    await until(async () => (await receiver.retry(got, 0))[0] === 'settled')
    await receiver.close(live)
    const other = await adapter.open(source({ queue }), () => undefined)
    expect((await take(other, 1))[0]?.deliveryCount).toBe(2)
    expect(await other.receive(9, live, 1_000)).toEqual([])
    await other.close(live)
    await hasty.disconnect(live)
  })

  it('a message that comes too late for the call that asked is there for others', async () => {
    const { queue } = await declare(adapter, fresh())
    const slow = rabbitmqAdapter({ url: broker.url, rpcTimeoutMs: 2_000 })
    await connected(slow)
    await adapter.publish([outbound({ queue })], live)
    const receiver = await slow.open(source({ queue }, { mode: 'pull' }), () => undefined)
    broker.freeze()
    try {
      await expect(receiver.receive(1, live, 0)).rejects.toMatchObject({ code: 'MQ_TIMEOUT' })
    } finally {
      broker.thaw()
    }
    const other = await adapter.open(source({ queue }), () => undefined)
    expect(await take(other, 1)).toHaveLength(1)
    await receiver.close(live)
    await other.close(live)
    await slow.disconnect(live)
  })
})
