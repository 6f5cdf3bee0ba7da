import assert from 'node:assert/strict'
import { subscription, type MessageQueue } from '@mq/core'
import type { TestContext } from '../context.ts'
import { collect, drain, eachOnce, nothing, numbers, rejects, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

/** Two connections that have both used a queue. */
async function both(t: TestContext): Promise<{ mine: MessageQueue; theirs: MessageQueue; name: string }> {
  const [mine, theirs] = [await t.connect(), await t.connect()]
  const name = t.name()
  for (const queue of [mine, theirs]) {
    await queue.createQueue({ name })
    await queue.send(name, 'x')
    assert.equal((await drain(queue, name)).length, 1)
  }
  return { mine, theirs, name }
}

/** What one connection changes, another that knew it as it was goes by. */
export const elsewhere = group('queues', (item) => {
  item('elsewhere-size', 'what others send, take and purge is counted', async (t) => {
    const { mine, theirs, name } = await both(t)
    const sized = (n: number) =>
      t.until(
        async () => (await mine.getQueueSize(name)) === n,
        () => `size ${n}`,
      )
    await sendNumbers(theirs, name, 4)
    await sized(4)
    await theirs.acknowledge(await take(t, theirs, name))
    await sized(3)
    await mine.send(name, 'mine')
    assert.equal(await theirs.purgeQueue(name), 4)
    await sized(0)
    await nothing(mine, name)
    await theirs.send(name, 'after')
    assert.equal(await mine.purgeQueue(name), 1)
  })

  item('elsewhere-order', 'a queue that others made anew as an ordered one keeps order', async (t) => {
    const { mine, theirs, name } = await both(t)
    await theirs.deleteQueue(name)
    await theirs.createQueue({ name, ordered: true, partitions: 2 })
    const seen = new Map<string | undefined, unknown[]>()
    const running = new Set<string | undefined>()
    const inbox = await collect(t, theirs, name, { concurrency: 8 }, async ({ key, body }) => {
      assert.ok(!running.has(key), 'two of one key at once')
      running.add(key)
      await t.quiet((body as number) % 3)
      seen.set(key, [...(seen.get(key) ?? []), body])
      running.delete(key)
    })
    await mine.sendBatch(numbers(30).map((body) => ({ body, key: `k${body % 3}`, queueName: name })))
    await inbox.count(30)
    await t.until(() => [...seen.values()].flat().length === 30, 'all handled, each once')
    for (const [key, bodies] of seen)
      assert.deepEqual(
        bodies,
        numbers(30).filter((n) => `k${n % 3}` === key),
        key,
      )
  })

  item('elsewhere-limit', 'a queue that others made anew with a limit has it', async (t) => {
    const { limits } = t.capabilities
    if (limits === 'none') return t.refused('limits')
    const { mine, theirs, name } = await both(t)
    await theirs.deleteQueue(name)
    await theirs.createQueue({ name, maxLength: 2, overflow: 'reject' })
    let stored = 0
    const full = async () => {
      for (; stored < 500; stored++) await mine.send(name, stored)
    }
    await rejects(full(), 'MQ_QUEUE_FULL')
    if (limits === 'exact') assert.equal(stored, 2)
    const got = await drain(theirs, name)
    eachOnce(
      got.map(({ body }) => body),
      numbers(stored),
    )
  })

  item('elsewhere-topic', 'subscriptions that others make, change and remove count at once', async (t) => {
    const [mine, theirs] = [await t.connect(), await t.connect()]
    const topic = t.name('topic')
    const [kept, other] = [subscription(topic, 'kept'), subscription(topic, 'other')]
    const bodies = async (from: typeof kept) => (await drain(theirs, from)).map(({ body }) => body)
    await mine.createSubscription(topic, 'kept')
    await mine.publish(topic, 1, { routingKey: 'a.b' })
    await theirs.createSubscription(topic, 'other', { pattern: 'a.*' })
    await mine.publish(topic, 2, { routingKey: 'a.b' })
    assert.deepEqual(await bodies(other), [2])
    await theirs.deleteSubscription(topic, 'other')
    await mine.publish(topic, 3, { routingKey: 'a.b' })
    await theirs.createSubscription(topic, 'other', { pattern: 'c.*' })
    await mine.publish(topic, 4, { routingKey: 'a.b' })
    await mine.publish(topic, 5, { routingKey: 'c.d' })
    assert.deepEqual(await bodies(other), [5])
    eachOnce(await bodies(kept), [1, 2, 3, 4, 5])
  })
})
