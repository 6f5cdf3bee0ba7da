import assert from 'node:assert/strict'
import { subscription } from '@mq/core'
import { outbound, plainSettings, source } from '../fixtures.ts'
import {
  drain,
  eachOnce,
  gate,
  nothing,
  numbers,
  receiveAll,
  rejects,
  subscribe,
  take,
  type QueueArg,
} from '../helpers.ts'
import { group } from '../item.ts'

export const topics = group('topics', (item) => {
  item('each-all', 'two subscriptions each get every message, once', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    const a = await subscribe(t, queue, topic, 'a')
    const b = await subscribe(t, queue, topic, 'b')
    await Promise.all(numbers(20).map((i) => queue.publish(topic, i)))
    await a.count(20)
    await b.count(20)
    await t.quiet(50)
    eachOnce(a.bodies(), numbers(20), 'subscription a')
    eachOnce(b.bodies(), numbers(20), 'subscription b')
  })

  item('competing', 'consumers of one subscription share its messages', async (t) => {
    const topic = t.name('topic')
    const [one, two] = [await t.connect(), await t.connect()]
    const first = await subscribe(t, one, topic, 'shared')
    const second = await subscribe(t, two, topic, 'shared')
    await Promise.all(numbers(30).map((i) => one.publish(topic, i)))
    const all = () => [...first.bodies(), ...second.bodies()]
    await t.until(() => all().length >= 30, 'all handled')
    await t.quiet(50)
    eachOnce(all(), numbers(30))
  })

  item('fields', 'a published message keeps its fields, and names its topic', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    await queue.createSubscription(topic, 's')
    const id = await queue.publish(
      topic,
      { a: 1 },
      { headers: { h: 'v' }, routingKey: 'orders.new', correlationId: 'c' },
    )
    const got = await take(t, queue, subscription(topic, 's'))
    assert.deepEqual([got.id, got.body, { ...got.headers }], [id, { a: 1 }, { h: 'v' }])
    assert.deepEqual([got.queueName, got.routingKey, got.correlationId], [topic, 'orders.new', 'c'])
  })

  item('nobody', 'publish resolves although nobody subscribes', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    await queue.publish(topic, 'unheard')
    await queue.createSubscription(topic, 'all')
    await nothing(queue, subscription(topic, 'all'))
    await queue.createSubscription(topic, 'a', { pattern: 'orders.*' })
    await queue.publish(topic, 'unmatched', { routingKey: 'bills.new' })
    await nothing(queue, subscription(topic, 'a'))
  })

  item(
    'later',
    'history is not delivered: a subscription gets what is published after it exists',
    async (t) => {
      const queue = await t.connect()
      const topic = t.name('topic')
      await queue.createSubscription(topic, 'early')
      await queue.publish(topic, 'before')
      await queue.createSubscription(topic, 'late')
      await queue.publish(topic, 'after')
      const late = await take(t, queue, subscription(topic, 'late'))
      assert.equal(late.body, 'after')
      await nothing(queue, subscription(topic, 'late'))
    },
  )

  item('without-consumer', 'a subscription keeps what is published while nobody consumes it', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    await queue.createSubscription(topic, 's')
    for (const i of numbers(3)) await queue.publish(topic, i)
    await queue.disconnect()
    const other = await t.connect()
    await t.until(async () => (await other.getQueueSize(subscription(topic, 's'))) === 3, 'size 3')
    const bodies = (await drain(other, subscription(topic, 's'))).map(({ body }) => body)
    eachOnce(bodies, numbers(3))
  })

  item('pattern', 'a pattern filters by routing key, word by word', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    const patterns = {
      one: 'orders.*',
      all: '#',
      tail: 'orders.#',
      head: '#.new',
      around: 'orders.#.new',
      middle: '*.eu.*',
      word: '*',
      exact: 'orders.eu.new',
      some: '#.#',
      last: '#.*',
      first: '*.#',
      two: '*.*',
      twice: '#.eu.#.new',
      wide: 'orders.*.new',
    }
    for (const [name, pattern] of Object.entries(patterns))
      await queue.createSubscription(topic, name, { pattern })
    const keys = [
      'orders',
      'orders.new',
      'orders.eu.new',
      'orders.eu.west.new',
      'my.orders.eu.new',
      'bills.eu.new',
      'bills',
      // Close to the others, and something else.
      'ordersx',
      'orders-eu-new',
      'Orders.new',
      // No word, and words that are empty.
      '',
      'orders.',
      '.new',
      'orders..new',
      'eu.eu.new',
    ]
    // Some the same as the one before them, and some not.
    const twice = keys.flatMap((key) => [key, key])
    await Promise.all(twice.map((routingKey) => queue.publish(topic, [routingKey], { routingKey })))
    const worded = keys.filter((key) => key !== '')
    const expected: Record<keyof typeof patterns, string[]> = {
      one: ['orders.new', 'orders.'],
      all: keys,
      tail: ['orders', 'orders.new', 'orders.eu.new', 'orders.eu.west.new', 'orders.', 'orders..new'],
      head: worded.filter((key) => key.endsWith('.new')),
      around: ['orders.new', 'orders.eu.new', 'orders.eu.west.new', 'orders..new'],
      middle: ['orders.eu.new', 'bills.eu.new', 'eu.eu.new'],
      word: ['orders', 'bills', 'ordersx', 'orders-eu-new'],
      exact: ['orders.eu.new'],
      some: keys,
      last: worded,
      first: worded,
      two: ['orders.new', 'Orders.new', 'orders.', '.new'],
      twice: ['orders.eu.new', 'orders.eu.west.new', 'my.orders.eu.new', 'bills.eu.new', 'eu.eu.new'],
      wide: ['orders.eu.new', 'orders..new'],
    }
    for (const name of Object.keys(patterns) as (keyof typeof patterns)[]) {
      const bodies = (await drain(queue, subscription(topic, name))).map(({ body }) => (body as string[])[0])
      const all = expected[name].flatMap((key) => [key, key])
      eachOnce(bodies, all, `pattern ${patterns[name]}`)
    }
  })

  item('pattern-conflict', 'the same subscription with another pattern is a conflict', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    await queue.createSubscription(topic, 's', { pattern: 'a.*' })
    await queue.createSubscription(topic, 's', { pattern: 'a.*' })
    const other = await t.connect()
    await rejects(other.createSubscription(topic, 's', { pattern: 'b.*' }), 'MQ_QUEUE_CONFLICT')
    await queue.publish(topic, 'kept', { routingKey: 'a.x' })
    await queue.createSubscription(topic, 's', { pattern: 'a.*' })
    assert.equal((await take(t, queue, subscription(topic, 's'))).body, 'kept')
    // What is deleted and made again knows nothing of the one before.
    await queue.deleteSubscription(topic, 's')
    await queue.createSubscription(topic, 's', { pattern: 'b.*' })
    await queue.publish(topic, 'unmatched', { routingKey: 'a.x' })
    await queue.publish(topic, 'matched', { routingKey: 'b.x' })
    assert.equal((await take(t, queue, subscription(topic, 's'))).body, 'matched')
    await nothing(queue, subscription(topic, 's'))
  })

  item('taken', 'a subscription that another uses as it is keeps its pattern', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const topic = t.name('topic')
    await queue.createSubscription(topic, 's', { pattern: 'a.*' })
    await nothing(other, subscription(topic, 's'))
    await queue.publish(topic, 'unmatched', { routingKey: 'b.x' })
    await queue.publish(topic, 'matched', { routingKey: 'a.x' })
    assert.equal((await take(t, other, subscription(topic, 's'))).body, 'matched')
    await nothing(other, subscription(topic, 's'))
  })

  item('purge-apart', 'size and purge of one subscription leave the other’s copies alone', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    const [a, b] = ['a', 'b'].map((name) => subscription(topic, name)) as [QueueArg, QueueArg]
    // Named alike, in this topic and in another one.
    const alike = [subscription(topic, 'ab'), subscription(`${topic}2`, 'a')]
    await queue.createSubscription(topic, 'ab')
    await queue.createSubscription(`${topic}2`, 'a')
    await queue.publish(`${topic}2`, 'other')
    for (const name of ['a', 'b']) await queue.createSubscription(topic, name, { pattern: `#.${name}.#` })
    for (const [body, routingKey] of ['a', 'a.b', 'b.a', 'b', 'a.x.b'].entries())
      await queue.publish(topic, body, { routingKey })
    await t.until(async () => (await queue.getQueueSize(a)) === 4, 'size 4')
    assert.equal(await queue.purgeQueue(a), 4)
    await t.until(async () => (await queue.getQueueSize(a)) === 0, 'size 0')
    await t.until(async () => (await queue.getQueueSize(b)) === 4, 'size 4 of the other')
    const bodies = (await drain(queue, b)).map(({ body }) => body)
    eachOnce(bodies, [1, 2, 3, 4])
    await nothing(queue, a)
    for (const [i, n] of [5, 1].entries()) assert.equal((await drain(queue, alike[i] as QueueArg)).length, n)
  })

  item('isolated', 'topics do not mix, whatever their names begin with', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    await queue.createSubscription(topic, 's')
    await queue.createSubscription(`${topic}2`, 's')
    await queue.publish(topic, 'one')
    await queue.publish(`${topic}2`, 'two')
    const first = (await drain(queue, subscription(topic, 's'))).map(({ body }) => body)
    const second = (await drain(queue, subscription(`${topic}2`, 's'))).map(({ body }) => body)
    assert.deepEqual([first, second], [['one'], ['two']])
  })

  item('slow', 'a slow subscription holds up no other', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    const door = gate()
    const slow = await subscribe(t, queue, topic, 'slow', { prefetch: 1 }, () => door.passed)
    const quick = await subscribe(t, queue, topic, 'quick')
    await Promise.all(numbers(20).map((i) => queue.publish(topic, i)))
    await quick.count(20)
    assert.ok(slow.messages.length <= 1, 'more than its prefetch')
    door.open()
    await slow.count(20)
  })

  item('settled-apart', 'acknowledging in one subscription leaves the other’s copy alone', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    for (const name of ['a', 'b']) await queue.createSubscription(topic, name)
    await queue.publish(topic, 'x')
    await queue.acknowledge(await take(t, queue, subscription(topic, 'a')))
    await nothing(queue, subscription(topic, 'a'))
    assert.equal((await take(t, queue, subscription(topic, 'b'))).body, 'x')
  })

  item('delete', 'a deleted subscription gets nothing more; a deleted topic has none', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    for (const name of ['a', 'b', 'ab']) await queue.createSubscription(topic, name)
    const alike = `${topic}2`
    for (const name of ['a', 'b']) await queue.createSubscription(alike, name)
    await queue.publish(alike, 'other')
    await queue.publish(topic, 'old')
    await queue.deleteSubscription(topic, 'a')
    await queue.createSubscription(topic, 'a')
    await nothing(queue, subscription(topic, 'a'))
    for (const name of ['b', 'ab'])
      assert.equal((await take(t, queue, subscription(topic, name))).body, 'old', name)
    await queue.publish(topic, 'left behind')
    await queue.deleteTopic(topic)
    await queue.deleteTopic(topic)
    await queue.createSubscription(topic, 'b')
    await nothing(queue, subscription(topic, 'b'))
    for (const name of ['a', 'b'])
      assert.equal((await take(t, queue, subscription(alike, name))).body, 'other', `${name} of another`)
  })

  item(
    'full',
    'what a full subscription refuses is not in another, unless that is said to be unknown',
    async (t) => {
      if (t.capabilities.limits === 'none') return t.refused('limits')
      const adapter = await t.connected()
      const topic = t.name('topic')
      const targets = ['a', 'full', 'z'].map((name) => ({ topic, subscription: name }))
      for (const target of targets) {
        const maxLength = target.subscription === 'full' ? 2 : null
        const settings = { ...plainSettings, maxLength }
        await adapter.declare(target, { settings, pattern: '#', ifExists: 'take' })
      }
      const accepted: string[] = []
      const maybe: string[] = []
      let refusals = 0
      // A soft limit may let some more through.
      await t.until(async () => {
        const message = outbound({ topic })
        const [outcome] = await adapter.publish([message], t.deadline())
        if (outcome?.ok === true) accepted.push(message.id)
        else if (outcome?.certainty === 'unknown') maybe.push(message.id)
        if (outcome?.ok === false) {
          assert.equal(adapter.classify(outcome.error).code, 'MQ_QUEUE_FULL')
          refusals++
        }
        return refusals >= 2
      }, 'two refused')
      for (const target of targets) {
        const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
        const got = await receiveAll(t, receiver, accepted.length)
        got.push(...(await receiver.receive(100, t.deadline(), 0)))
        const certain = got.map(({ id }) => id).filter((id) => !maybe.includes(id))
        eachOnce(certain, accepted, `in ${target.subscription}`)
      }
      if (t.capabilities.limits !== 'exact') t.refused('limits')
    },
  )
})
