import assert from 'node:assert/strict'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

/** Longer than a timer of Node runs, and than 32 bits hold. */
const LONG_MS = 40 * 86_400_000

export const longTimes = group('time', (item) => {
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
