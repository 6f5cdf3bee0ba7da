import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { Message, type MessageQueue } from '@mq/core'
import type { OutboundMessage } from '@mq/core/adapter'
import {
  collect,
  drain,
  eachOnce,
  later,
  make,
  nothing,
  numbers,
  reaches,
  rejects,
  sendNumbers,
  take,
} from '../helpers.ts'
import { group } from '../item.ts'

export const publish = group('publish', (item) => {
  item('accepted', 'a resolved send is in the broker: another connection sees it at once', async (t) => {
    const [sender, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await other.createQueue({ name })
    const id = await sender.send(name, 'x')
    await sender.disconnect()
    const message = await other.receive(name)
    assert.equal(message?.id, id)
    await nothing(other, name)
  })

  item('short-forms', 'sendText, sendJson and send(queue, body, fields) send the same message', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.sendText('text', { queueName: name })
    await queue.sendJson({ a: 1 }, { queueName: name })
    await queue.send(name, { a: 1 }, { correlationId: 'c' })
    await queue.send(new Message({ body: 1 }), { queueName: name })
    const messages = await drain(queue, name)
    eachOnce(
      messages.map(({ body, contentType, correlationId }) =>
        JSON.stringify([body, contentType, correlationId ?? null]),
      ),
      [
        ['text', 'text/plain', null],
        [{ a: 1 }, 'application/json', null],
        [{ a: 1 }, 'application/json', 'c'],
        [1, 'application/json', null],
      ].map((each) => JSON.stringify(each)),
    )
  })

  item(
    'unroutable',
    'without autoDeclare a message to a missing queue rejects, and says that it is not stored',
    async (t) => {
      const queue = await t.connect({ autoDeclare: false })
      const name = t.name()
      const error = await rejects(queue.send(name, 'x'), 'MQ_QUEUE_NOT_FOUND')
      assert.equal(error.certainty, 'not-stored')
      const other = await t.connect()
      assert.equal(await other.getQueueSize(name), 0)
    },
  )

  item('aborted-before', 'a signal aborted before the write: not stored', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name })
    const error = await rejects(
      queue.send({ body: 'x', queueName: name }, { signal: AbortSignal.abort() }),
      'MQ_ABORTED',
    )
    assert.equal(error.certainty, 'not-stored')
    await nothing(queue, name)
  })

  item('aborted-after', 'a signal aborted after the write: unknown', async (t) => {
    const link = t.faulty()
    const queue = await t.connect({}, link.adapter)
    const name = t.name()
    await queue.createQueue({ name })
    link.intercept('publish', () => new Promise(() => undefined))
    const controller = new AbortController()
    const sending = queue.send({ body: 'x', queueName: name }, { signal: controller.signal })
    const rejected = rejects(sending, 'MQ_ABORTED')
    await t.until(() => link.calls.some(({ operation }) => operation === 'publish'), 'the write')
    controller.abort()
    assert.equal((await rejected).certainty, 'unknown')
  })

  item('batch', 'a batch answers its ids in input order, and each is stored once', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const ids = await sendNumbers(queue, name, 60)
    assert.equal(new Set(ids).size, 60, 'distinct ids')
    const got = await drain(queue, name)
    eachOnce(
      got.map(({ id, body }) => `${String(body)} ${id}`),
      ids.map((id, i) => `${i} ${id}`),
    )
    assert.deepEqual(await queue.sendBatch([]), [])
  })

  item('batch-partial', 'a batch reports every message that failed, and stores the rest', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const tooLarge = new Uint8Array(2 * 1024 * 1024)
    const batch = numbers(6).map((i) => ({ body: i % 3 === 1 ? tooLarge : i, id: `m${i}`, queueName: name }))
    const error = await rejects(queue.sendBatch(batch), 'MQ_PUBLISH')
    const failures = error['failures'] as { index: number; id: string; certainty: string; cause: unknown }[]
    assert.deepEqual(
      failures.map(({ index, id, certainty }) => [index, id, certainty]),
      [
        [1, 'm1', 'not-stored'],
        [4, 'm4', 'not-stored'],
      ],
    )
    assert.ok(
      failures.every(({ cause }) => (cause as { code?: string }).code === 'MQ_MESSAGE_TOO_LARGE'),
      'another cause',
    )
    eachOnce(
      (await drain(queue, name)).map(({ body }) => body),
      [0, 2, 3, 5],
    )
  })

  item('outcome-per-message', 'what the broker refuses of one call fails alone', async (t) => {
    const link = t.faulty()
    const queue = await t.connect({ producer: { retries: 0 } }, link.adapter)
    const name = t.name()
    await queue.createQueue({ name })
    link.intercept('publish', async (forward, [batch]) => {
      const outcomes = (await forward()) as unknown[]
      const error = new Error('refused by the test')
      return outcomes.map((outcome, i) =>
        (batch as OutboundMessage[])[i]?.headers['refuse'] === 'yes'
          ? { ok: false, error, certainty: 'unknown' }
          : outcome,
      )
    })
    const sends = [0, 1, 2].map((i) => queue.send(name, i, i === 1 ? { headers: { refuse: 'yes' } } : {}))
    const results = await Promise.allSettled(sends)
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal((results[1] as { reason: { certainty?: string } }).reason.certainty, 'unknown')
  })

  item(
    'too-large',
    'a body above the limit rejects before anything is sent, and names the limit',
    async (t) => {
      const link = t.faulty()
      const queue = await t.connect({}, link.adapter)
      const name = t.name()
      await queue.createQueue({ name })
      const error = await rejects(
        queue.send(name, new Uint8Array(1024 * 1024 - 16 * 1024 + 1)),
        'MQ_MESSAGE_TOO_LARGE',
      )
      assert.equal(error.certainty, 'not-stored')
      assert.match(error.message, /1032192|1,032,192/)
      assert.ok(!link.calls.some(({ operation }) => operation === 'publish'), 'it was sent')
    },
  )

  item(
    'back-pressure',
    'a broker that does not answer fills a bounded buffer, and then sends reject',
    async (t) => {
      const link = t.faulty()
      const queue = await t.connect({ producer: { bufferMemory: 1024 * 1024 } }, link.adapter)
      const name = t.name()
      await queue.createQueue({ name })
      link.intercept('publish', () => new Promise(() => undefined))
      const body = new Uint8Array(64 * 1024)
      let refused = 0
      let certainty: unknown
      for (let i = 0; i < 64; i++) {
        queue.send(name, body).catch((error: { certainty?: string }) => {
          refused++
          certainty = error.certainty
        })
      }
      await t.until(() => refused >= 64 - 16, 'sends refused once the buffer is full')
      assert.equal(certainty, 'not-stored')
    },
  )

  item('middleware-order', 'send middleware runs like an onion, the first added outermost', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const steps: string[] = []
    for (const layer of ['outer', 'inner']) {
      queue.addMiddleware({
        name: layer,
        async send(message, next) {
          steps.push(`${layer} before`)
          message.headers[layer] = 'was here'
          const id = await next(message)
          steps.push(`${layer} after`)
          return id
        },
      })
    }
    const id = await queue.send(name, 'x')
    assert.deepEqual(steps, ['outer before', 'inner before', 'inner after', 'outer after'])
    const got = await take(t, queue, name)
    assert.equal(got.id, id)
    assert.deepEqual({ ...got.headers }, { outer: 'was here', inner: 'was here' })
  })

  item(
    'middleware-veto',
    'what send middleware throws reaches the caller as it is, and nothing is sent',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      await queue.createQueue({ name })
      const veto = new Error('not this one')
      queue.addMiddleware({
        name: 'veto',
        send(message, next) {
          if (message.body === 'bad') throw veto
          return next()
        },
      })
      await assert.rejects(queue.send(name, 'bad'), (error) => error === veto)
      await queue.send(name, 'good')
      const bodies = (await drain(queue, name)).map(({ body }) => body)
      assert.deepEqual(bodies, ['good'])
    },
  )

  item('same-id-twice', 'the same message sent twice on purpose is stored twice', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const message = new Message({ body: 'again', queueName: name })
    await queue.send(message)
    await queue.send(message)
    const ids = (await drain(queue, name)).map(({ id }) => id)
    assert.deepEqual(ids, [message.id, message.id])
    // Once more, when both were handled.
    await queue.send(message)
    assert.equal((await take(t, queue, name)).id, message.id)
  })

  item(
    'repeated',
    'a call that failed in passing is repeated with the same token, grouping and order',
    async (t) => {
      const link = t.faulty()
      const queue = await t.connect({}, link.adapter)
      const name = t.name()
      await queue.createQueue({ name })
      let failed = false
      link.intercept('publish', (forward) => {
        if (failed) return forward()
        failed = true
        return Promise.reject(Object.assign(new Error('passing'), { code: 'ECONNRESET' }))
      })
      const ids = await Promise.all([queue.send(name, 1), queue.send(name, 2)])
      const calls = link.calls.filter(({ operation }) => operation === 'publish')
      const tokens = calls.map(({ args }) => (args[0] as OutboundMessage[]).map(({ sendToken }) => sendToken))
      // An adapter may want less in one call than was sent at once.
      const [failedCall, ...after] = tokens
      assert.equal(
        after.filter((each) => isDeepStrictEqual(each, failedCall)).length,
        1,
        'once again, as it was',
      )
      eachOnce(
        (await drain(queue, name)).map(({ id }) => id),
        ids,
      )
    },
  )

  item('no-aliasing', 'changing a body after send, or a received one, changes nobody else’s', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const bytes = new Uint8Array([1, 2, 3])
    const headers = { a: '1' }
    const sending = later(queue.send(name, bytes, { headers }))
    bytes[0] = 9
    headers.a = '9'
    await sending
    const first = await take(t, queue, name)
    assert.deepEqual([...(first.body as Uint8Array)], [1, 2, 3])
    assert.equal(first.headers['a'], '1')
    ;(first.body as Uint8Array)[1] = 9
    first.headers['a'] = '9'
    await queue.reject(first, { requeue: true })
    const second = await take(t, queue, name)
    assert.deepEqual([...(second.body as Uint8Array)], [1, 2, 3])
    assert.equal(second.headers['a'], '1')
  })

  item('outage', 'sends during an outage wait, and are stored when the broker is back', async (t) => {
    const link = await t.link()
    const queue = await t.connect({}, link.adapter)
    const name = t.name()
    await queue.createQueue({ name })
    await link.setDown(true)
    await t.until(() => !queue.getStats().isConnected, 'the loss noticed')
    const sends = later(Promise.all(numbers(20).map((body) => queue.send(name, body))))
    await t.quiet(100)
    await link.setDown(false)
    await sends
    const other = await t.connect()
    const bodies = new Set((await drain(other, name)).map(({ body }) => body))
    eachOnce([...bodies], numbers(20))
  })

  item(
    'outage-deadline',
    'an outage longer than deliveryTimeoutMs rejects the sends, with their certainty',
    async (t) => {
      const link = await t.link()
      const queue = await t.connect({ producer: { deliveryTimeoutMs: 2000 } }, link.adapter)
      const name = t.name()
      await make(t, queue, name)
      await link.setDown(true)
      await t.until(() => !queue.getStats().isConnected, 'the loss noticed')
      const error = await queue.send(name, 'x').then(
        () => null,
        (reason: unknown) => reason as { code?: string; certainty?: string },
      )
      assert.equal(error?.code, 'MQ_TIMEOUT')
      assert.equal(error?.certainty, 'not-stored')
      await link.setDown(false)
    },
  )

  item(
    'burst',
    '10,000 messages by 20 publishers, then disconnect at once: every resolved one arrives, once',
    async (t) => {
      const name = t.name()
      const reader = await t.connect()
      await reader.createQueue({ name })
      const sender: MessageQueue = await t.connect()
      const accepted: number[] = []
      const publishers = later(
        Promise.all(
          numbers(20).map(async (p) => {
            for (let i = 0; i < 500; i += 10) {
              const batch = numbers(10).map((j) => p * 500 + i + j)
              await Promise.all(batch.map((body) => sender.send(name, body).then(() => accepted.push(body))))
            }
          }),
        ),
      )
      await reaches(t, () => accepted.length, 9000, 'messages accepted')
      const disconnecting = later(sender.disconnect())
      await publishers.catch(() => undefined)
      await disconnecting
      const inbox = await collect(t, reader, name, { concurrency: 100, prefetch: 500 })
      await inbox.count(accepted.length)
      await inbox.consumer.stop()
      const got = new Set(inbox.bodies())
      assert.equal(got.size, inbox.messages.length, 'none twice')
      assert.deepEqual(
        accepted.filter((body) => !got.has(body)),
        [],
        'accepted but lost',
      )
    },
    { slowness: 3 },
  )
})
