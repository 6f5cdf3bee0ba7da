import assert from 'node:assert/strict'
import type { Message } from '@mq/core'
import {
  collect,
  drain,
  eachOnce,
  gate,
  later,
  nothing,
  numbers,
  rejects,
  sendNumbers,
  take,
} from '../helpers.ts'
import { group } from '../item.ts'

export const consume = group('consume', (item) => {
  item('before-after', 'a consumer gets what was sent before and after it subscribed', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'before')
    const inbox = await collect(t, queue, name)
    await queue.send(name, 'after')
    await inbox.count(2)
    eachOnce(inbox.bodies(), ['before', 'after'])
  })

  item('handled-once', 'a handled message is acknowledged: it does not come again', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const inbox = await collect(t, queue, name)
    await sendNumbers(queue, name, 20)
    await inbox.count(20)
    await inbox.consumer.stop()
    eachOnce(inbox.bodies(), numbers(20))
    await nothing(await t.connect(), name)
  })

  item('competing', 'competing consumers cover all messages, each once', async (t) => {
    const name = t.name()
    const sender = await t.connect()
    await sender.createQueue({ name })
    const inboxes = await Promise.all(
      numbers(3).map(async () => collect(t, await t.connect(), name, { concurrency: 4, prefetch: 4 })),
    )
    await Promise.all(
      numbers(10).map((i) =>
        sender.sendBatch(numbers(20).map((j) => ({ body: i * 20 + j, queueName: name }))),
      ),
    )
    const all = () => inboxes.flatMap((inbox) => inbox.bodies())
    await t.until(() => all().length >= 200, 'all handled')
    await t.quiet(100)
    eachOnce(all(), numbers(200))
  })

  item('isolated', 'queues do not mix', async (t) => {
    const queue = await t.connect()
    const base = t.name()
    const names = [base, `${base}.a`, `${base}.a.b`, `${base}-a`, `${base}A`]
    for (const name of names) await queue.send(name, name)
    for (const name of names) {
      const bodies = (await drain(queue, name)).map(({ body }) => body)
      assert.deepEqual(bodies, [name])
    }
  })

  item('concurrency', 'never more handlers run than concurrency allows, and as many may', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 12)
    const door = gate()
    let running = 0
    let most = 0
    const inbox = await collect(t, queue, name, { concurrency: 3, prefetch: 12 }, async () => {
      most = Math.max(most, ++running)
      await door.passed
      await Promise.resolve()
      running--
    })
    await t.until(() => running === 3, 'three handlers running')
    await t.quiet(100)
    assert.equal(most, 3)
    door.open()
    await inbox.count(12)
    assert.equal(most, 3)
  })

  item('max-concurrent', 'maxConcurrentMessages bounds all consumers of an instance together', async (t) => {
    const queue = await t.connect({ maxConcurrentMessages: 3 })
    const names = [t.name(), t.name()]
    for (const name of names) await sendNumbers(queue, name, 6)
    const door = gate()
    let running = 0
    let most = 0
    const inboxes = []
    for (const name of names) {
      const inbox = await collect(t, queue, name, { concurrency: 5 }, async () => {
        most = Math.max(most, ++running)
        await door.passed
        running--
      })
      inboxes.push(inbox)
    }
    await t.until(() => running === 3, 'three handlers running')
    await t.quiet(100)
    assert.equal(most, 3)
    door.open()
    await Promise.all(inboxes.map((inbox) => inbox.count(6)))
    assert.equal(most, 3)
  })

  item('prefetch', 'no more is fetched than prefetch allows: the rest is there for others', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(other, name, 20)
    const door = gate()
    const inbox = await collect(t, queue, name, { concurrency: 2, prefetch: 4 }, () => door.passed)
    await inbox.count(2)
    await t.quiet()
    const unsettled = inbox.consumer.stats().unsettled
    assert.ok(unsettled <= 4, `${unsettled} fetched and unsettled`)
    if (t.capabilities.size === 'ready') {
      const size = await other.getQueueSize(name)
      assert.ok(size >= 16, `${size} of 20 left for others`)
    } else t.refused('size')
    door.open()
    await inbox.count(20)
  })

  item(
    'order',
    'one consumer with concurrency 1 handles messages in the order in which they were sent',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      await queue.createQueue({ name, partitions: 1 })
      await sendNumbers(queue, name, 100)
      const inbox = await collect(t, queue, name)
      for (let i = 100; i < 150; i++) await queue.send(name, i)
      await inbox.count(150)
      assert.deepEqual(inbox.bodies(), numbers(150))
    },
  )

  item('pause-resume', 'pause stops the handlers, resume continues, nothing is lost', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const inbox = await collect(t, queue, name, { prefetch: 3 })
    await sendNumbers(queue, name, 5)
    await inbox.count(5)
    inbox.consumer.pause()
    await queue.sendBatch(numbers(10).map((i) => ({ body: 5 + i, queueName: name })))
    await t.quiet(300)
    assert.equal(inbox.messages.length, 5, 'handled while paused')
    inbox.consumer.resume()
    await inbox.count(15)
    eachOnce(inbox.bodies(), numbers(15))
  })

  item('stop-returns', 'stop gives back what was not started, at once and uncounted', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(other, name, 10)
    const door = gate()
    const inbox = await collect(t, queue, name, { concurrency: 1, prefetch: 10 }, () => door.passed)
    await inbox.count(1)
    // An adapter that answers with one message at a time is not asked again for the last few.
    await t.until(() => inbox.consumer.stats().unsettled >= 5, 'several read ahead')
    const stopping = later(inbox.consumer.stop())
    door.open()
    assert.deepEqual({ ...(await stopping) }, { drained: true, abandoned: [] })
    const rest: Message[] = []
    while (rest.length < 9) {
      const message = await take(t, other, name)
      await other.acknowledge(message)
      rest.push(message)
    }
    eachOnce([...inbox.bodies(), ...rest.map(({ body }) => body)], numbers(10))
    assert.deepEqual([...new Set(rest.map(({ deliveryCount }) => deliveryCount))], [0])
  })

  item(
    'batch',
    'a batch handler gets up to `size` messages, and fewer when no more come within `waitMs`',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      await sendNumbers(queue, name, 10)
      const batches: unknown[][] = []
      queue.registerFunctionHandler(
        name,
        (messages: Message[]) => {
          batches.push(messages.map(({ body }) => body))
        },
        // Long enough for an adapter that answers with one message at a time.
        { batch: { size: 4, waitMs: 1500 } },
      )
      await queue.startConsuming(name)
      await t.until(() => batches.flat().length >= 10, 'all handled')
      assert.ok(
        batches.every((batch) => batch.length <= 4),
        'at most four each',
      )
      eachOnce(batches.flat(), numbers(10))
      assert.ok(batches.length <= 5, `gathered into few batches: ${batches.length}`)
      await queue.send(name, 'alone')
      await t.until(() => batches.flat().includes('alone'), 'a batch of one after the wait')
      assert.deepEqual(batches.at(-1), ['alone'])
    },
  )

  item('batch-outcomes', 'each message of a batch has an outcome of its own', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 4)
    const runs: unknown[] = []
    const retry = { maxRetries: 1, delayMs: 10, jitter: 0 }
    queue.registerFunctionHandler(
      name,
      (messages: Message[]) => {
        runs.push(...messages.map(({ body }) => body))
        return messages.map(({ body }) => (body === 1 ? new Error('this one') : null))
      },
      { batch: { size: 4, waitMs: 50 }, retry },
    )
    await queue.startConsuming(name)
    await t.until(async () => (await queue.deadLetters(name).count()) === 1, 'the failed one dead-lettered')
    eachOnce(runs, [0, 1, 1, 2, 3], 'runs')
  })

  item('iterator', 'the iterator yields deliveries, and acknowledges nothing by itself', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(other, name, 5)
    const bodies: unknown[] = []
    for await (const message of queue.messages(name)) {
      bodies.push(message.body)
      if (bodies.length < 5) await queue.acknowledge(message)
      else break
    }
    eachOnce(bodies, numbers(5))
    await queue.disconnect()
    const last = await take(t, other, name)
    assert.equal(last.body, bodies[4])
    assert.equal(last.deliveryCount, 0)
  })

  item('iterator-leave', 'leaving the loop gives back what was read ahead', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(other, name, 5)
    const bodies: unknown[] = []
    for await (const message of queue.messages(name, { prefetch: 5 })) {
      await queue.acknowledge(message)
      bodies.push(message.body)
      break
    }
    for (let i = 0; i < 4; i++) {
      const message = await take(t, other, name)
      await other.acknowledge(message)
      bodies.push(message.body)
    }
    eachOnce(bodies, numbers(5))
  })

  item('many', '50 consumers opened and closed at once', async (t) => {
    const queue = await t.connect()
    const names = numbers(50).map(() => t.name())
    const inboxes = await Promise.all(names.map((name) => collect(t, queue, name)))
    await Promise.all(names.map((name) => queue.send(name, name)))
    await Promise.all(inboxes.map((inbox) => inbox.count(1)))
    await Promise.all(inboxes.map((inbox) => inbox.consumer.stop()))
    assert.deepEqual(
      inboxes.map((inbox) => inbox.bodies()),
      names.map((name) => [name]),
    )
    const [first = ''] = names
    await queue.send(first, 'after')
    assert.equal((await take(t, queue, first)).body, 'after')
  })

  item(
    'missing',
    'without autoDeclare a missing queue cannot be consumed, counted or purged, and the error says so',
    async (t) => {
      const queue = await t.connect({ autoDeclare: false })
      await rejects(queue.getQueueSize(t.name()), 'MQ_QUEUE_NOT_FOUND')
      await rejects(queue.purgeQueue(t.name()), 'MQ_QUEUE_NOT_FOUND')
      await rejects(queue.receive(t.name()), 'MQ_QUEUE_NOT_FOUND')
      await rejects(
        queue.consume(t.name(), () => undefined),
        'MQ_QUEUE_NOT_FOUND',
      )
    },
  )

  item('handlers', 'one handler a queue; none is an error that says so', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await rejects(queue.startConsuming(name), 'MQ_HANDLER_NOT_FOUND')
    queue.registerFunctionHandler(name, () => undefined)
    assert.throws(() => queue.registerFunctionHandler(name, () => undefined), { code: 'MQ_VALIDATION' })
    assert.deepEqual(queue.getStats().registeredHandlers, [name])
  })

  item('rate-limit', 'a rate limit spreads the runs, costs no attempt, and loses nothing', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 6)
    const times: number[] = []
    const perMs = 1000
    const inbox = await collect(t, queue, name, { concurrency: 6, rateLimit: { max: 2, perMs } }, () => {
      times.push(t.now())
    })
    await inbox.count(6)
    // Runs 1 and 3, 2 and 4, … are a window apart: two start in any second. What is measured is when the handler runs, after its start:
    // on a busy machine not so little after it.
    for (let i = 2; i < 6; i++)
      assert.ok((times[i] as number) - (times[i - 2] as number) >= perMs * 0.7, `runs ${i - 2} and ${i}`)
    eachOnce(inbox.bodies(), numbers(6))
    assert.ok(
      inbox.messages.every(({ deliveryCount }) => deliveryCount === 0),
      'an attempt was counted',
    )
  })

  item(
    'circuit-breaker',
    'a circuit breaker pauses after failures, probes with one message, and closes',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      await sendNumbers(queue, name, 3)
      let healthy = false
      const inbox = await collect(
        t,
        queue,
        name,
        {
          circuitBreaker: { failures: 2, openMs: 300 },
          retry: { maxRetries: 10, delayMs: 1, backoff: 'fixed', jitter: 0 },
        },
        () => {
          if (!healthy) throw new Error('down')
        },
      )
      await t.until(
        () => inbox.messages.length >= 2 && inbox.consumer.stats().circuit !== 'closed',
        'the breaker open',
      )
      healthy = true
      await t.until(() => inbox.consumer.stats().handled >= 3, 'all handled')
      assert.equal(inbox.consumer.stats().circuit, 'closed')
    },
  )
})
