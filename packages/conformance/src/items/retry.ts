import assert from 'node:assert/strict'
import { RejectError, RetryError } from '@mq/core'
import { collect, eachOnce, nothing, numbers, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

const once = { maxRetries: 1, delayMs: 1, backoff: 'fixed', jitter: 0 } as const

export const retry = group('retry', (item) => {
  item('attempts', 'a failing message is run exactly 1 + maxRetries times, then dead-lettered', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const id = await queue.send(name, 'bad')
    const inbox = await collect(t, queue, name, { retry: { ...once, maxRetries: 3 } }, () => {
      throw new Error('always')
    })
    const dead = await take(t, queue, `${name}.dlq`)
    assert.deepEqual([dead.id, dead.deadLetter?.reason], [id, 'max-retries'])
    assert.equal(inbox.messages.length, 4)
    await nothing(queue, name)
  })

  item('count', 'each run sees how many failed before it, exactly', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const seen: [number, number][] = []
    await queue.send(name, 'bad')
    await queue.consume(
      name,
      (message, { attempt }) => {
        seen.push([message.deliveryCount, attempt])
        if (message.deliveryCount < 3) throw new Error('not yet')
      },
      { retry: { ...once, maxRetries: 5 } },
    )
    await t.until(() => seen.length >= 4, 'four runs')
    assert.deepEqual(seen, [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
    ])
  })

  item('keeps-message', 'a retried message keeps its id, body, headers and fields', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const fields = { headers: { h: 'v' }, correlationId: 'c', key: 'k', routingKey: 'r', replyTo: undefined }
    const timestamp = new Date(1_700_000_000_123)
    const id = await queue.send(name, { a: [1] }, { ...fields, timestamp } as never)
    const inbox = await collect(t, queue, name, { retry: once }, ({ deliveryCount }) => {
      if (deliveryCount === 0) throw new Error('once')
    })
    await inbox.count(2)
    const again = inbox.messages[1]
    assert.deepEqual([again?.id, again?.body, { ...again?.headers }], [id, { a: [1] }, { h: 'v' }])
    assert.deepEqual([again?.correlationId, again?.key, again?.routingKey], ['c', 'k', 'r'])
    assert.deepEqual(
      [again?.contentType, again?.timestamp.getTime()],
      ['application/json', timestamp.getTime()],
    )
  })

  item('once-done', 'a message that succeeds on retry is gone', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'x')
    const inbox = await collect(t, queue, name, { retry: once }, ({ deliveryCount }) => {
      if (deliveryCount === 0) throw new Error('once')
    })
    await inbox.count(2)
    await inbox.consumer.stop()
    await nothing(queue, name)
    assert.equal(await queue.getQueueSize(`${name}.dlq`), 0)
  })

  item('fixed', 'fixed: each redelivery comes no earlier than the delay', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const times: number[] = []
    await queue.send(name, 'x')
    await queue.consume(
      name,
      ({ deliveryCount }) => {
        times.push(t.now())
        if (deliveryCount < 2) throw new Error('again')
      },
      { retry: { maxRetries: 2, delayMs: 250, backoff: 'fixed', jitter: 0 } },
    )
    await t.until(() => times.length >= 3, 'three runs')
    const [a = 0, b = 0, c = 0] = times
    assert.ok(b - a >= 248 && c - b >= 248, `after ${b - a} and ${c - b} ms`)
  })

  item(
    'exponential',
    'exponential: each wait is drawn once, within its jitter, and doubles up to the maximum',
    async (t) => {
      const link = t.faulty()
      const queue = await t.connect({}, link.adapter)
      const name = t.name()
      const times: number[] = []
      await sendNumbers(queue, name, 1)
      await queue.consume(
        name,
        ({ deliveryCount }) => {
          times.push(t.now())
          if (deliveryCount < 4) throw new Error('again')
        },
        { retry: { maxRetries: 4, delayMs: 40, backoff: 'exponential', maxDelayMs: 160, jitter: 0.25 } },
      )
      await t.until(() => times.length >= 5, 'five runs')
      const waits = link.calls
        .filter(({ operation }) => operation === 'retry')
        .map(({ args }) => args[1] as number)
      assert.equal(waits.length, 4)
      for (const [i, full] of [40, 80, 160, 160].entries()) {
        const wait = waits[i] ?? 0
        assert.ok(wait >= full * 0.75 - 1 && wait <= full * 1.25 + 1, `wait ${i + 1} is ${wait} ms`)
        const gap = (times[i + 1] ?? 0) - (times[i] ?? 0)
        assert.ok(gap >= wait - 2, `run ${i + 2} came after ${gap} ms, earlier than ${wait}`)
      }
    },
  )

  item('blocks-nothing', 'a waiting retry holds no slot: others are handled meanwhile', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'bad')
    const retrying = {
      maxRetries: 1,
      delayMs: 600_000,
      maxDelayMs: 600_000,
      backoff: 'fixed',
      jitter: 0,
    } as const
    const inbox = await collect(
      t,
      queue,
      name,
      { concurrency: 1, prefetch: 1, retry: retrying },
      ({ body }) => {
        if (body === 'bad') throw new Error('later')
      },
    )
    await inbox.count(1)
    await sendNumbers(queue, name, 5)
    await inbox.count(6)
    eachOnce(inbox.bodies().slice(1), numbers(5))
    await t.until(() => inbox.consumer.stats().unsettled === 0, 'nothing held')
  })

  item('survives-crash', 'a waiting retry survives the crash of its consumer, with its count', async (t) => {
    const link = t.faulty()
    const queue = await t.connect(t.shortLease(), link.adapter)
    const name = t.name()
    const id = await queue.send(name, 'x')
    const failedAt = { ms: 0 }
    // Longer than this process may stall: its own consumer is not to have the retry before it crashes.
    const delayMs = 2500
    const inbox = await collect(t, queue, name, { retry: { ...once, delayMs } }, () => {
      failedAt.ms = t.now()
      throw new Error('once')
    })
    await inbox.count(1)
    await t.until(() => queue.getStats().inFlight === 0, 'the retry accepted by the broker')
    await link.crash()
    const again = await take(t, await t.connect(), name)
    assert.deepEqual([again.id, again.deliveryCount], [id, 1])
    assert.ok(t.now() - failedAt.ms >= delayMs - 2, 'no earlier than its delay')
  })

  item('reject-error', 'RejectError dead-letters at once', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const id = await queue.send(name, 'x')
    const inbox = await collect(t, queue, name, { retry: once }, () => {
      throw new RejectError('never again')
    })
    const dead = await take(t, queue, `${name}.dlq`)
    assert.deepEqual([dead.id, dead.deadLetter?.reason, dead.deadLetter?.attempts], [id, 'rejected', 1])
    await t.quiet(50)
    await nothing(queue, `${name}.dlq`)
    assert.equal(inbox.messages.length, 1)
  })

  item('retry-error', 'RetryError retries after its own delay, and counts as an attempt', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const times: number[] = []
    await queue.send(name, 'x')
    const policy = {
      maxRetries: 1,
      delayMs: 600_000,
      maxDelayMs: 600_000,
      backoff: 'fixed',
      jitter: 0,
    } as const
    const inbox = await collect(t, queue, name, { retry: policy }, () => {
      times.push(t.now())
      throw new RetryError('soon', { delayMs: 200 })
    })
    const dead = await take(t, queue, `${name}.dlq`)
    assert.equal(inbox.messages.length, 2)
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 198, 'earlier than its delay')
    assert.deepEqual([dead.deadLetter?.reason, dead.deadLetter?.attempts], ['max-retries', 2])
  })

  item('handle-error', 'handleError runs after each failed attempt', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const seen: string[] = []
    await queue.send(name, 'x')
    queue.registerHandler(
      name,
      {
        handle() {
          throw new Error('no')
        },
        handleError(message, error) {
          seen.push(`${message.deliveryCount} ${error.message}`)
        },
      },
      { retry: once },
    )
    await queue.startConsuming(name)
    await take(t, queue, `${name}.dlq`)
    assert.deepEqual(seen, ['0 no', '1 no'])
  })

  item('default-policy', 'without options the configuration decides', async (t) => {
    const queue = await t.connect({ maxRetryAttempts: 2, retryDelaySeconds: 0.001, retryBackoff: 'fixed' })
    const name = t.name()
    await queue.send(name, 'x')
    const inbox = await collect(t, queue, name, {}, () => {
      throw new Error('no')
    })
    const dead = await take(t, queue, `${name}.dlq`)
    assert.deepEqual([inbox.messages.length, dead.deadLetter?.attempts], [3, 3])
  })
})
