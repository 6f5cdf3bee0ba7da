import assert from 'node:assert/strict'
import { collect, gate, nothing, numbers, rejects } from '../helpers.ts'
import { group } from '../item.ts'

/** More than fits into one frame of some protocols. */
const MUCH = Array.from({ length: 20_000 }, (_, i) => `answer ${i}`)

export const requests = group('request', (item) => {
  item('result', 'a request resolves with what the handler returns, undefined as null', async (t) => {
    const [asker, answerer] = [await t.connect(), await t.connect()]
    const name = t.name()
    await answerer.consume(name, ({ body }) =>
      body === 'nothing' ? undefined : body === 'much' ? MUCH : { doubled: (body as number) * 2 },
    )
    // By whoever answers as well.
    for (const by of [asker, answerer]) {
      const reply = await by.request(name, 21, { timeoutMs: t.patienceMs })
      assert.deepEqual(reply.body, { doubled: 42 })
    }
    assert.equal((await asker.request(name, 'nothing', { timeoutMs: t.patienceMs })).body, null)
    assert.deepEqual((await asker.request(name, 'much', { timeoutMs: t.patienceMs })).body, MUCH)
    assert.equal(
      (await asker.request({ body: 1, queueName: name }, { timeoutMs: t.patienceMs })).contentType,
      'application/json',
    )
  })

  item(
    'error',
    'a failed handler rejects the request with its name and message, without a retry',
    async (t) => {
      const [asker, answerer] = [await t.connect(), await t.connect()]
      const name = t.name()
      let runs = 0
      await answerer.consume(name, () => {
        runs++
        throw new RangeError('too far')
      })
      const error = await rejects(asker.request(name, 1, { timeoutMs: t.patienceMs }), 'MQ_REMOTE')
      assert.deepEqual([error.name, error.message], ['RangeError', 'too far'])
      assert.equal(runs, 1)
    },
  )

  item('retried', 'a request whose handler sets retry is retried, and answered in the end', async (t) => {
    const [asker, answerer] = [await t.connect(), await t.connect()]
    const name = t.name()
    await answerer.consume(
      name,
      ({ deliveryCount }) => {
        if (deliveryCount < 2) throw new Error('not yet')
        return 'at last'
      },
      { retry: { maxRetries: 3, delayMs: 1, jitter: 0 } },
    )
    assert.equal((await asker.request(name, 1, { timeoutMs: t.patienceMs })).body, 'at last')
  })

  item('timeout', 'a request that nobody answers in time rejects, and expires', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name })
    const startedAt = t.now()
    await rejects(queue.request(name, 1, { timeoutMs: 200 }), 'MQ_REQUEST_TIMEOUT')
    assert.ok(t.now() - startedAt >= 198, 'earlier than its timeout')
    await t.quiet(50)
    await nothing(await t.connect(), name)
  })

  item('many', 'many requests at once, by several askers, each get their own answer', async (t) => {
    const name = t.name()
    const answerer = await t.connect()
    await answerer.consume(name, ({ body }) => `answer ${String(body)}`, { concurrency: 20, prefetch: 50 })
    const askers = [await t.connect(), await t.connect()]
    const answers = await Promise.all(
      askers.flatMap((asker, a) =>
        numbers(40).map((i) => asker.request(name, `${a}.${i}`, { timeoutMs: t.patienceMs })),
      ),
    )
    assert.deepEqual(
      answers.map(({ body }) => body),
      askers.flatMap((_, a) => numbers(40).map((i) => `answer ${a}.${i}`)),
    )
  })

  item('late', 'a late reply is ignored, and later requests are answered', async (t) => {
    const [asker, answerer] = [await t.connect(), await t.connect()]
    const name = t.name()
    const door = gate()
    const inbox = await collect(t, answerer, name, { concurrency: 2 }, async ({ body }) => {
      if (body === 'slow') await door.passed
      return body
    })
    // What a first request sets up is no part of the time that the slow one has to arrive.
    await asker.request(name, 'first', { timeoutMs: t.patienceMs })
    // One that expires on its way to the handler is never answered.
    while (inbox.messages.length < 2)
      await rejects(asker.request(name, 'slow', { timeoutMs: 1000 }), 'MQ_REQUEST_TIMEOUT')
    door.open()
    await t.until(() => answerer.getStats().inFlight === 0, 'the late reply sent')
    assert.equal((await asker.request(name, 'quick', { timeoutMs: t.patienceMs })).body, 'quick')
    assert.deepEqual(t.errors, [])
  })

  item('reconnected', 'requests are answered again after the connection was lost', async (t) => {
    const link = await t.link()
    const [asker, answerer] = [await t.connect({}, link.adapter), await t.connect()]
    const name = t.name()
    await answerer.consume(name, ({ body }) => body)
    assert.equal((await asker.request(name, 'before', { timeoutMs: t.patienceMs })).body, 'before')
    let lost = false
    asker.on('reconnecting', () => (lost = true))
    await link.cut()
    await t.until(() => lost && asker.getStats().isConnected, 'connected again')
    assert.equal((await asker.request(name, 'after', { timeoutMs: t.patienceMs })).body, 'after')
  })

  item('answered-first', 'the reply is accepted before the request is acknowledged', async (t) => {
    const link = t.faulty()
    const [asker, answerer] = [await t.connect(), await t.connect({}, link.adapter)]
    const name = t.name()
    await answerer.consume(name, () => 'yes')
    await asker.request(name, 1, { timeoutMs: t.patienceMs })
    await t.until(() => link.calls.some(({ operation }) => operation === 'ack'), 'the acknowledgement')
    const order = link.calls
      .map(({ operation }) => operation)
      .filter((operation) => /publish|ack/.test(operation))
    assert.deepEqual(order, ['publish', 'ack'])
  })
})
