import assert from 'node:assert/strict'
import type { OutboundMessage } from '@mq/core/adapter'
import { failure, outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { leased, settled } from '../stage.ts'

/** Numbers that an adapter keeps. */
export const counts = group('contract', (item) => {
  item('counts-new', 'a new message has no failure behind it, nor has a dead letter', async (t) => {
    const stage = await leased(t, 1)
    const { adapter, receiver } = stage
    const [fresh] = stage.deliveries
    assert.deepEqual([fresh?.deliveryCount, fresh?.redeliveries, fresh?.firstFailedAt], [0, 0, undefined])
    settled(await receiver.retry(stage.deliveries, 0), 1)
    const target = { queue: `${stage.name}.dlq` }
    await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const failed = await receiveAll(t, receiver, 1)
    settled(await receiver.deadLetter(failed, [failure({ queue: stage.name })], target), 1)
    const [dead] = await receiveAll(t, await adapter.open(source(target), () => undefined), 1)
    assert.deepEqual([dead?.deliveryCount, dead?.redeliveries, dead?.firstFailedAt], [0, 0, undefined])
  })

  item('counts-many', 'a count goes on for as long as its message does', async (t) => {
    const stage = await leased(t, 1)
    let held = stage.deliveries
    for (let count = 1; count <= 12; count++) {
      settled(await stage.receiver.retry(held, 0), 1)
      held = await receiveAll(t, stage.receiver, 1)
      assert.deepEqual([held[0]?.id, held[0]?.deliveryCount], [stage.ids[0], count])
    }
  })

  item(
    'redeliveries-many',
    'where redeliveries are counted, the count goes on as well',
    async (t) => {
      if (t.capabilities.redeliveries !== 'count') return t.refused('redeliveries')
      let adapter = await t.connected()
      const target = { queue: t.name() }
      await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const message = outbound(target)
      await adapter.publish([message], t.deadline())
      for (let before = 0; before <= 5; before++) {
        const receiver = await adapter.open(source(target, { mode: 'pull', leaseMs: 300 }), () => undefined)
        const [held] = await receiveAll(t, receiver, 1)
        assert.deepEqual([held?.id, held?.deliveryCount], [message.id, 0])
        assert.ok((held?.redeliveries ?? 0) >= before, `${held?.redeliveries} redeliveries, not ${before}`)
        // Never settled: its lease runs out, or its connection is gone.
        if (t.capabilities.ownership === 'lease') continue
        await adapter.disconnect(t.deadline())
        adapter = await t.connected()
      }
    },
    { slowness: 3 },
  )

  item('size-many', 'size and purge count all, however many', async (t) => {
    const adapter = await t.connected()
    const target = { queue: t.name() }
    await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    for (let call = 0; call < 3; call++) {
      const messages = Array.from({ length: 400 }, () => outbound(target))
      for (const { ok } of await adapter.publish(messages, t.deadline())) assert.ok(ok, 'not accepted')
    }
    await t.until(async () => (await adapter.size(target)) === 1200, 'size 1200')
    assert.equal(await adapter.purge(target), 1200)
    await t.until(async () => (await adapter.size(target)) === 0, 'size 0')
  })

  item('size-expired', 'what expires while it is delayed takes nothing off the size', async (t) => {
    const adapter = await t.connected()
    const target = { queue: t.name() }
    await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const short = { delayMs: 300, expiresAt: t.now() + 100 }
    for (const message of [outbound(target), outbound(target, short), outbound(target)])
      await adapter.publish([message], t.deadline())
    await t.quiet(1000)
    // Not every broker looks at it before somebody receives it.
    await t.until(async () => (await adapter.size(target)) >= 2, 'size 2, or 3')
  })

  item('size-retried', 'what waits for a retry is not counted as ready', async (t) => {
    if (t.capabilities.size !== 'ready') return t.refused('size')
    const stage = await leased(t, 2)
    settled(await stage.receiver.retry(stage.deliveries.slice(0, 1), 600_000), 1)
    settled(await stage.receiver.release(stage.deliveries.slice(1)), 1)
    const size = () => stage.adapter.size({ queue: stage.name })
    await t.until(async () => (await size()) === 1, 'size 1')
    await t.quiet(50)
    assert.equal(await size(), 1)
  })

  item('priority-numbers', 'priorities compare as numbers', async (t) => {
    const levels = Math.min(t.capabilities.priorityLevels, 256)
    if (levels <= 1) return t.refused('priorityLevels')
    const adapter = await t.connected()
    const target = { queue: t.name() }
    const settings = { ...plainSettings, maxPriority: 255 }
    await adapter.declare(target, { settings, pattern: undefined, ifExists: 'take' })
    // Neighbours, too, at either end and where a number grows longer.
    const priorities = [9, 250, 100, 20, 0, 128, 254, 1, 10, 127, 99, 255, 64, 2, 200]
    const batch = priorities.map((priority) => outbound(target, { priority }))
    await adapter.publish(batch, t.deadline())
    await t.until(async () => (await adapter.size(target)) === batch.length, 'all of them ready')
    const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
    const got: number[] = []
    for (const _ of batch) got.push((await receiveAll(t, receiver, 1))[0]?.priority ?? -1)
    eachOnce(got, priorities, 'priorities')
    // How many a level takes together, and where it begins, is the broker's business.
    const apart = levels === 256 ? 1 : 512 / levels
    for (const [i, priority] of got.entries()) {
      const highest = Math.max(priority, ...got.slice(i))
      assert.ok(highest - priority < apart, `${priority} came before ${highest}`)
    }
    if (levels < 10) return
    // Every level of a queue with few, twice.
    const few = { queue: t.name() }
    await adapter.declare(few, {
      settings: { ...plainSettings, maxPriority: 9 },
      pattern: undefined,
      ifExists: 'take',
    })
    const all = [4, 7, 0, 9, 2, 6, 1, 8, 3, 5]
    const twice = [...all, ...all].map((priority) => outbound(few, { priority }))
    for (const message of twice) await adapter.publish([message], t.deadline())
    await t.until(async () => (await adapter.size(few)) === twice.length, 'all of them ready')
    const receiving = await adapter.open(source(few, { mode: 'pull' }), () => undefined)
    const order: OutboundMessage[] = []
    for (const _ of twice) {
      const [next] = await receiveAll(t, receiving, 1)
      order.push(...twice.filter(({ id }) => id === next?.id))
    }
    const inTurn = [...twice].sort((a, b) => b.priority - a.priority)
    assert.deepEqual(
      order.map(({ id, priority }) => `${priority} ${id}`),
      inTurn.map(({ id, priority }) => `${priority} ${id}`),
    )
  })
})
