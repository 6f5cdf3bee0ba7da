import assert from 'node:assert/strict'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

/** More than a page of anything. */
const MANY = 300

/** Longer than a timer of Node runs, and than 32 bits hold. */
const LONG_MS = 40 * 86_400_000

export const longTimes = group('time', (item) => {
  item('delay-many', 'however many are delayed, each comes once, and none early', async (t) => {
    const adapter = await t.connected()
    const target = { queue: t.name() }
    await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const messages = numbers(MANY).map(() => outbound(target, { delayMs: 1000 }))
    const startedAt = t.now()
    for (const { ok } of await adapter.publish(messages, t.deadline())) assert.ok(ok, 'not accepted')
    const receiver = await adapter.open(source(target, { prefetch: MANY }), () => undefined)
    const got = await receiveAll(t, receiver, 1)
    assert.ok(t.now() - startedAt >= 998, `the first came after ${t.now() - startedAt} ms`)
    got.push(...(await receiveAll(t, receiver, MANY - 1)))
    got.push(...(await receiver.receive(10, t.deadline(), 0)))
    eachOnce(
      got.map(({ id }) => id),
      messages.map(({ id }) => id),
    )
  })

  item('long', 'delays and ttls of many days are over neither at once nor early', async (t) => {
    const adapter = await t.connected()
    const target = { queue: t.name() }
    await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const delayMs = Math.min(t.capabilities.maxDelayMs, LONG_MS)
    const messages = [
      outbound(target, { delayMs }),
      outbound(target, { expiresAt: t.now() + LONG_MS }),
      outbound(target),
    ]
    for (const message of messages)
      assert.equal((await adapter.publish([message], t.deadline()))[0]?.ok, true, 'not accepted')
    // Held for long, and delayed once more.
    const receiver = await adapter.open(source(target, { mode: 'pull', leaseMs: LONG_MS }), () => undefined)
    const [expiring, plain] = messages.slice(1).map(({ id }) => id)
    const held = await receiveAll(t, receiver, 2)
    await receiver.retry(
      held.filter(({ id }) => id === plain),
      delayMs,
    )
    await t.quiet(500)
    assert.deepEqual([...(await receiver.receive(10, t.deadline(), 0))], [], 'early')
    const kept = held.filter(({ id }) => id === expiring)
    assert.deepEqual([...(await receiver.release(kept))], ['settled'])
    await t.quiet(500)
    const [left] = await receiveAll(t, receiver, 1)
    assert.equal(left?.id, expiring)
    assert.deepEqual([...(await receiver.receive(10, t.deadline(), 0))], [], 'early')
  })
})
