import assert from 'node:assert/strict'
import type { Delivery, OutboundMessage } from '@mq/core/adapter'
import { declare, outbound, plainSettings, source } from '../fixtures.ts'
import { collect, drain, eachOnce, nothing, numbers, receiveAll, rejects, take } from '../helpers.ts'
import { group } from '../item.ts'

export const deduplication = group('extras', (item) => {
  item(
    'dedupe',
    'a second send with the same deduplicationId inside the window is accepted and not delivered',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      const config = { name, deduplicationWindowMs: 600_000 }
      if (t.capabilities.dedupe !== 'broker') {
        await rejects(queue.createQueue(config), 'MQ_UNSUPPORTED')
        return t.refused('dedupe')
      }
      await queue.createQueue(config)
      await queue.send(name, 'one', { deduplicationId: 'a' })
      await queue.send(name, 'two', { deduplicationId: 'a' })
      await queue.send(name, 'other', { deduplicationId: 'b' })
      await queue.send(name, 'without')
      await queue.send(name, 'without')
      const bodies = (await drain(queue, name)).map(({ body }) => body)
      eachOnce(bodies, ['one', 'other', 'without', 'without'])
      await queue.send(name, 'three', { deduplicationId: 'a' })
      await nothing(queue, name)
      const together = ['c', 'c', 'd'].map((id) => ({ body: id, queueName: name, deduplicationId: id }))
      await queue.sendBatch(together)
      const ofTogether = (await drain(queue, name)).map(({ body }) => body)
      eachOnce(ofTogether, ['c', 'd'], 'of one call')
      const another = t.name('another')
      await queue.createQueue({ ...config, name: another })
      await queue.send(another, 'elsewhere', { deduplicationId: 'a' })
      assert.equal((await take(t, queue, another)).body, 'elsewhere')
    },
  )

  item(
    'dedupe-same',
    'the id alone makes a duplicate, from whomever and whatever became of the first',
    async (t) => {
      if (t.capabilities.dedupe !== 'broker') return t.refused('dedupe')
      const [queue, other] = [await t.connect(), await t.connect()]
      const name = t.name()
      const config = { name, deduplicationWindowMs: 600_000 }
      await queue.createQueue(config)
      await other.createQueue(config)
      const long = 'x'.repeat(200)
      // Close to each other, and not the same.
      const ids = ['a', 'A', ' a', 'a:b', 'ä', `${long}1`, `${long}2`]
      // More than a broker may want to remember.
      ids.push(...numbers(300).map((n) => `n${n}`))
      await queue.sendBatch(
        ids.map((deduplicationId) => ({ body: deduplicationId, queueName: name, deduplicationId })),
      )
      const dead = await take(t, queue, name)
      await queue.reject(dead)
      const retried = await take(t, queue, name)
      await queue.reject(retried, { requeue: true })
      eachOnce([dead.body, ...(await drain(queue, name)).map(({ body }) => body)], ids)
      // Whoever declares it once more, or takes it as it is, finds it with what it knows.
      const later = await t.connect()
      await later.createQueue(config)
      const taking = await t.connect()
      for (const deduplicationId of new Set(['a', 'A', 'n0', dead.body as string, retried.body as string])) {
        for (const by of [other, queue, later, taking])
          await by.send(name, 'again', {
            deduplicationId,
            key: 'k',
            headers: { an: 'other' },
            correlationId: 'c',
          })
      }
      await nothing(queue, name)
    },
  )

  item('dedupe-many', 'a duplicate is one, however many ids came after the first', async (t) => {
    if (t.capabilities.dedupe !== 'broker') return t.refused('dedupe')
    const adapter = await t.connected()
    const target = await declare(adapter, t.name(), { deduplicationWindowMs: 600_000 })
    const count = 3000
    const receiver = await adapter.open(source(target, { prefetch: count }), () => undefined)
    const send = async (from: number, to: number) => {
      const batch = numbers(to - from).map((n) => outbound(target, { deduplicationId: `d${from + n}` }))
      for (const { ok } of await adapter.publish(batch, t.deadline())) assert.ok(ok, 'not accepted')
    }
    for (let n = 0; n < count; n += 500) {
      await send(n, n + 500)
      await receiver.ack(await receiveAll(t, receiver, 500))
    }
    for (const n of [0, count / 2, count - 100]) await send(n, n + 100)
    await adapter.publish([outbound(target, { id: 'the end' })], t.deadline())
    assert.deepEqual(
      (await receiveAll(t, receiver, 1)).map(({ id }) => id),
      ['the end'],
    )
  })

  item('dedupe-apart', 'what one subscription has seen is new to another', async (t) => {
    if (t.capabilities.dedupe !== 'broker') return t.refused('dedupe')
    const adapter = await t.connected()
    const topic = t.name('topic')
    const windows = { first: 600_000, later: 600_000, without: null }
    const add = (subscription: keyof typeof windows) => {
      const settings = { ...plainSettings, deduplicationWindowMs: windows[subscription] }
      return adapter.declare({ topic, subscription }, { settings, pattern: '#', ifExists: 'take' })
    }
    await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    await add('first')
    const sent = ['a', 'b', 'a'].map((deduplicationId) => outbound({ topic }, { deduplicationId }))
    const [one, two, again] = sent as [OutboundMessage, OutboundMessage, OutboundMessage]
    const publish = async (message: OutboundMessage) =>
      assert.equal((await adapter.publish([message], t.deadline()))[0]?.ok, true, 'not accepted')
    await publish(one)
    await add('later')
    await add('without')
    await publish(two)
    await publish(again)
    const expected = { first: [one, two], later: [two, again], without: [two, again] }
    for (const [subscription, messages] of Object.entries(expected)) {
      const target = { topic, subscription }
      const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const got = [...(await receiveAll(t, receiver, 2)), ...(await receiver.receive(1, t.deadline(), 0))]
      eachOnce(
        got.map(({ id }) => id),
        messages.map(({ id }) => id),
        subscription,
      )
    }
  })

  item('dedupe-delayed', 'a delayed message and its duplicate are one, whichever is delayed', async (t) => {
    if (t.capabilities.dedupe !== 'broker') return t.refused('dedupe')
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, deduplicationWindowMs: 600_000 })
    await queue.send(name, 'delayed', { deduplicationId: 'a', delay: 100 })
    await queue.send(name, 'at once', { deduplicationId: 'a' })
    await queue.send(name, 'at once', { deduplicationId: 'b' })
    await queue.send(name, 'delayed', { deduplicationId: 'b', delay: 100 })
    const bodies: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const message = await take(t, queue, name)
      bodies.push(message.body)
      await queue.acknowledge(message)
    }
    eachOnce(bodies, ['at once', 'delayed'])
    await t.quiet(200)
    await nothing(queue, name)
  })

  item('dedupe-window', 'after the window the same deduplicationId is delivered again', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const config = { name, deduplicationWindowMs: 1000 }
    if (t.capabilities.dedupe !== 'broker') {
      await rejects(queue.createQueue(config), 'MQ_UNSUPPORTED')
      return t.refused('dedupe')
    }
    await queue.createQueue(config)
    await queue.send(name, 'one', { deduplicationId: 'a' })
    await t.quiet(1050)
    await queue.send(name, 'two', { deduplicationId: 'a' })
    const bodies = (await drain(queue, name)).map(({ body }) => body)
    eachOnce(bodies, ['one', 'two'])
  })

  item('dedupe-whole', 'a duplicate is one until the whole window is over', async (t) => {
    if (t.capabilities.dedupe !== 'broker') return t.refused('dedupe')
    const queue = await t.connect()
    const deduplicationWindowMs = 4000
    for (let tries = 0; tries < 5; tries++) {
      const name = t.name()
      await queue.createQueue({ name, deduplicationWindowMs })
      const sentAt = t.now()
      await queue.send(name, 'one', { deduplicationId: 'a' })
      await t.quiet(deduplicationWindowMs * 0.9)
      await queue.send(name, 'two', { deduplicationId: 'a' })
      // Too late to say, where this machine stalled.
      if (t.now() - sentAt >= deduplicationWindowMs) continue
      const bodies = (await drain(queue, name)).map(({ body }) => body)
      assert.deepEqual(bodies, ['one'])
      return
    }
    t.skip('this machine stalls too often')
  })

  item('dedupe-first', 'the window begins with the first, and no duplicate prolongs it', async (t) => {
    if (t.capabilities.dedupe !== 'broker') return t.refused('dedupe')
    const queue = await t.connect()
    const deduplicationWindowMs = 1500
    for (let tries = 0; tries < 5; tries++) {
      const name = t.name()
      await queue.createQueue({ name, deduplicationWindowMs })
      const sentAt = t.now()
      await queue.send(name, 'one', { deduplicationId: 'a' })
      await t.quiet(deduplicationWindowMs * 0.6)
      await queue.send(name, 'duplicate', { deduplicationId: 'a' })
      // Too late to be one, where this machine stalled.
      if (t.now() - sentAt >= deduplicationWindowMs) continue
      await t.quiet(deduplicationWindowMs * 0.6)
      await queue.send(name, 'two', { deduplicationId: 'a' })
      const bodies = (await drain(queue, name)).map(({ body }) => body)
      eachOnce(bodies, ['one', 'two'])
      return
    }
    t.skip('this machine stalls too often')
  })

  item('dedupe-returned', 'what comes back is no duplicate of itself', async (t) => {
    if (t.capabilities.dedupe !== 'broker') return t.refused('dedupe')
    const adapter = await t.connected()
    const queue = t.name()
    const settings = { ...plainSettings, deduplicationWindowMs: 600_000 }
    await adapter.declare({ queue }, { settings, pattern: undefined, ifExists: 'take' })
    const sent = ['a', 'b', 'c', 'd'].map((deduplicationId) => outbound({ queue }, { deduplicationId }))
    await adapter.publish(sent, t.deadline())
    const receiver = await adapter.open(source({ queue }, { mode: 'pull' }), () => undefined)
    const [a, b, c] = (await receiveAll(t, receiver, 4)) as [Delivery, Delivery, Delivery]
    await receiver.release([a])
    await receiver.retry([b], 0)
    await receiver.retry([c], 50)
    await receiver.close(t.deadline())
    const other = await adapter.open(source({ queue }, { mode: 'pull' }), () => undefined)
    const back = await receiveAll(t, other, 4)
    eachOnce(
      back.map(({ id }) => id),
      sent.map(({ id }) => id),
    )
  })

  item('dedupe-refused', 'what was refused is no duplicate when it is sent again', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const config = { name, deduplicationWindowMs: 600_000, maxLength: 1 }
    if (t.capabilities.dedupe !== 'broker') {
      await rejects(queue.createQueue(config), 'MQ_UNSUPPORTED')
      return t.refused('dedupe')
    }
    if (t.capabilities.limits !== 'exact') return t.refused('limits')
    await queue.createQueue(config)
    await queue.send(name, 'one', { deduplicationId: 'a' })
    await rejects(queue.send(name, 'two', { deduplicationId: 'b' }), 'MQ_QUEUE_FULL')
    await queue.acknowledge(await take(t, queue, name))
    await queue.send(name, 'two', { deduplicationId: 'b' })
    assert.equal((await take(t, queue, name)).body, 'two')
  })

  item('dedupe-redrive', 'redriving skips deduplication', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const config = { name, deduplicationWindowMs: 600_000 }
    if (t.capabilities.dedupe !== 'broker') {
      await rejects(queue.createQueue(config), 'MQ_UNSUPPORTED')
      return t.refused('dedupe')
    }
    await queue.createQueue(config)
    const id = await queue.send(name, 'x', { deduplicationId: 'a' })
    await queue.reject(await take(t, queue, name))
    await queue.deadLetters(name).redrive()
    assert.equal((await take(t, queue, name)).id, id)
  })

  item(
    'dedupe-store',
    'with a store of its own, core skips what was handled before, on any broker',
    async (t) => {
      const seen = new Map<string, number>()
      const deduplicationStore = {
        has: (key: string) => Promise.resolve((seen.get(key) ?? 0) > t.now()),
        add: (key: string, ttlMs: number) => Promise.resolve(void seen.set(key, t.now() + ttlMs)),
      }
      const queue = await t.connect({}, t.adapter(), { deduplicationStore })
      const name = t.name()
      await queue.createQueue({ name, deduplicationWindowMs: 600_000 })
      const inbox = await collect(t, queue, name)
      await queue.send(name, 'one', { deduplicationId: 'a' })
      await inbox.count(1)
      await t.until(() => queue.getStats().inFlight === 0, 'acknowledged')
      await queue.send(name, 'two', { deduplicationId: 'a' })
      await queue.send(name, 'end')
      await inbox.count(2)
      assert.deepEqual(inbox.bodies(), ['one', 'end'])
    },
  )
})
