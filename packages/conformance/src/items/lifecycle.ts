import assert from 'node:assert/strict'
import { MessageQueueError } from '@mq/core'
import { startChild } from '../child-process.ts'
import type { TestContext } from '../context.ts'
import { refusedCredentials, connectionError } from '../faulty.ts'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { nothing, receiveAll, rejects, take } from '../helpers.ts'
import { group } from '../item.ts'
import { watchHandles } from '../open-handles.ts'
import { sleep } from '../schedule.ts'
import { useEverything } from '../use-everything.ts'

/** At how many moments of a connect it is tried to end it. */
const CONNECT_STEPS = 10
/** What a connect takes at most, but on a machine that is busy with something else. */
const CONNECT_MS = 1000

async function watched(t: TestContext, work: () => Promise<void>): Promise<void> {
  const { run, left, stop } = watchHandles()
  t.defer(stop)
  await run(work)
  await t.until(
    () => left().length === 0,
    () => `no timers or sockets left: ${left().join(', ')}`,
  )
}

export const lifecycle = group('lifecycle', (item) => {
  item('construct', 'constructing a queue does no I/O', async (t) => {
    const link = t.faulty()
    const queue = t.create({}, link.adapter)
    queue.registerFunctionHandler(t.name(), () => undefined)
    await t.quiet(50)
    assert.deepEqual(link.calls, [])
  })

  item('connect-shared', 'connect is idempotent, and concurrent calls share one attempt', async (t) => {
    const link = t.faulty()
    const queue = t.create({}, link.adapter)
    let connected = 0
    queue.on('connected', () => connected++)
    await Promise.all([queue.connect(), queue.connect(), queue.connect()])
    await queue.connect()
    assert.equal(link.calls.filter(({ operation }) => operation === 'connect').length, 1, 'attempts')
    assert.equal(connected, 1, 'connected events')
    assert.equal(queue.getStats().isConnected, true)
  })

  item('before-connect', 'every operation before connect rejects, saying so', async (t) => {
    const queue = t.create()
    const name = t.name()
    await rejects(queue.send(name, 'x'), 'MQ_NOT_CONNECTED')
    const batch = await rejects(queue.sendBatch([{ body: 'x', queueName: name }]), 'MQ_NOT_CONNECTED')
    assert.equal(batch['certainty'], 'not-stored')
    await rejects(queue.receive(name), 'MQ_NOT_CONNECTED')
    await rejects(queue.createQueue({ name }), 'MQ_NOT_CONNECTED')
    await rejects(queue.getQueueSize(name), 'MQ_NOT_CONNECTED')
    await rejects(queue.purgeQueue(name), 'MQ_NOT_CONNECTED')
    await rejects(queue.deleteQueue(name), 'MQ_NOT_CONNECTED')
    await rejects(queue.publish(name, 'x'), 'MQ_NOT_CONNECTED')
    await rejects(Promise.resolve(queue.consume(name, () => undefined)), 'MQ_NOT_CONNECTED')
  })

  item('after-disconnect', 'every operation after disconnect rejects, saying so', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'x')
    await queue.disconnect()
    assert.equal(queue.getStats().isConnected, false)
    await rejects(queue.send(name, 'x'), 'MQ_NOT_CONNECTED')
    await rejects(queue.sendBatch([{ body: 'x', queueName: name }]), 'MQ_NOT_CONNECTED')
    await rejects(queue.receive(name), 'MQ_NOT_CONNECTED')
    await rejects(queue.getQueueSize(name), 'MQ_NOT_CONNECTED')
    await rejects(queue.publish(name, 'x'), 'MQ_NOT_CONNECTED')
    await rejects(Promise.resolve(queue.consume(name, () => undefined)), 'MQ_NOT_CONNECTED')
  })

  item('disconnect', 'disconnect is idempotent, and concurrent calls share one', async (t) => {
    const link = t.faulty()
    const queue = await t.connect({}, link.adapter)
    const answers = await Promise.all([queue.disconnect(), queue.disconnect()])
    for (const answer of [...answers, await queue.disconnect()]) {
      assert.deepEqual({ ...answer }, { drained: true, abandoned: [] })
    }
    assert.equal(link.calls.filter(({ operation }) => operation === 'disconnect').length, 1)
    await t.create().disconnect()
  })

  item('disconnect-during-connect', 'disconnect ends an attempt to connect', async (t) => {
    const link = t.faulty()
    const queue = t.create({}, link.adapter)
    link.setBlackHole(true)
    const connecting = queue.connect().then(
      () => null,
      (error: unknown) => error,
    )
    await t.until(() => link.calls.length > 0, 'the attempt')
    await queue.disconnect()
    const error = await connecting
    assert.ok(MessageQueueError.is(error), 'connect must reject with a coded error')
    assert.equal(queue.getStats().isConnected, false)
  })

  item(
    'disconnect-any-time',
    'a disconnect at whatever moment of a connect leaves nothing open',
    async (t) => {
      const began = performance.now()
      await (await t.connect()).disconnect()
      const durationMs = Math.min(performance.now() - began, CONNECT_MS)
      await watched(t, async () => {
        for (let step = 0; step < CONNECT_STEPS; step++) {
          const queue = t.create()
          const connecting = queue.connect().catch(() => undefined)
          await sleep(t.clock, (durationMs * step) / CONNECT_STEPS)
          await queue.disconnect()
          await connecting
          assert.equal(queue.getStats().isConnected, false)
        }
      })
    },
  )

  item('reconnect', 'connect works again after disconnect', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const id = await queue.send(name, 'kept')
    await queue.disconnect()
    await queue.connect()
    const message = await take(t, queue, name)
    assert.equal(message.id, id)
    await queue.acknowledge(message)
  })

  item('consumers-stop', 'disconnect stops the consumers, and nothing is delivered afterwards', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await other.createQueue({ name })
    let handled = 0
    await queue.consume(name, () => void handled++)
    await queue.disconnect()
    await other.send(name, 'later')
    const message = await take(t, other, name)
    await other.acknowledge(message)
    assert.equal(handled, 0)
  })

  item('dispose', '`await using` disconnects', async (t) => {
    const queue = await t.connect()
    await queue[Symbol.asyncDispose]()
    assert.equal(queue.getStats().isConnected, false)
    await rejects(queue.send(t.name(), 'x'), 'MQ_NOT_CONNECTED')
  })

  item('bad-credentials', 'refused credentials reject with a code of their own', async (t) => {
    const own = t.harness.faults?.badCredentials?.()
    const link = t.faulty()
    link.intercept('connect', () => Promise.reject(refusedCredentials()))
    const queue = t.create({}, own ?? link.adapter)
    await rejects(queue.connect(), 'MQ_AUTHENTICATION')
    assert.equal(queue.getStats().isConnected, false)
    await rejects(queue.send(t.name(), 'x'), 'MQ_NOT_CONNECTED')
  })

  item(
    'wrong-host',
    'an address where nobody listens rejects with a connection error, and can be tried again',
    async (t) => {
      const own = t.harness.faults?.wrongHost?.()
      const link = t.faulty()
      link.intercept('connect', () => Promise.reject(connectionError()))
      const queue = t.create({ connection: { connectionTimeout: 5 } }, own ?? link.adapter)
      await rejects(queue.connect(), 'MQ_CONNECTION')
      if (own !== undefined) return void (await rejects(queue.connect(), 'MQ_CONNECTION'))
      link.intercept('connect', null)
      await queue.connect()
      await nothing(queue, t.name())
    },
  )

  item('connect-deadline', 'a broker that never answers rejects within connectionTimeout', async (t) => {
    const link = t.faulty()
    link.setBlackHole(true)
    const queue = t.create({ connection: { connectionTimeout: 1 } }, link.adapter)
    await rejects(queue.connect(), 'MQ_CONNECTION')
  })

  item(
    'process-exits',
    'nothing keeps the process alive after disconnect',
    async (t) => {
      const name = t.name()
      if (t.harness.process !== undefined) {
        const child = startChild(t, 'exit', name)
        await child.line('disconnected')
        const { code, output } = await child.ended()
        assert.equal(code, 0, output)
        return
      }
      await watched(t, async () => {
        const queue = await t.connect()
        await useEverything(queue, name)
        await queue.disconnect()
      })
    },
    { slowness: 2 },
  )

  item(
    'disconnect-aborted',
    'a disconnect that was aborted before it began leaves nothing open either',
    async (t) => {
      await watched(t, async () => {
        const adapter = await t.connected()
        const target = { queue: t.name() }
        await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
        await adapter.publish([outbound(target)], t.deadline())
        const receiver = await adapter.open(source(target), () => undefined)
        await receiveAll(t, receiver, 1)
        await adapter.disconnect(AbortSignal.abort())
        await assert.rejects(async () => adapter.ping(t.deadline(1000)), 'it is connected')
      })
    },
  )

  item('quiet-disconnect', 'an intended disconnect is no loss: nothing reconnects', async (t) => {
    const queue = await t.connect()
    let reconnecting = 0
    queue.on('reconnecting', () => reconnecting++)
    await queue.send(t.name(), 'x')
    await queue.disconnect()
    await t.quiet(150)
    assert.equal(reconnecting, 0)
    assert.deepEqual(t.errors, [])
  })
})
