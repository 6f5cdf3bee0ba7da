import assert from 'node:assert/strict'
import { subscription } from '@mq/core'
import { outbound, plainSettings, source } from '../fixtures.ts'
import {
  CLOCKS_APART_MS,
  collect,
  eachOnce,
  gate,
  MOST_LATE_MS,
  nothing,
  receiveAll,
  rejects,
  take,
} from '../helpers.ts'
import { group } from '../item.ts'

export const time = group('time', (item) => {
  item('delay', 'a delayed message comes no earlier than its delay, and not much later', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name })
    // The guarantee is due + 1 s on an idle broker; the rest, and another try, is for the machine that runs the tests.
    const longest = 400 + 1000 + 3000
    let took = Infinity
    for (let tries = 0; tries < 3 && took > longest; tries++) {
      const sentAt = t.now()
      const id = await queue.send(name, 'x', { delay: 400 })
      // On a busy machine the look itself may outlast the delay.
      const message = (await queue.receive(name)) ?? (await take(t, queue, name))
      took = t.now() - sentAt
      assert.equal(message.id, id)
      assert.ok(took >= 398, `came after ${took} ms`)
      await queue.acknowledge(message)
    }
    assert.ok(took <= longest, `came after ${took} ms`)
  })

  item(
    'punctual',
    'what is delayed or retried comes within a second of its time, and not before',
    async (t) => {
      const delayMs = 2000
      const adapter = await t.connected()
      const queue = t.name()
      await adapter.declare({ queue }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const receiver = await adapter.open(source({ queue }), () => undefined)
      await adapter.publish([outbound({ queue })], t.deadline())
      let held = await receiveAll(t, receiver, 1)
      const late = { delayed: Infinity, retried: Infinity }
      // The best of some: a stall of this machine is not the broker's.
      for (let tries = 0; tries < 5 && Math.max(late.delayed, late.retried) > MOST_LATE_MS; tries++) {
        const startedAt = t.now()
        const publishing = adapter.publish([outbound({ queue }, { delayMs })], t.deadline())
        await Promise.all([publishing, receiver.retry(held, delayMs)])
        for (let left = 2; left > 0; left--) {
          const back = await receiveAll(t, receiver, 1)
          const took = t.now() - startedAt
          const way = back[0]?.id === held[0]?.id ? 'retried' : 'delayed'
          assert.ok(took >= delayMs - 2, `${way}: came after ${took} ms`)
          late[way] = Math.min(late[way], took - delayMs)
          if (way === 'retried') held = back
          else await receiver.ack(back)
        }
      }
      for (const [way, ms] of Object.entries(late))
        assert.ok(ms <= MOST_LATE_MS, `${way}: at best ${ms} ms late`)
    },
    { slowness: 2 },
  )

  item('delay-order', 'delayed messages come when each is due, whatever the order of sending', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name })
    const sentAt = t.now()
    const times = new Map<unknown, number>()
    const delays = [900, 300, 600, 0]
    await Promise.all(delays.map((delay) => queue.send(name, delay, delay === 0 ? {} : { delay })))
    const inbox = await collect(
      t,
      queue,
      name,
      { concurrency: 4 },
      ({ body }) => void times.set(body, t.now() - sentAt),
    )
    await inbox.count(4)
    for (const delay of delays)
      assert.ok((times.get(delay) ?? 0) >= delay - 2, `${delay} came after ${times.get(delay)} ms`)
  })

  item('delay-blocks-nothing', 'a delayed message holds up none that is due', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'later', { delay: 600_000 })
    for (const [body, options] of [['now', {}] as const, ['soon', { delay: 300 }] as const]) {
      await queue.send(name, body, options)
      const message = await take(t, queue, name)
      assert.equal(message.body, body)
      await queue.acknowledge(message)
      await nothing(queue, name)
    }
  })

  item(
    'delay-restart',
    'a delayed message survives a restart of the broker',
    async (t) => {
      const name = t.name()
      const durable = t.capabilities.durable
      if (durable && t.harness.faults?.restartBroker === undefined)
        t.skip('harness.faults.restartBroker is missing')
      const sentAt = t.now()
      const queue = await t.connect()
      const id = await queue.send(name, 'x', { delay: 1500 })
      if (durable) await t.harness.faults?.restartBroker?.()
      else {
        // Nothing outlives this broker; the message at least outlives every connection to it.
        t.refused('durable')
        await queue.disconnect()
      }
      const message = await take(t, await t.connect(), name)
      assert.equal(message.id, id)
      assert.ok(t.now() - sentAt >= 1498, 'no earlier than its delay')
    },
    { slowness: 2, alone: true },
  )

  item('delay-limit', 'a delay above the limit is refused, and says what the limit is', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const { maxDelayMs } = t.capabilities
    if (!Number.isFinite(maxDelayMs)) return
    const error = await rejects(queue.send(name, 'x', { delay: maxDelayMs + 1 }), 'MQ_UNSUPPORTED')
    assert.ok(error.message.includes(String(maxDelayMs)), error.message)
    assert.equal(error.certainty, 'not-stored')
  })

  item('ttl', 'a handler never sees an expired message', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.sendBatch([
      { body: 'short-lived', queueName: name, ttl: 150 },
      { body: 'long-lived', queueName: name, ttl: 600_000 },
    ])
    await t.quiet(250)
    const inbox = await collect(t, queue, name)
    await inbox.count(1)
    await t.quiet(50)
    assert.deepEqual(inbox.bodies(), ['long-lived'])
  })

  item('ttl-whole', 'a message does not expire before its ttl is over', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const ttl = 6000
    // Some brokers take their time with the first of a queue.
    await queue.send(name, 'first')
    await queue.acknowledge(await take(t, queue, name))
    for (let tries = 0; tries < 3; tries++) {
      const sentAt = t.now()
      await queue.send(name, 'x', { ttl })
      await t.quiet(ttl * 0.81)
      const message = await queue.receive(name)
      const took = t.now() - sentAt
      if (message !== null) return
      // By a clock of its own, or too late to say, where this machine stalled.
      assert.ok(took > ttl - CLOCKS_APART_MS, `expired before ${took} ms of ${ttl}`)
    }
    t.skip('this machine stalls too often')
  })

  item('ttl-held', 'what expires while it is held stays with its holder', async (t) => {
    const queue = await t.connect()
    for (let tries = 0; tries < 5; tries++) {
      const name = t.name()
      await queue.send(name, 'first')
      await queue.acknowledge(await take(t, queue, name))
      await queue.send(name, 'x', { ttl: 1000 })
      const message = await queue.receive(name, { timeoutMs: 900 })
      if (message === null) continue
      await t.quiet(1200)
      await queue.acknowledge(message)
      await nothing(queue, name)
      assert.equal(await queue.deadLetters(name).count(), 0, 'dead letters')
      return
    }
    t.skip('this machine stalls too often')
  })

  item('ttl-read-ahead', 'a message that expires while it waits for its handler is not run', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const door = gate()
    await queue.send(name, 'first')
    const inbox = await collect(t, queue, name, { concurrency: 1, prefetch: 2 }, () => door.passed)
    await inbox.count(1)
    await queue.send(name, 'expires', { ttl: 1000 })
    await t.quiet(1100)
    door.open()
    const dead = await take(t, queue, `${name}.dlq`)
    assert.deepEqual([dead.body, dead.deadLetter?.reason], ['expires', 'expired'])
    assert.deepEqual(inbox.bodies(), ['first'])
  })

  item(
    'ttl-dead-letter',
    'an expired message is dead-lettered with reason expired',
    async (t) => {
      const queue = await t.connect()
      const [name, topic] = [t.name(), t.name('topic')]
      const sources = [
        { from: name, place: [name, null] },
        { from: subscription(topic, 's'), place: [topic, 's'] },
      ]
      await queue.createSubscription(topic, 's')
      const before = t.now()
      const options = { ttl: 100, headers: { h: 'v' } }
      const ids = [await queue.send(name, 'x', options), await queue.publish(topic, 'x', options)]
      await t.quiet(200)
      for (const [i, { from, place }] of sources.entries()) {
        const inbox = await collect(t, queue, from)
        await t.until(async () => (await queue.deadLetters(from).count()) > 0, 'dead-lettered')
        const dead = await queue.deadLetters(from).get(ids[i] ?? '')
        assert.deepEqual([dead?.body, { ...dead?.headers }], ['x', { h: 'v' }])
        const info = dead?.deadLetter
        assert.deepEqual(
          [info?.reason, info?.queue, info?.subscription, info?.attempts],
          ['expired', ...place, 0],
        )
        assert.ok((info?.error.message ?? '').length > 0, 'no error')
        const at = info?.lastFailedAt.getTime() ?? 0
        // Some brokers know the time to the second.
        const apart = CLOCKS_APART_MS + 1000
        assert.ok(at >= before - apart && at <= t.now() + apart, `failed at ${at}`)
        assert.deepEqual(inbox.bodies(), [])
      }
    },
    { slowness: 2 },
  )

  item('ttl-retention', 'a dead-letter queue keeps what it takes for its own messageTtl', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name: `${name}.dlq`, messageTtl: 1000 })
    await queue.send(name, 'x')
    await queue.reject(await take(t, queue, name))
    await t.quiet(1500)
    await nothing(queue, `${name}.dlq`)
    assert.deepEqual((await queue.deadLetters(name).list()).messages, [])
  })

  item('ttl-size', 'an expired message is not counted as ready', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'x', { ttl: 100 })
    if (t.capabilities.size !== 'ready') return t.refused('size')
    await t.until(async () => (await queue.getQueueSize(name)) === 0, 'size 0')
  })

  item('ttl-queue', 'a queue’s messageTtl applies to its messages', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, messageTtl: 150 })
    await queue.send(name, 'x')
    await t.quiet(250)
    await nothing(queue, name)
    await t.until(async () => (await queue.deadLetters(name).count()) === 1, 'dead-lettered')
  })

  item('ttl-retry', 'a retried message keeps its absolute expiry', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const retry = { maxRetries: 1, delayMs: 2000, backoff: 'fixed', jitter: 0 } as const
    let failedAt = 0
    const inbox = await collect(t, queue, name, { retry }, () => {
      failedAt = t.now()
      throw new Error('once')
    })
    // One that expires on its way to the handler says nothing of retries.
    while (inbox.messages.length === 0) {
      await queue.send(name, 'x', { ttl: 1500 })
      const dead = await take(t, queue, `${name}.dlq`)
      assert.equal(dead.deadLetter?.reason, 'expired')
      assert.equal(dead.deadLetter.attempts, inbox.messages.length, 'attempts')
      const first = dead.deadLetter.firstFailedAt.getTime()
      if (failedAt > 0) assert.ok(Math.abs(first - failedAt) <= CLOCKS_APART_MS, `first failed at ${first}`)
      await queue.acknowledge(dead)
    }
    assert.equal(inbox.messages.length, 1)
  })

  item('delay-ttl', 'delay and ttl together: due in time, expired when it was not taken', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name })
    await queue.send(name, 'taken', { delay: 200, ttl: 600_000 })
    await queue.send(name, 'not taken', { delay: 100, ttl: 200 })
    await t.quiet(400)
    assert.equal((await take(t, queue, name)).body, 'taken')
    await nothing(queue, name)
    await rejects(queue.send(name, 'x', { delay: 200, ttl: 200 }), 'MQ_VALIDATION')
  })

  item('delay-priority', 'a delayed message takes its place by priority once it is due', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    if (t.capabilities.priorityLevels <= 1) {
      await rejects(queue.createQueue({ name, maxPriority: 9 }), 'MQ_UNSUPPORTED')
      return t.refused('priorityLevels')
    }
    await queue.createQueue({ name, maxPriority: 9 })
    await queue.send(name, 'low', { priority: 1 })
    await queue.send(name, 'high', { priority: 9, delay: 200 })
    await t.until(async () => (await queue.getQueueSize(name)) === 2, 'both ready')
    const bodies = [(await take(t, queue, name)).body, (await take(t, queue, name)).body]
    assert.deepEqual(bodies, ['high', 'low'])
  })

  item(
    'delay-topic',
    'a delayed message to a topic reaches every subscription that it matches, when due',
    async (t) => {
      const queue = await t.connect()
      const topic = t.name('topic')
      const got: string[] = []
      for (const name of ['a', 'b']) await queue.subscribe(topic, name, () => void got.push(name))
      await queue.createSubscription(topic, 'other', { pattern: 'bills.#' })
      const sentAt = t.now()
      await queue.publish(topic, 'x', { delay: 250, routingKey: 'orders.new' })
      await t.until(() => got.length >= 2, 'both')
      assert.ok(t.now() - sentAt >= 248, 'earlier than its delay')
      eachOnce(got, ['a', 'b'])
      await nothing(queue, subscription(topic, 'other'))
    },
  )
})
