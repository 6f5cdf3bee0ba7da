import assert from 'node:assert/strict'
import { startChild } from '../child-process.ts'
import { collect, drain, eachOnce, gate, nothing, numbers, rejects, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

const never = () => new Promise<never>(() => undefined)

export const settle = group('settle', (item) => {
  item('ack', 'an acknowledged message is gone, over a new connection as well', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'x')
    await queue.acknowledge(await take(t, queue, name))
    await nothing(queue, name)
    await queue.disconnect()
    await nothing(await t.connect(), name)
  })

  item(
    'ack-past-lease',
    'an acknowledged message does not come back when its lease would have run out',
    async (t) => {
      const queue = await t.connect(t.shortLease())
      const name = t.name()
      await queue.send(name, 'x')
      await queue.acknowledge(await take(t, queue, name, t.leaseMs))
      await t.quiet(t.leaseMs + 300)
      await nothing(await t.connect(), name)
    },
  )

  item('ack-one', 'acknowledging one message leaves the others, in any order', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(queue, name, 5)
    const held = [await take(t, queue, name), await take(t, queue, name), await take(t, queue, name)]
    const kept = held[0]?.body
    for (const message of [held[2], held[1]]) if (message !== undefined) await queue.acknowledge(message)
    await queue.disconnect()
    const rest: unknown[] = []
    while (rest.length < 3) {
      const message = await take(t, other, name)
      await other.acknowledge(message)
      rest.push(message.body)
    }
    const done = [held[1]?.body, held[2]?.body]
    eachOnce([...rest, ...done], numbers(5))
    assert.ok(rest.includes(kept), 'the one not acknowledged came back')
  })

  item('reject', 'a rejected message goes to the dead-letter queue, with its reason', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const id = await queue.send(name, 'bad')
    await queue.reject(await take(t, queue, name), { reason: 'not good enough' })
    await nothing(queue, name)
    const dead = await take(t, queue, `${name}.dlq`)
    assert.deepEqual([dead.id, dead.body, dead.deadLetter?.reason], [id, 'bad', 'rejected'])
    assert.match(dead.deadLetter?.error.message ?? '', /not good enough/)
  })

  item('reject-dropped', 'with dead-lettering off a rejected message is dropped', async (t) => {
    const queue = await t.connect({ enableDeadLetterQueue: false })
    const name = t.name()
    await queue.send(name, 'bad')
    await queue.reject(await take(t, queue, name))
    await nothing(queue, name)
    assert.equal(await queue.getQueueSize(`${name}.dlq`), 0)
  })

  item('requeue', 'a requeued message comes back with the same id, counted', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const id = await queue.send(name, 'again', { headers: { h: 'v' }, correlationId: 'c' })
    for (const count of numbers(3)) {
      const message = await take(t, queue, name)
      assert.deepEqual([message.id, message.deliveryCount, message.body], [id, count, 'again'])
      assert.deepEqual([{ ...message.headers }, message.correlationId], [{ h: 'v' }, 'c'])
      await queue.reject(message, { requeue: true })
    }
  })

  item('requeue-delay', 'a message requeued with a delay comes back, not before it', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'later')
    const message = await take(t, queue, name)
    const rejectedAt = t.now()
    await queue.reject(message, { requeue: true, delayMs: 300 })
    const back = await take(t, queue, name)
    assert.ok(t.now() - rejectedAt >= 298, `came back after ${t.now() - rejectedAt} ms`)
    assert.equal(back.deliveryCount, 1)
    // Each waits for itself: one that is due does not stand behind one that is not.
    await queue.reject(back, { requeue: true, delayMs: 600_000 })
    const id = await queue.send(name, 'sooner')
    await queue.reject(await take(t, queue, name), { requeue: true, delayMs: 200 })
    assert.equal((await take(t, queue, name)).id, id)
  })

  item(
    'crash',
    'what a crashed consumer held is delivered again, uncounted',
    async (t) => {
      const name = t.name()
      const config = t.shortLease()
      const other = await t.connect(config)
      await other.createQueue({ name })
      const id = await other.send(name, 'x')
      if (t.harness.process?.shared === true) {
        const child = startChild(t, 'hang', name)
        await child.line('took one')
        child.kill('SIGKILL')
        await child.ended()
      } else {
        const link = t.faulty()
        const held = await collect(t, await t.connect(config, link.adapter), name, {}, never)
        await held.count(1)
        await link.crash()
      }
      const again = await take(t, other, name)
      assert.deepEqual([again.id, again.deliveryCount], [id, 0])
      await other.acknowledge(again)
      await nothing(other, name)
    },
    { slowness: 2 },
  )

  item('double', 'settling twice throws AlreadySettledError, whichever way', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 2)
    const one = await take(t, queue, name)
    await queue.acknowledge(one)
    await rejects(queue.acknowledge(one), 'MQ_ALREADY_SETTLED')
    await rejects(queue.reject(one), 'MQ_ALREADY_SETTLED')
    const two = await take(t, queue, name)
    const both = await Promise.allSettled([queue.acknowledge(two), queue.acknowledge(two)])
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    await nothing(queue, name)
    assert.equal(await queue.getQueueSize(`${name}.dlq`), 0)
  })

  item(
    'lease-lost',
    'settling after the lease was lost throws, and touches nobody else’s delivery',
    async (t) => {
      const [queue, other] = [await t.connect(t.shortLease()), await t.connect()]
      const name = t.name()
      await queue.send(name, 'x')
      const mine = await take(t, queue, name, 300)
      const theirs = await take(t, other, name)
      assert.equal(theirs.id, mine.id)
      await rejects(queue.acknowledge(mine), 'MQ_LEASE_LOST')
      // Still theirs: neither acknowledged nor given to a third.
      await nothing(await t.connect(), name)
      await other.acknowledge(theirs)
      await nothing(other, name)
    },
  )

  item(
    'stale-reject',
    'rejecting after the lease was lost throws, and neither dead-letters nor requeues',
    async (t) => {
      const [queue, other] = [await t.connect(t.shortLease()), await t.connect()]
      const name = t.name()
      await sendNumbers(queue, name, 2)
      const mine = [await take(t, queue, name, 300), await take(t, queue, name, 300)]
      const theirs = [await take(t, other, name), await take(t, other, name)]
      const [first, second] = mine
      if (first !== undefined) await rejects(queue.reject(first), 'MQ_LEASE_LOST')
      if (second !== undefined) await rejects(queue.reject(second, { requeue: true }), 'MQ_LEASE_LOST')
      assert.equal(await other.getQueueSize(`${name}.dlq`), 0)
      for (const message of theirs) await other.acknowledge(message)
      await nothing(other, name)
    },
  )

  item('lease-held', 'a leased message is nobody else’s until its lease runs out', async (t) => {
    const [queue, other] = [await t.connect(t.shortLease(4000)), await t.connect()]
    const name = t.name()
    await queue.send(name, 'x')
    const takenAt = t.now()
    await take(t, queue, name, 1000)
    const again = await take(t, other, name)
    assert.ok(t.now() - takenAt >= 990, `given to another after ${t.now() - takenAt} ms`)
    assert.equal(again.deliveryCount, 0)
  })

  item('renewed', 'a handler that runs longer than the lease keeps its message', async (t) => {
    const config = t.shortLease()
    const [queue, other] = [await t.connect(config), await t.connect(config)]
    const name = t.name()
    await queue.createQueue({ name })
    let aborted = false
    let lost = 0
    queue.on('leaseLost', () => lost++)
    const runs: string[] = []
    let started: () => void = () => undefined
    const first = new Promise<void>((resolve) => (started = resolve))
    await queue.consume(name, async (message, { signal }) => {
      runs.push(message.id)
      started()
      await t.quiet(t.leaseMs * 2.5)
      aborted = signal.aborted
    })
    const id = await queue.send(name, 'slow')
    await first
    await collect(t, other, name, {}, ({ id: again }) => void runs.push(again))
    await t.until(() => queue.getStats().inFlight === 0, 'the handler ended')
    assert.deepEqual([runs, aborted, lost], [[id], false, 0])
  })

  item(
    'renewed-ahead',
    'what was read ahead is kept as well, however long it waits for its handler',
    async (t) => {
      const config = t.shortLease()
      const [queue, other] = [await t.connect(config), await t.connect(config)]
      const name = t.name()
      await sendNumbers(queue, name, 4)
      const door = gate()
      const inbox = await collect(t, queue, name, { concurrency: 1, prefetch: 4 }, () => door.passed)
      await t.until(() => inbox.consumer.stats().unsettled === 4, 'all of them read ahead')
      const others = await collect(t, other, name)
      await t.quiet(t.leaseMs * 2.5)
      door.open()
      await inbox.count(4)
      await t.until(() => queue.getStats().inFlight === 0, 'all settled')
      assert.deepEqual(others.bodies(), [])
      eachOnce(inbox.bodies(), numbers(4))
    },
  )

  item(
    'lost-aborts',
    'when ownership is lost the handler’s signal aborts, leaseLost is emitted, another gets the message',
    async (t) => {
      const link = t.faulty()
      const queue = await t.connect(t.shortLease(), link.adapter)
      const name = t.name()
      const lost: string[] = []
      queue.on('leaseLost', (message: { id: string }) => lost.push(message.id))
      let aborted = false
      const door = gate()
      // As if this process had been busy past its lease.
      link.intercept('renew', (forward) => door.passed.then(forward))
      const id = await queue.send(name, 'x')
      await queue.consume(
        name,
        async (_message, { signal }) => {
          signal.addEventListener('abort', () => (aborted = true))
          await never()
        },
        { prefetch: 1 },
      )
      await t.until(() => queue.getStats().inFlight > 0, 'the handler running')
      // Down, not only cut: the first to come back would take it again.
      if (t.capabilities.ownership === 'connection') link.setDown(true)
      const other = await t.connect()
      assert.equal((await take(t, other, name)).id, id)
      door.open()
      await t.until(() => aborted, 'the signal aborted')
      await t.until(() => lost.includes(id), 'leaseLost emitted')
    },
  )

  item('mode-auto', 'mode auto settles by the outcome of the handler', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await sendNumbers(queue, name, 2)
    const retry = { maxRetries: 0 }
    const inbox = await collect(t, queue, name, { acknowledgmentMode: 'auto', retry }, ({ body }) => {
      if (body === 1) throw new Error('no')
    })
    await inbox.count(2)
    const dead = await take(t, queue, `${name}.dlq`)
    assert.equal(dead.body, 1)
    await t.quiet(50)
    await nothing(queue, `${name}.dlq`)
    await inbox.consumer.stop()
    await nothing(queue, name)
  })

  item('mode-manual', 'mode manual leaves settling to the handler: unsettled ones come back', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(queue, name, 3)
    const inbox = await collect(
      t,
      queue,
      name,
      { acknowledgmentMode: 'manual', prefetch: 3 },
      async (message) => {
        if (message.body === 0) await queue.acknowledge(message)
        if (message.body === 1) await queue.reject(message)
      },
    )
    await inbox.count(3)
    await queue.disconnect()
    const left = await take(t, other, name)
    assert.equal(left.body, 2)
    await nothing(other, name)
    const dead = (await drain(other, `${name}.dlq`)).map(({ body }) => body)
    assert.deepEqual(dead, [1])
  })

  item('mode-none', 'mode none acknowledges before the handler runs', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await queue.send(name, 'x')
    const inbox = await collect(t, queue, name, { acknowledgmentMode: 'none' }, () => {
      throw new Error('no')
    })
    await inbox.count(1)
    await queue.disconnect()
    await nothing(other, name)
    assert.equal(await other.getQueueSize(`${name}.dlq`), 0)
  })

  item(
    'handler-timeout',
    'a handler that never returns fails by its timeout: aborted, retried, and the next one runs',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      await sendNumbers(queue, name, 2)
      let aborts = 0
      const runs: unknown[] = []
      await queue.consume(
        name,
        async (message, { signal }) => {
          runs.push(`${String(message.body)} run ${message.deliveryCount}`)
          if (message.body !== 0) return
          signal.addEventListener('abort', () => aborts++)
          await never()
        },
        { timeoutMs: 100, retry: { maxRetries: 1, delayMs: 1, jitter: 0 } },
      )
      const dead = await take(t, queue, `${name}.dlq`)
      assert.deepEqual([dead.body, dead.deadLetter?.reason, dead.deadLetter?.attempts], [0, 'max-retries', 2])
      await t.until(() => runs.length === 3, 'the other one handled')
      eachOnce(runs, ['0 run 0', '0 run 1', '1 run 0'])
      assert.equal(aborts, 2)
    },
  )

  item(
    'handler-throws',
    'whatever a handler throws, and however, is a failure and nothing worse',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      const throws: (() => unknown)[] = [
        () => {
          throw new Error('synchronously')
        },
        () => Promise.reject(new Error('asynchronously')),

        () => Promise.reject('a string'),

        () => Promise.reject(undefined),

        () => Promise.reject(null),
        () => {
          throw { message: 'an object' }
        },

        () => Promise.reject(Object.create(null)),
      ]
      await sendNumbers(queue, name, throws.length)
      const retry = { maxRetries: 0 }
      const inbox = await collect(t, queue, name, { retry, concurrency: 2 }, ({ body }) =>
        throws[body as number]?.(),
      )
      await t.until(async () => (await queue.deadLetters(name).count()) >= throws.length, 'all dead-lettered')
      eachOnce(inbox.bodies(), numbers(throws.length))
      await queue.send(name, 'still running')
      await inbox.count(throws.length + 1)
    },
  )
})
