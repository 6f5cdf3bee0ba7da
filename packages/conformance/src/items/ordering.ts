import assert from 'node:assert/strict'
import { RejectError, type Message } from '@mq/core'
import { outbound, source } from '../fixtures.ts'
import { collect, eachOnce, gate, nothing, numbers, receiveAll, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

export const ordering = group('order', (item) => {
  item(
    'per-key',
    'messages with one key are handled in send order, one at a time, by any number of consumers',
    async (t) => {
      const name = t.name()
      const sender = await t.connect()
      await sender.createQueue({ name, ordered: true, partitions: 4 })
      const seen = new Map<string, number[]>()
      const running = new Set<string>()
      const overlaps: string[] = []
      const handler = async ({ key = '', body }: Message) => {
        if (running.has(key)) overlaps.push(key)
        running.add(key)
        seen.set(key, [...(seen.get(key) ?? []), body as number])
        await t.quiet((body as number) % 3)
        running.delete(key)
      }
      await Promise.all(
        numbers(3).map(async () => collect(t, await t.connect(), name, { concurrency: 4 }, handler)),
      )
      for (const i of numbers(12)) {
        await sender.sendBatch(numbers(5).map((k) => ({ body: i, key: `key-${k}`, queueName: name })))
      }
      await t.until(() => [...seen.values()].flat().length >= 60, 'all handled')
      assert.deepEqual(overlaps, [], 'two of one key at once')
      for (const [key, bodies] of seen) assert.deepEqual(bodies, numbers(12), key)
    },
  )

  item('slow-key', 'a slow key holds up no other', async (t) => {
    const name = t.name()
    const queue = await t.connect()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    const door = gate()
    const done: unknown[] = []
    await queue.sendBatch(numbers(3).map((i) => ({ body: `slow ${i}`, key: 'slow', queueName: name })))
    // Alike, and others.
    const quick = ['Slow', 'slow1', 'slo', 'slow-1', 'slow:1', 's', 'slöw', 'other']
    await queue.sendBatch(quick.map((key, i) => ({ body: `quick ${i}`, key, queueName: name })))
    await collect(t, queue, name, { concurrency: 2, prefetch: 10 }, async ({ key, body }) => {
      if (key === 'slow') await door.passed
      done.push(body)
    })
    await t.until(() => done.length >= 8, 'the other keys handled')
    eachOnce(
      done,
      numbers(8).map((i) => `quick ${i}`),
    )
    door.open()
    await t.until(() => done.length === 11, 'the slow key handled')
    assert.deepEqual(done.slice(8), ['slow 0', 'slow 1', 'slow 2'])
  })

  item('failed-blocks', 'a failed message blocks its key until it is settled, and no other', async (t) => {
    const name = t.name()
    const queue = await t.connect()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    const runs: string[] = []
    const retry = { maxRetries: 10, delayMs: 150, backoff: 'fixed', jitter: 0 } as const
    await collect(t, queue, name, { concurrency: 4, retry }, (message) => {
      runs.push(`${message.key} ${String(message.body)}`)
      // As often as it takes, a loaded machine being slow, but not for ever.
      if (message.body === 'fails' && (message.deliveryCount === 0 || !runs.includes('b other')))
        throw new Error('not yet')
    })
    await queue.sendBatch([
      { body: 'fails', key: 'a', queueName: name },
      { body: 'second', key: 'a', queueName: name },
      { body: 'other', key: 'b', queueName: name },
    ])
    await t.until(() => runs.includes('a second') && runs.includes('b other'), 'all handled')
    const ofA = runs.filter((run) => run.startsWith('a'))
    assert.deepEqual(ofA.slice(-3), ['a fails', 'a fails', 'a second'])
    assert.ok(!ofA.slice(0, -1).includes('a second'), 'a later message of the key passed it, or came twice')
    assert.ok(runs.indexOf('b other') < runs.lastIndexOf('a fails'), 'another key waited for it')
    // Nor does a later one pass it when it is tried again at once.
    const atOnce = t.name()
    await queue.createQueue({ name: atOnce, ordered: true, partitions: 1 })
    await queue.sendBatch(numbers(3).map((body) => ({ body, key: 'a', queueName: atOnce })))
    const inbox = await collect(t, queue, atOnce, { retry: { ...retry, delayMs: 0 } }, (message) => {
      if (message.body === 0 && message.deliveryCount === 0) throw new Error('not yet')
    })
    await inbox.count(4)
    assert.deepEqual(inbox.bodies(), [0, 0, 1, 2])
    if (!t.capabilities.retryKeepsOrder) t.refused('retryKeepsOrder')
  })

  item('unblocked', 'a message that is dead-lettered, purged or expired gives its key free', async (t) => {
    const name = t.name()
    const queue = await t.connect()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    const send = (bodies: readonly string[]) =>
      queue.sendBatch(bodies.map((body) => ({ body, key: 'a', queueName: name })))
    await send(['bad', 'good'])
    const inbox = await collect(t, queue, name, { concurrency: 2 }, ({ body }) => {
      if (body === 'bad') throw new RejectError('never')
    })
    await inbox.count(2)
    assert.deepEqual(inbox.bodies(), ['bad', 'good'])
    await inbox.consumer.stop()
    await send(['purged', 'purged'])
    await queue.purgeQueue(name)
    await send(['after'])
    const held = await take(t, queue, name)
    assert.equal(held.body, 'after')
    await queue.sendBatch([
      { body: 'expires behind it', key: 'a', queueName: name, ttl: 200 },
      { body: 'expires first', key: 'b', queueName: name, ttl: 200 },
      { body: 'of b', key: 'b', queueName: name },
      { body: 'of a', key: 'a', queueName: name },
    ])
    await t.quiet(300)
    const rest: unknown[] = []
    // What expires behind the one that is held frees nothing.
    const early = await queue.receive(name, { timeoutMs: 100 })
    if (early !== null) {
      assert.equal(early.body, 'of b')
      rest.push(early.body)
      await queue.acknowledge(early)
      await nothing(queue, name)
    }
    await queue.acknowledge(held)
    while (rest.length < 2) {
      const message = await take(t, queue, name)
      rest.push(message.body)
      await queue.acknowledge(message)
    }
    eachOnce(rest, ['of a', 'of b'])
  })

  item('received', 'receive hands out one message of a key at a time', async (t) => {
    const name = t.name()
    const queue = await t.connect()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    const send = (key: string, body: string) => queue.send(name, body, { key })
    for (const body of ['a1', 'a2', 'b1', 'a3', 'b2']) await send(body.slice(0, 1), body)
    const got: string[] = []
    const held: Message[] = []
    while (got.length < 5) {
      // All that may come now, at once as a pool of workers would ask; some brokers give nothing beyond what is held.
      const asked = await Promise.all([0, 1, 2, 3].map(() => queue.receive(name)))
      const came = asked.filter((message) => message !== null)
      if (came.length === 0 && held.length === 0) came.push(await take(t, queue, name))
      held.push(...came)
      const keys = held.map(({ key }) => key)
      assert.equal(
        new Set(keys).size,
        keys.length,
        `at once: ${held.map(({ body }) => String(body)).join(', ')}`,
      )
      const first = held.shift()
      if (first === undefined) continue
      got.push(first.body as string)
      await queue.acknowledge(first)
    }
    for (const key of ['a', 'b']) {
      const ofKey = got.filter((body) => body.startsWith(key))
      assert.deepEqual(ofKey, [...ofKey].sort())
    }
  })

  item(
    'received-apart',
    'nor to several connections, and what is given back comes before the next',
    async (t) => {
      const name = t.name()
      const [one, two] = [await t.connect(), await t.connect()]
      await one.createQueue({ name, ordered: true, partitions: 1 })
      for (const body of numbers(3)) await one.send(name, body, { key: 'a' })
      const first = await take(t, one, name)
      assert.equal(first.body, 0)
      await nothing(two, name)
      await one.acknowledge(first)
      const second = await take(t, two, name)
      assert.equal(second.body, 1)
      await two.reject(second, { requeue: true, delayMs: 100 })
      const asked = [one, two].map(async (queue) => ({
        queue,
        body: (await queue.receive(name, { timeoutMs: t.patienceMs }))?.body,
      }))
      const { queue, body } = await Promise.race(asked)
      assert.equal(body, 1)
      // Given back, it comes to whoever waits, and before the next.
      await queue.disconnect()
      const others = (await Promise.allSettled(asked)).flatMap((each) =>
        each.status === 'fulfilled' && each.value.queue !== queue ? [each.value.body] : [],
      )
      assert.deepEqual(others, [1])
    },
  )

  item(
    'arriving',
    'whatever arrives waits behind its key: delayed, redriven or sent by another',
    async (t) => {
      const name = t.name()
      const [queue, other] = [await t.connect(), await t.connect()]
      await queue.createQueue({ name, ordered: true, partitions: 1 })
      await queue.send(name, 'head', { key: 'k' })
      let held = await take(t, queue, name)
      // Where what waits for its time gives its key free, that is so of what is delayed as of what is retried.
      const { retryKeepsOrder } = t.capabilities
      if (retryKeepsOrder) await queue.send(name, 'delayed', { key: 'k', delay: 200 })
      await other.send(name, 'of another', { key: 'k' })
      const redriven = outbound(
        { queue: name },
        { key: 'k', redriven: true, body: Buffer.from('"redriven"') },
      )
      const [outcome] = await (await t.connected()).publish([redriven], t.deadline())
      assert.equal(outcome?.ok, true, 'not accepted')
      await t.quiet(500)
      const got: unknown[] = []
      const expected = ['of another', 'redriven', ...(retryKeepsOrder ? ['delayed'] : [])]
      while (got.length < expected.length) {
        const early = await queue.receive(name)
        assert.equal(early?.body ?? null, null, `while ${String(held.body)} is held`)
        await queue.acknowledge(held)
        held = await take(t, queue, name)
        got.push(held.body)
      }
      eachOnce(got, expected)
      if (!retryKeepsOrder) t.refused('retryKeepsOrder')
    },
  )

  item('without-key', 'messages without a key wait for none: they run at once', async (t) => {
    const name = t.name()
    const queue = await t.connect()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    const door = gate()
    const inbox = await collect(t, queue, name, { concurrency: 2, prefetch: 10 }, () => door.passed)
    await sendNumbers(queue, name, 2)
    await inbox.count(2)
    door.open()
  })

  item('requeued-first', 'a message given back keeps its place before later ones of its key', async (t) => {
    const name = t.name()
    const queue = await t.connect()
    await queue.createQueue({ name, ordered: true, partitions: 1 })
    await queue.sendBatch(numbers(3).map((body) => ({ body, key: 'a', queueName: name })))
    const adapter = await t.connected()
    const pull = source({ queue: name }, { mode: 'pull', ordered: true })
    const receiver = await adapter.open(pull, () => undefined)
    for (let i = 0; i < 2; i++) {
      const held = await receiveAll(t, receiver, 1)
      assert.deepEqual(
        held.map(({ body }) => Buffer.from(body).toString()),
        ['0'],
      )
      await receiver.release(held)
    }
    await receiver.close(t.deadline())
    await adapter.disconnect(t.deadline())
    assert.equal((await take(t, queue, name)).body, 0)
    // Received and unsettled: given back, uncounted.
    await queue.disconnect()
    const other = await t.connect()
    for (const i of numbers(3)) {
      const message = await take(t, other, name)
      assert.deepEqual([message.body, message.deliveryCount], [i, 0])
      await other.acknowledge(message)
    }
  })

  item(
    'rejected-blocks',
    'a message that is rejected to come again stays before later ones of its key',
    async (t) => {
      const name = t.name()
      const queue = await t.connect()
      await queue.createQueue({ name, ordered: true, partitions: 1 })
      const again = { requeue: true, delayMs: 200 }
      const send = () =>
        queue.sendBatch(numbers(3).map((body) => ({ body, key: 'a', queueName: name, ttl: 600_000 })))
      await send()
      await queue.reject(await take(t, queue, name), again)
      const got: Message[] = []
      while (got.length < 3) {
        const message = await take(t, queue, name)
        got.push(message)
        await queue.acknowledge(message)
      }
      await send()
      // By its own handler, with later ones read ahead.
      const options = { concurrency: 4, prefetch: 10, acknowledgmentMode: 'manual' } as const
      const inbox = await collect(t, queue, name, options, (message) =>
        message.body === 0 && message.deliveryCount === 0
          ? queue.reject(message, again)
          : queue.acknowledge(message),
      )
      await inbox.count(4)
      assert.deepEqual(inbox.messages.shift()?.body, 0)
      for (const messages of [got, inbox.messages]) {
        assert.deepEqual(
          messages.map(({ body, deliveryCount, ttl }) => [body, deliveryCount, ttl]),
          numbers(3).map((i) => [i, i === 0 ? 1 : 0, 600_000]),
        )
      }
      if (!t.capabilities.retryKeepsOrder) t.refused('retryKeepsOrder')
    },
  )

  item(
    'delayed',
    'what is due waits for one of its key that is being handled, by any consumer',
    async (t) => {
      const name = t.name()
      const sender = await t.connect()
      await sender.createQueue({ name, ordered: true, partitions: 1 })
      const send = (body: string, delay = 0) => sender.send(name, body, { key: 'a', delay })
      await send('early', 100)
      const door = gate()
      const runs: unknown[] = []
      const handler = ({ body }: Message) => {
        runs.push(body)
        return body === 'held' ? door.passed : undefined
      }
      // Two of them, lest what waits elsewhere be read by the same one.
      await Promise.all(
        numbers(2).map(async () => collect(t, await t.connect(), name, { concurrency: 4 }, handler)),
      )
      await t.until(() => runs.includes('early'), 'the first handled')
      await send('held')
      await t.until(() => runs.includes('held'), 'the second begun')
      await send('due', 100)
      await send('sent before it is due')
      await t.quiet(1000)
      assert.deepEqual(runs, ['early', 'held'])
      door.open()
      await t.until(() => runs.length === 4, 'all handled')
      eachOnce(runs, ['early', 'held', 'due', 'sent before it is due'])
    },
  )

  item('crash-repeats', 'after a crash an order may repeat, never skip', async (t) => {
    const name = t.name()
    const link = t.faulty()
    const dying = await t.connect(t.shortLease(), link.adapter)
    await dying.createQueue({ name, ordered: true, partitions: 1 })
    await dying.sendBatch(numbers(6).map((body) => ({ body, key: 'a', queueName: name })))
    const first = await collect(t, dying, name, {}, ({ body }) =>
      (body as number) < 2 ? undefined : new Promise<never>(() => undefined),
    )
    await first.count(3)
    await link.crash()
    const second = await collect(t, await t.connect(), name)
    await t.until(() => second.bodies().includes(5), 'the last one handled')
    const bodies = second.bodies() as number[]
    const start = bodies[0] as number
    assert.ok(start <= 2, 'nothing skipped')
    assert.deepEqual(
      bodies,
      numbers(6).filter((i) => i >= start),
    )
  })
})
