import assert from 'node:assert/strict'
import { subscription } from '@mq/core'
import { collect, drain, eachOnce, gate, nothing, numbers, rejects, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

export const queues = group('queues', (item) => {
  item('create', 'createQueue is idempotent, by any number of connections at once', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await Promise.all([queue, other, queue, other].map((each) => each.createQueue({ name })))
    await queue.send(name, 'kept')
    await other.createQueue({ name })
    assert.equal((await take(t, other, name)).body, 'kept')
  })

  item(
    'conflict',
    'another configuration is a conflict that names both values, and changes nothing',
    async (t) => {
      const [queue, other] = [await t.connect(), await t.connect()]
      const name = t.name()
      await queue.createQueue({ name, messageTtl: 600_000, maxRedeliveries: 7 })
      await queue.send(name, 'kept')
      const before = other.createQueue({ name, deadLetterQueue: t.name('elsewhere'), messageTtl: 500_000 })
      const error = await rejects(before, 'MQ_QUEUE_CONFLICT')
      assert.ok(error.message.includes(name), error.message)
      const differences = error['differences'] as { field: string; existing: unknown; requested: unknown }[]
      assert.ok(differences.length > 0, 'differences')
      for (const { existing, requested } of differences) assert.notDeepEqual(existing, requested)
      const ttl = differences.find(({ field }) => field === 'messageTtl')
      if (ttl !== undefined) assert.deepEqual([ttl.existing, ttl.requested], [600_000, 500_000], 'messageTtl')
      await queue.createQueue({ name, messageTtl: 600_000, maxRedeliveries: 7 })
      assert.equal((await take(t, queue, name)).body, 'kept')
    },
  )

  item('names-alike', 'names that differ in case alone, or in one sign, are of two queues', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const long = name.padEnd(195, 'x')
    const names = ['-a', '-A', '_a', '-a.a'].map((end) => name + end).concat(`${long}a`, `${long}b`)
    for (const each of names) await queue.send(each, each)
    for (const each of names) {
      const bodies = (await drain(queue, each)).map(({ body }) => body)
      assert.deepEqual(bodies, [each])
    }
  })

  item(
    'unknown-argument',
    'an argument that the broker would ignore is refused, and nothing is made',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      const made = queue.createQueue({ name, arguments: { 'x-no-such-argument': 1 } })
      assert.match((await rejects(made, 'MQ_UNSUPPORTED')).message, /x-no-such-argument/)
      const strict = await t.connect({ autoDeclare: false })
      await rejects(strict.send(name, 'x'), 'MQ_QUEUE_NOT_FOUND')
    },
  )

  item('take-existing', 'first use takes an existing queue as it is', async (t) => {
    const [queue, other] = [
      await t.connect(),
      await t.connect({ defaultQueueConfig: { messageTtl: 600_000 } }),
    ]
    const name = t.name()
    await queue.createQueue({ name, maxRedeliveries: 7 })
    await other.send(name, 'x')
    assert.equal((await take(t, other, name)).body, 'x')
  })

  item('size', 'the size counts what is ready, and not what is leased, delayed or gone', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    assert.equal(await queue.getQueueSize(name), 0)
    await sendNumbers(queue, name, 5)
    await t.until(async () => (await other.getQueueSize(name)) === 5, 'size 5')
    const leased = await take(t, queue, name)
    const full = t.capabilities.size === 'ready'
    if (!full) t.refused('size')
    await t.until(async () => (await other.getQueueSize(name)) === (full ? 4 : 5), 'size with one leased')
    await queue.acknowledge(leased)
    await t.until(async () => (await other.getQueueSize(name)) === 4, 'size 4')
    await queue.send(name, 'later', { delay: 600_000 })
    await t.quiet(50)
    assert.equal(await other.getQueueSize(name), 4, 'with one delayed')
  })

  item('size-ordered', 'what waits behind its key counts as ready', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    await queue.sendBatch(numbers(4).map((body) => ({ body, key: 'k', queueName: name })))
    await take(t, queue, name)
    const full = t.capabilities.size === 'ready'
    if (!full) t.refused('size')
    await t.until(async () => (await queue.getQueueSize(name)) === (full ? 3 : 4), 'size with one leased')
  })

  item('purge', 'purge removes what is ready and answers how many', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 5)
    assert.equal(await queue.purgeQueue(name), 5)
    await nothing(queue, name)
    await t.until(async () => (await queue.getQueueSize(name)) === 0, 'size 0')
    assert.equal(await queue.purgeQueue(name), 0)
    await queue.send(name, 'after')
    assert.equal((await take(t, queue, name)).body, 'after')
  })

  item('purge-leased', 'purge leaves what is leased: it can still be settled', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 3)
    const held = [await take(t, queue, name), await take(t, queue, name)]
    assert.equal(await queue.purgeQueue(name), 1)
    const [first, second] = held
    if (first !== undefined) await queue.acknowledge(first)
    if (second !== undefined) await queue.reject(second, { requeue: true })
    const back = await take(t, queue, name)
    assert.deepEqual([back.id, back.deliveryCount], [second?.id, 1])
  })

  item('purge-delayed', 'purge removes what is delayed', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    // Not due before the purge, however long a busy machine takes; where it is waited for, not for ever.
    const delay = t.capabilities.purgeDelayed ? 500 : 4000
    await queue.send(name, 'again')
    await queue.reject(await take(t, queue, name), { requeue: true, delayMs: delay })
    await queue.send(name, 'later', { delay })
    await queue.send(name, 'ready')
    const purged = await queue.purgeQueue(name)
    if (!t.capabilities.purgeDelayed) {
      assert.equal(purged, 1)
      eachOnce([(await take(t, queue, name)).body, (await take(t, queue, name)).body], ['again', 'later'])
      return t.refused('purgeDelayed')
    }
    assert.equal(purged, 3)
    await t.quiet(700)
    await nothing(queue, name)
  })

  item('purge-ordered', 'purge removes what waits behind its key, and the key goes on', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    const send = (bodies: readonly unknown[]) =>
      queue.sendBatch(bodies.map((body) => ({ body, key: 'k', queueName: name })))
    await send(numbers(4))
    const held = await take(t, queue, name)
    assert.equal(held.body, 0)
    assert.equal(await queue.purgeQueue(name), 3)
    // The one that is held still holds its key.
    await send(['behind'])
    await nothing(queue, name)
    await queue.acknowledge(held)
    const behind = await take(t, queue, name)
    assert.equal(behind.body, 'behind')
    await queue.acknowledge(behind)
    await nothing(queue, name)
    await send(['purged', 'purged'])
    assert.equal(await queue.purgeQueue(name), 2)
    await send(['after', 'last'])
    for (const body of ['after', 'last']) {
      const message = await take(t, queue, name)
      assert.equal(message.body, body)
      await queue.acknowledge(message)
    }
  })

  item('purge-subscription', 'a subscription can be purged while it is consumed', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    const ref = subscription(topic, 's')
    const door = gate()
    const inbox = await collect(t, queue, ref, { concurrency: 1, prefetch: 1 }, () => door.passed)
    await queue.publish(topic, 'running')
    await inbox.count(1)
    for (const i of numbers(3)) await queue.publish(topic, i)
    if (!t.capabilities.purgeLiveSubscription) {
      await rejects(queue.purgeQueue(ref), 'MQ_UNSUPPORTED')
      return t.refused('purgeLiveSubscription')
    }
    assert.equal(await queue.purgeQueue(ref), 3)
    door.open()
    await queue.publish(topic, 'after')
    await inbox.count(2)
    assert.deepEqual(inbox.bodies(), ['running', 'after'])
  })

  item(
    'lease-ran-out',
    'a message whose lease ran out is ready again, though nobody asks for it',
    async (t) => {
      const [queue, other] = [await t.connect(), await t.connect()]
      const name = t.name()
      const ids = [await queue.send(name, 'a'), await queue.send(name, 'b')]
      const [first, second] = [await take(t, queue, name, t.leaseMs), await take(t, queue, name, t.leaseMs)]
      eachOnce([first.id, second.id], ids)
      // Some brokers leave it to the client to give back what is over, which looks now and then.
      await t.quiet(2 * t.leaseMs)
      await t.until(async () => (await other.getQueueSize(name)) === 2, 'size 2')
      await rejects(queue.acknowledge(first), 'MQ_LEASE_LOST')
      assert.equal(await queue.purgeQueue(name), 2)
      await nothing(queue, name)
    },
  )

  item('purge-one', 'purge and delete touch no other queue', async (t) => {
    const queue = await t.connect()
    const base = t.name()
    const others = [`${base}2`, `${base}.a`, `${base}-x`, `${base}.dlq`]
    for (const name of [base, ...others]) await queue.send(name, name)
    assert.equal(await queue.purgeQueue(base), 1)
    await queue.deleteQueue(base)
    for (const name of others) {
      const bodies = (await drain(queue, name)).map(({ body }) => body)
      assert.deepEqual(bodies, [name])
    }
  })

  item('delete', 'a deleted queue is gone with what it held; a missing one is no error', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 3)
    await queue.deleteQueue(name)
    await queue.deleteQueue(name)
    await queue.deleteQueue(t.name('never-was'))
    const strict = await t.connect({ autoDeclare: false })
    await rejects(strict.send(name, 'x'), 'MQ_QUEUE_NOT_FOUND')
    await queue.createQueue({ name })
    await nothing(queue, name)
    await t.until(async () => (await queue.getQueueSize(name)) === 0, 'size 0')
    const other = await t.connect()
    await queue.send(name, 'held')
    await take(t, queue, name)
    await other.deleteQueue(name)
    await other.createQueue({ name })
    // Gives back what it holds, of a queue that was another.
    await queue.disconnect()
    await nothing(other, name)
    await queue.connect()
    if (!t.capabilities.purgeDelayed) return t.refused('purgeDelayed')
    await queue.send(name, 'again')
    await queue.reject(await take(t, queue, name), { requeue: true, delayMs: 500 })
    await queue.send(name, 'later', { delay: 500 })
    await queue.deleteQueue(name)
    await queue.createQueue({ name })
    await t.quiet(700)
    await nothing(queue, name)
  })

  item('delete-ordered', 'an ordered queue that was deleted and made again knows no key', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const config = { name: t.name(), ordered: true, partitions: 1 }
    await queue.createQueue(config)
    for (const body of ['held', 'behind']) await queue.send(config.name, body, { key: 'k' })
    assert.equal((await take(t, queue, config.name)).body, 'held')
    await other.deleteQueue(config.name)
    await other.createQueue(config)
    await other.send(config.name, 'after', { key: 'k' })
    assert.equal((await take(t, other, config.name)).body, 'after')
  })

  item('deleted-elsewhere', 'a queue that another deleted is made again by whatever uses it', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const uses: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
      size: async (name) => assert.equal(await queue.getQueueSize(name), 0),
      purge: async (name) => assert.equal(await queue.purgeQueue(name), 0),
      receive: (name) => nothing(queue, name),
      letters: async (name) => assert.equal(await queue.deadLetters(name).count(), 0),
      consume: async (name) => {
        const inbox = await collect(t, queue, name)
        await other.send(name, 'x')
        await inbox.count(1)
      },
    }
    for (const [use, run] of Object.entries(uses)) {
      const name = t.name(use)
      await queue.createQueue({ name })
      await other.deleteQueue(name)
      await run(name)
    }
  })

  item(
    'expires',
    'a queue with x-expires goes when it was not used for so long, and stays while it is consumed',
    async (t) => {
      const queue = await t.connect()
      const strict = await t.connect({ autoDeclare: false })
      const [name, used] = [t.name(), t.name('used')]
      const expires = { 'x-expires': 2000 }
      const [made] = await Promise.allSettled([queue.createQueue({ name, arguments: expires })])
      if (made.status === 'rejected') {
        assert.equal((made.reason as { code?: unknown }).code, 'MQ_UNSUPPORTED')
        assert.match(String(made.reason), /x-expires/)
        return
      }
      await queue.createQueue({ name: used, arguments: expires })
      await sendNumbers(queue, used, 2)
      // At work for longer, and asking for nothing meanwhile.
      const door = gate()
      const inbox = await collect(t, queue, used, { concurrency: 1, prefetch: 1 }, () => door.passed)
      await inbox.count(1)
      const gone = (of: string) => async () => {
        // Less often than would be use enough to keep it.
        await t.quiet(3000)
        const [sent] = await Promise.allSettled([strict.send(of, 'x')])
        return sent.status === 'rejected' && (sent.reason as { code?: unknown }).code === 'MQ_QUEUE_NOT_FOUND'
      }
      await t.until(gone(name), 'the one that nobody uses gone')
      door.open()
      await inbox.count(2)
      eachOnce(inbox.bodies(), numbers(2))
      await inbox.consumer.stop()
      await t.until(gone(used), 'the other one gone as well')
    },
  )

  item('names', 'a name that some broker would not take is refused on all', async (t) => {
    const queue = await t.connect()
    for (const name of ['', '.hidden', 'a b', 'a/b', 'ü', 'x'.repeat(201)]) {
      await rejects(queue.send(name, 'x'), 'MQ_VALIDATION')
    }
    const longest = `${t.name()}-${'x'.repeat(200)}`.slice(0, 200)
    await queue.send(longest, 'x')
    assert.equal((await take(t, queue, longest)).body, 'x')
    await queue.deleteQueue(longest)
  })

  item('kept', 'a queue keeps its messages while nobody is connected to it', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 10)
    await queue.disconnect()
    const inbox = await collect(t, await t.connect(), name)
    await inbox.count(10)
    eachOnce(inbox.bodies(), numbers(10))
  })
})
