import { describe, expect, it, jest } from '@jest/globals'
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
import type { Delivery } from '@mq/core/adapter'
import { createRequire } from 'node:module'
import { rabbitmqAdapter } from '../src/index.ts'
import { adapter, broker, channel, foreign } from './bench.ts'
import { take } from './take.ts'

/** The client's own. */
const { Channel } = createRequire(createRequire(import.meta.url).resolve('amqplib'))(
  './lib/channel_model.js',
) as {
  Channel: { prototype: { cancel(tag: string): Promise<unknown>; close(): Promise<unknown> } }
}

describe('an ordered queue that was not declared here', () => {
  it('gives nobody else the next of a key when a message comes as a call for it ends', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true })
    const open = () => adapter.open(source({ queue }, { mode: 'pull', ordered: true }), () => undefined)
    const [first, second] = [await open(), await open()]
    const send = () =>
      adapter.publish(
        [1, 2].map((n) => outbound({ queue }, { id: `${n}`, key: 'k' })),
        live,
      )
    // Sent, and arrived, between the end of the wait and what the server is told of it.
    const late = async () => {
      await send()
      await until(async () => (await channel.checkQueue(queue)).messageCount === 1)
    }
    const { cancel, close } = Channel.prototype
    Channel.prototype.cancel = async function (tag) {
      Channel.prototype.cancel = cancel
      await late()
      return cancel.call(this, tag)
    }
    Channel.prototype.close = async function () {
      Channel.prototype.close = close
      await late()
      return close.call(this)
    }
    let held: readonly Delivery[]
    try {
      held = await first.receive(1, live, 1500)
    } finally {
      Object.assign(Channel.prototype, { cancel, close })
    }
    const others = await second.receive(1, live, 2000)
    expect([...held, ...others].map(({ id }) => id)).toEqual(['1'])
    await Promise.all([first.close(live), second.close(live)])
  })

  it('gives back before the next consumer becomes the active one', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true })
    const sent = Array.from({ length: 5 }, () => outbound({ queue }, { key: 'k' }))
    await adapter.publish(sent, live)
    const stranger = rabbitmqAdapter({ url: broker.url })
    await connected(stranger)
    const first = await stranger.open(source({ queue }, { ordered: true, prefetch: 3 }), () => undefined)
    const held = await take(first, 3)
    const standby = await adapter.open(source({ queue }, { ordered: true }), () => undefined)
    const after = take(standby, 5)
    await first.release(held)
    await first.close(live)
    expect((await after).map(({ id }) => id)).toEqual(sent.map(({ id }) => id))
    await standby.close(live)
    await stranger.disconnect(live)
  })
})

