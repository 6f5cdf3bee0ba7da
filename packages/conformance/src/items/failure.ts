import assert from 'node:assert/strict'
import type { Message } from '@mq/core'
import {
  collect,
  eachOnce,
  gate,
  later,
  make,
  nothing,
  numbers,
  rejects,
  sendNumbers,
  take,
} from '../helpers.ts'
import { group } from '../item.ts'

export const failure = group('failure', (item) => {
  item(
    'restart',
    'the broker restarts amid 1,000 messages in flight: every accepted one is handled',
    async (t) => {
      const restart = t.harness.faults?.restartBroker
      if (t.capabilities.durable && restart === undefined) t.skip('harness.faults.restartBroker is missing')
      const links = [t.faulty(), t.faulty()]
      const config = t.shortLease()
      const [sender, reader] = [
        await t.connect(config, links[0]?.adapter),
        await t.connect(config, links[1]?.adapter),
      ]
      const name = t.name()
      await reader.createQueue({ name })
      const accepted: number[] = []
      const handled = new Set<unknown>()
      await collect(t, reader, name, { concurrency: 20, prefetch: 100 }, async ({ body }) => {
        await t.quiet(1)
        handled.add(body)
      })
      const sends = numbers(1000).map(async (body) => {
        await t.quiet(body / 4)
        await sender.send(name, body).then(
          () => accepted.push(body),
          () => undefined,
        )
      })
      await t.until(() => handled.size >= 100, 'traffic')
      if (t.capabilities.durable) await restart?.()
      else {
        // Its messages end with it, so that here everything but the broker itself breaks.
        t.refused('durable')
        for (const link of links) link.setDown(true)
        await t.quiet(100)
        for (const link of links) link.setDown(false)
      }
      await Promise.all(sends)
      assert.ok(accepted.length > 0, 'nothing was accepted')
      await t.until(() => accepted.every((body) => handled.has(body)), 'every accepted message handled')
    },
    { slowness: 3, alone: true },
  )

  item(
    'cut',
    'connections are cut again and again: consumers and senders come back by themselves, nothing is lost',
    async (t) => {
      const links = [await t.link(), await t.link()]
      const config = t.shortLease()
      const [sender, reader] = [
        await t.connect(config, links[0]?.adapter),
        await t.connect(config, links[1]?.adapter),
      ]
      const name = t.name()
      await reader.createQueue({ name })
      const handled = new Set<unknown>()
      await collect(t, reader, name, { concurrency: 10, prefetch: 20 }, async ({ body }) => {
        await t.quiet(1)
        handled.add(body)
      })
      const sends = later(
        Promise.all(
          numbers(300).map(async (body) => {
            await t.quiet(body)
            await sender.send(name, body)
          }),
        ),
      )
      for (let i = 0; i < 3; i++) {
        await t.until(() => handled.size >= 40 * (i + 1), 'traffic')
        await links[i % 2]?.cut()
      }
      await sends
      await t.until(() => handled.size >= 300, 'all handled')
    },
  )

  item('events', 'a lost connection is told: disconnected, reconnecting, connected', async (t) => {
    const link = await t.link()
    const queue = t.create({}, link.adapter)
    const events: string[] = []
    for (const event of ['connected', 'disconnected', 'reconnecting'] as const)
      queue.on(event, () => events.push(event))
    await queue.connect()
    await link.cut()
    await t.until(() => events.filter((event) => event === 'connected').length === 2, 'connected again')
    assert.deepEqual([...new Set(events)], ['connected', 'disconnected', 'reconnecting'])
    assert.equal(events.at(-1), 'connected')
    assert.equal(queue.getStats().isConnected, true)
  })

  item(
    'lost-receive',
    'a message received before the connection was lost is delivered again, and the old one says so',
    async (t) => {
      const link = await t.link()
      const queue = await t.connect(t.shortLease(), link.adapter)
      const name = t.name()
      const id = await queue.send(name, 'x')
      const held = await take(t, queue, name)
      await link.cut()
      await t.until(() => queue.getStats().reconnects > 0, 'connected again')
      await rejects(queue.acknowledge(held), 'MQ_LEASE_LOST')
      assert.equal((await take(t, queue, name)).id, id)
    },
  )

  item(
    'black-hole',
    'a broker that answers nothing: sends reject in time, health says so, disconnect settles',
    async (t) => {
      const link = await t.link()
      const producer = { deliveryTimeoutMs: 500, requestTimeoutMs: 300, retries: 0 }
      const queue = await t.connect({ producer }, link.adapter)
      const name = t.name()
      await make(t, queue, name)
      await link.setBlackHole(true)
      const errors = await Promise.all(
        numbers(20).map((body) =>
          queue.send(name, body).then(
            () => null,
            (error: unknown) => error as { code?: string; certainty?: string },
          ),
        ),
      )
      assert.deepEqual([...new Set(errors.map((error) => error?.code))], ['MQ_TIMEOUT'])
      // Those written may be stored; those that still waited for the connection are not.
      assert.equal(errors[0]?.certainty, 'unknown')
      for (const error of errors)
        assert.ok(error?.certainty === 'unknown' || error?.certainty === 'not-stored', 'no certainty')
      const { healthy } = await queue.healthCheck()
      assert.equal(healthy, false)
      await queue.disconnect({ timeoutMs: 100 })
      await link.setBlackHole(false)
    },
    { slowness: 2 },
  )

  item('slow', 'a slow network makes everything slower, and nothing else', async (t) => {
    const link = await t.link()
    await link.setDelay(25)
    const queue = await t.connect({}, link.adapter)
    const name = t.name()
    const inbox = await collect(t, queue, name, { concurrency: 5 })
    await Promise.all(numbers(50).map((body) => queue.send(name, body)))
    await inbox.count(50)
    await inbox.consumer.stop()
    eachOnce(inbox.bodies(), numbers(50))
    await nothing(await t.connect(), name)
  })

  item('deleted', 'a queue deleted underneath comes back by itself, for senders and consumers', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    const inbox = await collect(t, queue, name)
    await queue.send(name, 'before')
    await inbox.count(1)
    await other.deleteQueue(name)
    await queue.send(name, 'after')
    await inbox.count(2)
    assert.deepEqual(inbox.bodies(), ['before', 'after'])
  })

  item(
    'blocked-loop',
    'a process that was busy past its lease: its message went to another, and it works on',
    async (t) => {
      const link = t.faulty()
      const [busy, other] = [await t.connect(t.shortLease(), link.adapter), await t.connect()]
      const name = t.name()
      const id = await busy.send(name, 'x')
      const [done, awake] = [gate(), gate()]
      const first = await collect(t, busy, name, { concurrency: 1, prefetch: 1 }, ({ body }) =>
        body === 'x' ? done.passed : undefined,
      )
      await first.count(1)
      // Nothing of this process runs: no renewal leaves, no settlement.
      for (const operation of ['renew', 'receive', 'ack', 'retry', 'release']) {
        link.intercept(operation, (forward) => awake.passed.then(forward))
      }
      if (t.capabilities.ownership === 'connection') link.cut()
      const second = await collect(t, other, name)
      await second.count(1)
      assert.deepEqual(second.ids(), [id])
      done.open()
      awake.open()
      await second.consumer.stop()
      await other.send(name, 'y')
      await t.until(() => first.bodies().includes('y'), 'it works on')
      assert.equal(first.ids().filter((each) => each === id).length, 1)
      await first.consumer.stop()
      await nothing(other, name)
    },
  )

  item(
    'blocked',
    'while the broker accepts nothing sends wait, and go on when it does',
    async (t) => {
      const link = t.faulty()
      const queue = await t.connect({}, link.adapter)
      const name = t.name()
      await queue.createQueue({ name })
      const fill = t.harness.faults?.fill
      const release = fill === undefined ? null : await fill()
      if (release === null) link.setBlocked('out of memory')
      let sent = false
      const sending = later(queue.send(name, 'x').then(() => (sent = true)))
      await t.until(async () => !(await queue.healthCheck()).healthy, 'unhealthy')
      await t.quiet(200)
      assert.equal(sent, false, 'accepted although the broker takes nothing')
      assert.equal((await queue.healthCheck()).healthy, false)
      if (release === null) link.setBlocked(null)
      else await release()
      await sending
      assert.equal((await take(t, queue, name)).body, 'x')
    },
    { slowness: 2, alone: true },
  )

  item(
    'settle-again',
    'a settlement that failed in passing is repeated: handled once, and gone',
    async (t) => {
      const link = t.faulty()
      const queue = await t.connect({}, link.adapter)
      const name = t.name()
      let refused = 0
      link.intercept('ack', (forward, [deliveries]) => {
        if (refused++ > 0) return forward()
        const error = Object.assign(new Error('passing'), { code: 'ECONNRESET' })
        return Promise.resolve((deliveries as unknown[]).map(() => ({ error })))
      })
      await queue.send(name, 'x')
      const inbox = await collect(t, queue, name)
      await t.until(() => refused >= 2, 'the second attempt')
      await t.until(() => queue.getStats().inFlight === 0, 'settled')
      await inbox.consumer.stop()
      assert.equal(inbox.messages.length, 1)
      await nothing(queue, name)
    },
  )

  item(
    'rebalance',
    'consumers come and go amid handlers: nothing is lost',
    async (t) => {
      const name = t.name()
      const sender = await t.connect()
      await sender.createQueue({ name })
      const handled: unknown[] = []
      const handler = async ({ body }: Message) => {
        await t.quiet(2)
        handled.push(body)
      }
      const start = async () => collect(t, await t.connect(), name, { concurrency: 5, prefetch: 10 }, handler)
      const steady = await start()
      const sending = later(sendNumbers(sender, name, 300))
      for (let i = 0; i < 3; i++) {
        const guest = await start()
        await t.quiet(20)
        await guest.consumer.stop()
      }
      await sending
      await t.until(() => new Set(handled).size >= 300, 'all handled')
      await steady.consumer.stop()
      // A group of consumers that reads by offset may repeat when its members change; others have no reason to.
      if (t.capabilities.settle !== 'deferred') eachOnce(handled, numbers(300))
      else t.refused('settle')
    },
    { slowness: 2 },
  )
})
