import assert from 'node:assert/strict'
import type { BrokerAdapter, QueueSettings, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, later, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

async function subscribed(
  adapter: BrokerAdapter,
  topic: string,
  subscription: string,
  over: Partial<QueueSettings> = {},
) {
  const target = { topic, subscription }
  const settings = { ...plainSettings, ...over }
  await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
  await adapter.declare(target, { settings, pattern: '#', ifExists: 'take' })
  return target
}

async function publishOne(t: TestContext, adapter: BrokerAdapter, topic: string): Promise<string> {
  const message = outbound({ topic })
  const [outcome] = await adapter.publish([message], t.deadline())
  assert.equal(outcome?.ok, true, 'not accepted')
  return message.id
}

async function isGone(adapter: BrokerAdapter, target: Target): Promise<boolean> {
  const error: unknown = await later(adapter.size(target)).then(
    () => null,
    (reason: unknown) => reason,
  )
  return error !== null && adapter.classify(error).code === 'MQ_QUEUE_NOT_FOUND'
}

/** What a queue may have, a subscription may as well. */
export const subscriptionLimits = group('topics', (item) => {
  item(
    'drop-oldest',
    'a subscription drops its own oldest, by number or bytes, and no other’s',
    async (t) => {
      const { limits } = t.capabilities
      if (limits === 'none') return t.refused('limits')
      const adapter = await t.connected()
      const topic = t.name('topic')
      const most = { many: { maxLength: 2 }, large: { maxLengthBytes: 2 * outbound({ topic }).body.length } }
      const dead = { queue: t.name('dead') }
      await adapter.declare(dead, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const bystander = await subscribed(adapter, topic, 'all')
      for (const [name, limit] of Object.entries(most))
        await subscribed(adapter, topic, name, {
          ...limit,
          overflow: 'drop-oldest',
          deadLetterQueue: dead.queue,
        })
      const sent: string[] = []
      for (const _ of numbers(5)) sent.push(await publishOne(t, adapter, topic))
      const dropped = async () => (await adapter.size(dead)) >= 2 * 3
      await t.until(dropped, 'three dropped of each')
      const letters = await receiveAll(t, await adapter.open(source(dead), () => undefined), 2 * 3)
      for (const name of Object.keys(most)) {
        const ours = letters.filter(({ deadLetter }) => deadLetter?.subscription === name)
        const gone = ours.map(({ id }) => id)
        eachOnce(gone, sent.slice(0, gone.length), `dropped of ${name}`)
        for (const { deadLetter } of ours)
          assert.deepEqual([deadLetter?.reason, deadLetter?.queue], ['max-length', topic])
        const receiver = await adapter.open(
          source({ topic, subscription: name }, { mode: 'pull' }),
          () => undefined,
        )
        const left = await receiveAll(t, receiver, 5 - gone.length)
        left.push(...(await receiver.receive(10, t.deadline(), 0)))
        eachOnce(
          left.map(({ id }) => id),
          sent.slice(gone.length),
          `left of ${name}`,
        )
      }
      const beside = await adapter.open(source(bystander, { mode: 'pull' }), () => undefined)
      eachOnce(
        (await receiveAll(t, beside, 5)).map(({ id }) => id),
        sent,
        'of the other subscription',
      )
      if (limits !== 'exact') t.refused('limits')
    },
  )

  item('auto-delete', 'an autoDelete subscription goes with its last consumer', async (t) => {
    if (!t.capabilities.autoDelete) return t.refused('autoDelete')
    const adapter = await t.connected()
    const topic = t.name('topic')
    const bystander = await subscribed(adapter, topic, 'stays')
    const target = await subscribed(adapter, topic, 'goes', { autoDelete: true })
    const [one, two] = [
      await adapter.open(source(target), () => undefined),
      await adapter.open(source(target), () => undefined),
    ]
    await one.close(t.deadline())
    await publishOne(t, adapter, topic)
    assert.equal((await receiveAll(t, two, 1)).length, 1)
    await two.close(t.deadline())
    await t.until(() => isGone(adapter, target), 'the subscription gone')
    const beside = await adapter.open(source(bystander), () => undefined)
    await receiveAll(t, beside, 1)
  })

  item('exclusive', 'an exclusive subscription refuses others, and ends with its connection', async (t) => {
    if (!t.capabilities.exclusive) return t.refused('exclusive')
    const [adapter, other] = [await t.connected(), await t.connected()]
    const topic = t.name('topic')
    const bystander = await subscribed(adapter, topic, 'stays')
    const target = await subscribed(adapter, topic, 'mine', { exclusive: true })
    const calls: Record<string, () => Promise<unknown>> = {
      declare: () => subscribed(other, topic, 'mine', { exclusive: true }),
      consume: () => other.open(source(target), () => undefined),
      pull: () => other.open(source(target, { mode: 'pull' }), () => undefined),
    }
    for (const [name, call] of Object.entries(calls)) {
      const [result] = await Promise.allSettled([call()])
      assert.equal(result?.status, 'rejected', name)
    }
    const id = await publishOne(t, other, topic)
    const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
    assert.deepEqual(
      (await receiveAll(t, receiver, 1)).map((delivery) => delivery.id),
      [id],
    )
    await adapter.disconnect(t.deadline())
    await t.until(() => isGone(other, target), 'the subscription gone')
    await receiveAll(t, await other.open(source(bystander), () => undefined), 1)
  })

  item('expires', 'a subscription that nobody uses goes when its time is over, and no other', async (t) => {
    const adapter = await t.connected()
    const topic = t.name('topic')
    const bystander = await subscribed(adapter, topic, 'stays')
    const expires = { expires: 2000 }
    const target = { topic, subscription: 'goes' }
    const [made] = await Promise.allSettled([subscribed(adapter, topic, 'goes', expires)])
    if (made.status === 'rejected') {
      assert.equal(adapter.classify(made.reason).code, 'MQ_UNSUPPORTED')
      return
    }
    const used = await subscribed(adapter, topic, 'used', expires)
    // At work for longer, and asking for nothing meanwhile.
    const consumer = await adapter.open(source(used), () => undefined)
    await publishOne(t, adapter, topic)
    const held = await receiveAll(t, consumer, 1)
    await t.until(async () => {
      // Less often than would be use enough to keep it.
      await t.quiet(3000)
      return isGone(adapter, target)
    }, 'the one that nobody uses gone')
    assert.equal((await adapter.publish([outbound(used)], t.deadline()))[0]?.ok, true, 'not accepted')
    held.push(...(await receiveAll(t, consumer, 1)))
    assert.deepEqual([...(await consumer.ack(held))], ['settled', 'settled'])
    await consumer.close(t.deadline())
    await receiveAll(t, await adapter.open(source(bystander), () => undefined), 1)
  })
})
