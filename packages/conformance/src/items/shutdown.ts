import assert from 'node:assert/strict'
import { startChild } from '../child-process.ts'
import { collect, eachOnce, gate, later, nothing, numbers, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

export const shutdown = group('shutdown', (item) => {
  item('drain', 'disconnect waits for running handlers, and their messages are settled', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const door = gate()
    let ended = false
    await queue.send(name, 'x')
    const inbox = await collect(t, queue, name, {}, async () => {
      await door.passed
      ended = true
    })
    await inbox.count(1)
    const disconnecting = later(queue.disconnect())
    await t.quiet(50)
    door.open()
    assert.deepEqual({ ...(await disconnecting) }, { drained: true, abandoned: [] })
    assert.equal(ended, true)
    await nothing(await t.connect(), name)
  })

  item(
    'timeout',
    'a handler that outlasts the timeout is aborted and reported; its message comes back, uncounted',
    async (t) => {
      const queue = await t.connect(t.shortLease())
      const name = t.name()
      const id = await queue.send(name, 'x')
      let aborted = false
      await queue.consume(name, async (_message, { signal }) => {
        signal.addEventListener('abort', () => (aborted = true))
        await new Promise<never>(() => undefined)
      })
      await t.until(() => queue.getStats().inFlight === 1, 'the handler running')
      const result = await queue.disconnect({ timeoutMs: 100 })
      assert.deepEqual({ ...result }, { drained: false, abandoned: [id] })
      assert.equal(aborted, true)
      const back = await take(t, await t.connect(), name)
      assert.deepEqual([back.id, back.deliveryCount], [id, 0])
    },
  )

  item(
    'stop-timeout',
    'stop does the same for one consumer, and leaves the rest of the queue alone',
    async (t) => {
      const queue = await t.connect()
      const [stuck, other] = [t.name(), t.name()]
      const id = await queue.send(stuck, 'x')
      const inbox = await collect(t, queue, stuck, {}, () => new Promise<never>(() => undefined))
      const fine = await collect(t, queue, other)
      await inbox.count(1)
      assert.deepEqual(
        { ...(await inbox.consumer.stop({ timeoutMs: 50 })) },
        { drained: false, abandoned: [id] },
      )
      await queue.send(other, 'y')
      await fine.count(1)
    },
  )

  item(
    'returned',
    'what was received or read ahead and not settled goes back at once, uncounted',
    async (t) => {
      const [queue, other] = [await t.connect(), await t.connect()]
      const [pulled, consumed] = [t.name(), t.name()]
      await sendNumbers(other, pulled, 2)
      await sendNumbers(other, consumed, 6)
      await take(t, queue, pulled)
      const door = gate()
      const inbox = await collect(t, queue, consumed, { prefetch: 6 }, () => door.passed)
      await t.until(() => inbox.consumer.stats().unsettled === 6, 'six read ahead')
      const disconnecting = later(queue.disconnect())
      door.open()
      await disconnecting
      // Leases are 30 s here: whatever comes now was given back, not timed out.
      const back = [await take(t, other, pulled), await take(t, other, pulled)]
      for (let i = 0; i < 5; i++) back.push(await take(t, other, consumed))
      assert.deepEqual([...new Set(back.map(({ deliveryCount }) => deliveryCount))], [0])
    },
  )

  item('flushed', 'disconnect flushes what was sent', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name })
    const sends = later(Promise.all(numbers(200).map((body) => queue.send(name, body))))
    await queue.disconnect()
    await sends
    const other = await t.connect()
    const inbox = await collect(t, other, name)
    await inbox.count(200)
    await inbox.consumer.stop()
    await nothing(other, name)
    eachOnce(inbox.bodies(), numbers(200))
  })

  item(
    'signal',
    'a first signal drains, a second ends the process at once',
    async (t) => {
      const child = startChild(t, 'signals', t.name())
      await child.line('handling')
      child.kill('SIGTERM')
      // Two that come before the first was heard are one.
      await child.line('told to end')
      child.kill('SIGTERM')
      const { code, signal } = await child.ended()
      assert.ok(code === 128 + 15 || signal === 'SIGTERM', `ended with ${code} ${signal}`)
    },
    { slowness: 2 },
  )

  item(
    'zero-loss',
    'fast handlers stopped and started again: zero lost, zero twice',
    async (t) => {
      const name = t.name()
      const sender = await t.connect()
      await sender.createQueue({ name })
      const handled: unknown[] = []
      const sending = later(
        (async () => {
          for (let i = 0; i < 1000; i += 50)
            await sender.sendBatch(numbers(50).map((j) => ({ body: i + j, queueName: name })))
        })(),
      )
      for (let round = 0; round < 5; round++) {
        const queue = await t.connect()
        await collect(
          t,
          queue,
          name,
          { concurrency: 10, prefetch: 20 },
          ({ body }) => void handled.push(body),
        )
        const seen = handled.length
        await t.until(() => handled.length > seen || handled.length >= 1000, 'some handled')
        await queue.disconnect()
      }
      await sending
      await collect(t, await t.connect(), name, { concurrency: 10 }, ({ body }) => void handled.push(body))
      await t.until(() => handled.length >= 1000, 'all handled')
      await t.quiet(100)
      eachOnce(handled, numbers(1000))
    },
    { slowness: 2 },
  )

  item('dead-broker', 'disconnect settles although the connection is lost and stays so', async (t) => {
    const link = await t.link()
    const queue = await t.connect({}, link.adapter)
    const name = t.name()
    const inbox = await collect(t, queue, name, {}, () => new Promise<never>(() => undefined))
    await queue.send(name, 'x')
    await inbox.count(1)
    await link.setDown(true)
    await t.until(() => !queue.getStats().isConnected, 'the loss noticed')
    const sending = queue.send(name, 'y').catch((error: { code?: string; certainty?: string }) => error)
    await queue.disconnect({ timeoutMs: 50 })
    const error = (await sending) as { certainty?: string }
    assert.equal(error.certainty, 'not-stored')
    await link.setDown(false)
  })
})