describe('an ordered queue of several partitions', () => {
  const partitions = 3

  it('keeps the order of each key, and lets its partitions go to different consumers', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    const sent = Array.from({ length: 60 }, (_, i) => outbound({ queue }, { key: keys[i % keys.length] }))
    const outcomes = await adapter.publish(sent, live)
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    const sizes = await Promise.all(
      [queue, `${queue}::p1`, `${queue}::p2`].map(
        async (name) => (await channel.checkQueue(name)).messageCount,
      ),
    )
    expect(sizes.reduce((sum, n) => sum + n)).toBe(60)
    expect(sizes.filter((n) => n > 0).length).toBeGreaterThan(1)
    expect(await adapter.size({ queue })).toBe(60)
    const receiver = await adapter.open(source({ queue }, { ordered: true }), () => undefined)
    const got = await take(receiver, 60)
    for (const key of keys) {
      const ids = (list: readonly { key: string | undefined; id: string }[]) =>
        list.filter((each) => each.key === key).map(({ id }) => id)
      expect(ids(got)).toEqual(ids(sent))
    }
    expect((await receiver.ack(got)).every((outcome) => outcome === 'settled')).toBe(true)
    await receiver.close(live)
  })

  it('is found with its partitions by one that did not make it, and is gone whole', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    const answer = await other.declare(
      { queue },
      { settings: { ...plainSettings, ordered: true }, pattern: undefined, ifExists: 'take' },
    )
    expect([answer.partitions, answer.ordered ?? true]).toEqual([partitions, true])
    await other.publish(
      [1, 2, 3, 4].map((n) => outbound({ queue }, { key: `k${n}` })),
      live,
    )
    expect(await other.purge({ queue })).toBe(4)
    await other.remove({ queue })
    await other.disconnect(live)
    for (const name of [queue, `${queue}::p1`, `${queue}::p2`]) {
      const looking = await foreign.createChannel()
      looking.on('error', () => undefined)
      await expect(looking.checkQueue(name)).rejects.toMatchObject({ code: 404 })
    }
  })

  it('takes nothing that it gives back at once, since that counts until a message seems to be poison', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    const sent = Array.from({ length: 36 }, (_, i) => outbound({ queue }, { key: keys[i % keys.length] }))
    await adapter.publish(sent, live)
    const receiver = await adapter.open(source({ queue }, { mode: 'pull', ordered: true }), () => undefined)
    const got: Delivery[] = []
    while (got.length < sent.length) {
      const one = await receiver.receive(1, live, 20_000)
      await receiver.ack(one)
      got.push(...one)
    }
    await receiver.close(live)
    expect(Math.max(...got.map(({ redeliveries }) => redeliveries))).toBe(0)
    for (const key of keys) {
      const ids = (list: readonly { key: string | undefined; id: string }[]) =>
        list.filter((each) => each.key === key).map(({ id }) => id)
      expect(ids(got)).toEqual(ids(sent))
    }
  })

  it('whose partitions are all with others is looked at in the time of one of them', async () => {
    const many = 16
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions: many })
    const open = (mode: 'consume' | 'pull') =>
      adapter.open(source({ queue }, { mode, ordered: true, prefetch: 1 }), () => undefined)
    const other = await open('consume')
    const sent = Array.from({ length: 200 }, (_, n) => outbound({ queue }, { key: `${n}` }))
    await adapter.publish(sent, live)
    const held = await other.receive(1, live)
    const receiver = await open('pull')
    const since = performance.now()
    expect(await receiver.receive(1, live, 0)).toEqual([])
    // Each by itself would take half a second.
    expect(performance.now() - since).toBeLessThan((many / 2) * 500)
    await receiver.close(live)
    await other.ack(held)
    await other.close(live)
  })

  it('leaves no timer of what waits for another attempt where it was taken', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    await adapter.publish([outbound({ queue }, { key: 'k' })], live)
    const receiver = await adapter.open(source({ queue }, { mode: 'pull', ordered: true }), () => undefined)
    const held = await take(receiver, 1)
    const set = jest.spyOn(globalThis, 'setTimeout')
    const cleared = jest.spyOn(globalThis, 'clearTimeout')
    try {
      expect(await receiver.retry(held, 40 * 86_400_000)).toEqual(['settled'])
      const timer = set.mock.results[set.mock.calls.findIndex(([, ms]) => ms === 2 ** 31 - 1)]?.value
      expect(timer).toBeDefined()
      await receiver.close(live)
      await until(() => cleared.mock.calls.some(([each]) => each === timer))
    } finally {
      set.mockRestore()
      cleared.mockRestore()
    }
  })

  it('that refuses when it is full has waiting queues of its own, retries included', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions: 2, maxLength: 9 })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    await adapter.publish(
      keys.map((key) => outbound({ queue }, { key })),
      live,
    )
    const receiver = await adapter.open(source({ queue }, { ordered: true }), () => undefined)
    const outcomes = await receiver.retry(await take(receiver, keys.length), 100)
    expect(outcomes).toEqual(keys.map(() => 'settled'))
    for (const name of [queue, `${queue}::p1`])
      await expect(channel.checkQueue(`mq:delayed:100:${name}`)).resolves.toMatchObject({ consumerCount: 0 })
    await receiver.close(live)
  })

  it('does not meet a topic of the same name, whatever its subscriptions are called', async () => {
    const { queue } = await declare(adapter, fresh('ordered'), { ordered: true, partitions })
    const subscribed = { topic: queue, subscription: 'p1' }
    await adapter.declare(subscribed, { settings: plainSettings, pattern: '#', ifExists: 'take' })
    await adapter.publish(
      Array.from({ length: 20 }, (_, n) => outbound({ queue }, { key: `k${n}` })),
      live,
    )
    expect([await adapter.size({ queue }), await adapter.size(subscribed)]).toEqual([20, 0])
    await adapter.remove({ topic: queue })
    expect(await adapter.size({ queue })).toBe(20)
  })
})
