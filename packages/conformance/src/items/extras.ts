import assert from 'node:assert/strict'
import { outbound, plainSettings, source } from '../fixtures.ts'
import {
  collect,
  drain,
  eachOnce,
  gate,
  nothing,
  receiveAll,
  rejects,
  sendNumbers,
  take,
} from '../helpers.ts'
import { group } from '../item.ts'

export const extras = group('extras', (item) => {
  item(
    'priority',
    'waiting messages come highest priority first, equal ones first in first out',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      if (t.capabilities.priorityLevels <= 1) {
        const error = await rejects(queue.createQueue({ name, maxPriority: 9 }), 'MQ_UNSUPPORTED')
        assert.match(error.message, /maxPriority/)
        return t.refused('priorityLevels')
      }
      await queue.createQueue({ name, maxPriority: 3 })
      const priorities = [0, 2, 1, 0, 3, 3, 1]
      await queue.sendBatch(priorities.map((priority, body) => ({ body, queueName: name, priority })))
      const got = await drain(queue, name)
      assert.deepEqual(
        got.map(({ body, priority }) => [body, priority]),
        [
          [4, 3],
          [5, 3],
          [1, 2],
          [2, 1],
          [6, 1],
          [0, 0],
          [3, 0],
        ],
      )
      await queue.sendBatch([3, 0, 2].map((priority) => ({ body: 'x', queueName: name, priority })))
      await t.until(async () => (await queue.getQueueSize(name)) === 3, 'all of them counted')
      assert.equal(await queue.purgeQueue(name), 3)
      await nothing(queue, name)
    },
  )

  item('priority-returned', 'a message that comes back takes its place by priority', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    if (t.capabilities.priorityLevels <= 1) return t.refused('priorityLevels')
    await queue.createQueue({ name, maxPriority: 9 })
    await queue.sendBatch([1, 9, 5].map((priority) => ({ body: priority, queueName: name, priority })))
    const high = async (from = queue) => {
      const message = await take(t, from, name)
      assert.equal(message.body, 9)
      return message
    }
    await queue.reject(await high(), { requeue: true })
    await queue.reject(await high(), { requeue: true, delayMs: 50 })
    await t.until(async () => (await queue.getQueueSize(name)) === 3, 'all of them ready')
    const other = await t.connect()
    await high(other)
    // Received and unsettled: given back.
    await other.disconnect()
    await t.until(async () => (await queue.getQueueSize(name)) === 3, 'all of them ready again')
    // Out of the dead-letter queue, too.
    await queue.reject(await high())
    assert.equal((await queue.deadLetters(name).redrive()).moved, 1)
    await t.until(async () => (await queue.getQueueSize(name)) === 3, 'all of them ready once more')
    const bodies = (await drain(queue, name)).map(({ body }) => body)
    assert.deepEqual(bodies, [9, 5, 1])
  })

  item(
    'priority-highest',
    'a priority above maxPriority counts as that, and comes back as it was',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      if (t.capabilities.priorityLevels <= 1) return t.refused('priorityLevels')
      await queue.createQueue({ name, maxPriority: 3 })
      const sent = [3, 200, 2]
      for (const priority of sent) await queue.send(name, 'x', { priority })
      const got = await drain(queue, name)
      assert.deepEqual(
        got.map(({ priority }) => priority),
        sent,
      )
    },
  )

  item('priority-refused', 'a priority above 0 needs a queue declared with it; 0 never does', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const error = await rejects(queue.send(name, 'x', { priority: 1 }), 'MQ_UNSUPPORTED')
    assert.equal(error.certainty, 'not-stored')
    await rejects(queue.send(name, 'x', { priority: 256 }), 'MQ_VALIDATION')
    await queue.send(name, 'plain', { priority: 0 })
    const bodies = (await drain(queue, name)).map(({ body }) => body)
    assert.deepEqual(bodies, ['plain'])
  })

  item('extend', 'a received message can be kept for more than three leases', async (t) => {
    const [queue, other] = [await t.connect(t.shortLease()), await t.connect()]
    const name = t.name()
    const id = await queue.send(name, 'x')
    const message = await take(t, queue, name, t.leaseMs)
    const end = t.now() + 3.5 * t.leaseMs
    const keep = async (): Promise<void> => {
      while (t.now() < end) {
        await queue.extend(message, t.leaseMs)
        await t.quiet(t.leaseMs / 4)
      }
    }
    const look = async (): Promise<void> => {
      while (t.now() < end - t.leaseMs / 2) {
        await nothing(other, name)
        await t.quiet(t.leaseMs / 4)
      }
    }
    await Promise.all([keep(), look()])
    await queue.acknowledge(message)
    await nothing(other, name)
    assert.equal(message.id, id)
  })

  item('exclusive', 'an exclusive queue belongs to its connection, and ends with it', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    if (!t.capabilities.exclusive) {
      const error = await rejects(queue.createQueue({ name, exclusive: true }), 'MQ_UNSUPPORTED')
      assert.match(error.message, /exclusive/)
      return t.refused('exclusive')
    }
    await queue.createQueue({ name, exclusive: true })
    await queue.send(name, 'mine')
    await assert.rejects(other.receive(name))
    assert.equal((await take(t, queue, name)).body, 'mine')
    await queue.disconnect()
    const strict = await t.connect({ autoDeclare: false })
    // Whatever ends with a connection may take a moment.
    await t.until(async () => {
      const [result] = await Promise.allSettled([strict.send(name, 'x')])
      return (result as { reason?: { code?: string } }).reason?.code === 'MQ_QUEUE_NOT_FOUND'
    }, 'the queue gone')
  })

  item('exclusive-others', 'an exclusive queue refuses others, however they come to it', async (t) => {
    if (!t.capabilities.exclusive) return t.refused('exclusive')
    const [adapter, other] = [await t.connected(), await t.connected()]
    const target = { queue: t.name() }
    const settings = { ...plainSettings, exclusive: true }
    await adapter.declare(target, { settings, pattern: undefined, ifExists: 'take' })
    const calls: Record<string, () => Promise<unknown>> = {
      declare: () => other.declare(target, { settings, pattern: undefined, ifExists: 'take' }),
      consume: () => other.open(source(target), () => undefined),
      pull: () => other.open(source(target, { mode: 'pull' }), () => undefined),
    }
    for (const [name, call] of Object.entries(calls)) {
      const [result] = await Promise.allSettled([call()])
      assert.equal(result?.status, 'rejected', name)
    }
    await adapter.publish([outbound(target)], t.deadline())
    await receiveAll(t, await adapter.open(source(target, { mode: 'pull' }), () => undefined), 1)
  })

  item('auto-delete', 'an autoDelete queue goes with its last consumer', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect({ autoDeclare: false })]
    const name = t.name()
    if (!t.capabilities.autoDelete) {
      const error = await rejects(queue.createQueue({ name, autoDelete: true }), 'MQ_UNSUPPORTED')
      assert.match(error.message, /autoDelete/)
      return t.refused('autoDelete')
    }
    await queue.createQueue({ name, autoDelete: true })
    // Who receives now and then, or looks, is no consumer: with them nothing goes.
    const passing = await t.connect()
    await sendNumbers(queue, name, 2)
    await passing.acknowledge(await take(t, passing, name))
    await passing.deadLetters(name).list()
    await passing.disconnect()
    await queue.acknowledge(await take(t, queue, name))
    // Nor does what waits go with one consumer of two.
    const [leaving, door] = [gate(), gate()]
    const one = { concurrency: 1, prefetch: 1 }
    const inboxes = [
      await collect(t, queue, name, one, () => leaving.passed),
      await collect(t, await t.connect(), name, one, () => door.passed),
    ]
    const handled = () => inboxes.flatMap((inbox) => inbox.bodies())
    await queue.sendBatch(['a', 'b', 'waits'].map((body) => ({ body, queueName: name })))
    await t.until(() => handled().length === 2, 'both at work')
    const stopping = inboxes[0]?.consumer.stop()
    leaving.open()
    await stopping
    door.open()
    await t.until(() => handled().length === 3, 'the one that waited')
    eachOnce(handled(), ['a', 'b', 'waits'])
    await inboxes[1]?.consumer.stop()
    await t.until(async () => {
      const [result] = await Promise.allSettled([other.send(name, 'y')])
      return (
        result.status === 'rejected' && (result.reason as { code?: string }).code === 'MQ_QUEUE_NOT_FOUND'
      )
    }, 'the queue gone')
  })

  item(
    'process-message',
    'processMessage runs middleware and handler, settles what was received, and rethrows',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      const steps: string[] = []
      queue.addMiddleware({
        name: 'steps',
        async process(message, next) {
          steps.push('before')
          const result = await next(message)
          steps.push('after')
          return result
        },
      })
      queue.registerFunctionHandler(
        name,
        ({ body }) => {
          if (body === 1) throw new RangeError('no')
          return 'done'
        },
        { retry: { maxRetries: 0 } },
      )
      await queue.send(name, 0)
      assert.equal(await queue.processMessage(await take(t, queue, name)), 'done')
      assert.deepEqual(steps, ['before', 'after'])
      await queue.send(name, 1)
      await assert.rejects(queue.processMessage(await take(t, queue, name)), RangeError)
      await nothing(queue, name)
      const dead = (await drain(queue, `${name}.dlq`)).map(({ body }) => body)
      assert.deepEqual(dead, [1])
    },
  )
})
