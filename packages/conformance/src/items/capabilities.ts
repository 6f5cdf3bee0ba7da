import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Capabilities } from '@mq/core/adapter'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { found, leased, settled } from '../stage.ts'

/** 1 MiB, less what the rest of a message may take. */
const PORTABLE_BODY_BYTES = 1024 * 1024 - 16 * 1024
/** More than a broker need take. */
const LARGE_BODY_BYTES = 3 * 1024 * 1024
const NO_BYTES = new Uint8Array(0)

type Check = (value: unknown) => boolean

const flag: Check = (value) => typeof value === 'boolean'
const count =
  (least: number): Check =>
  (value) =>
    typeof value === 'number' && value >= least
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value)

const SHAPE: Readonly<Record<keyof Capabilities, Check>> = {
  durable: flag,
  priorityLevels: count(1),
  maxDelayMs: count(600_000),
  maxBodyBytes: count(PORTABLE_BODY_BYTES),
  ownership: oneOf('lease', 'connection'),
  redeliveries: oneOf('count', 'flag'),
  retryKeepsOrder: flag,
  settle: oneOf('confirmed', 'written', 'deferred'),
  size: oneOf('ready', 'ready+leased'),
  purgeDelayed: flag,
  purgeLiveSubscription: flag,
  dedupe: oneOf('broker', 'consumer'),
  limits: oneOf('exact', 'soft', 'none'),
  exclusive: flag,
  autoDelete: flag,
  browseHides: flag,
}

export const capabilities = group('capabilities', (item) => {
  item(
    'complete',
    'every capability is there, with a value that means something, and none besides',
    async (t) => {
      const adapter = await t.connected()
      assert.deepEqual(Object.keys(adapter.capabilities).sort(), Object.keys(SHAPE).sort())
      for (const [name, check] of Object.entries(SHAPE)) {
        const value: unknown = adapter.capabilities[name as keyof Capabilities]
        assert.ok(check(value), `${name}: ${String(value)}`)
      }
      assert.ok(adapter.broker.length > 0, 'a name of the broker')
    },
  )

  item('frozen', 'capabilities are frozen once connected, and the queue shows the same', async (t) => {
    const adapter = t.adapter()
    const queue = await t.connect({}, adapter)
    assert.ok(Object.isFrozen(adapter.capabilities), 'not frozen')
    assert.deepEqual({ ...queue.capabilities }, { ...adapter.capabilities })
  })

  item(
    'body-limit',
    'a body of the portable size is accepted, and a larger one where it may be',
    async (t) => {
      const adapter = await t.connected()
      const target = { queue: t.name() }
      await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      for (const bytes of [PORTABLE_BODY_BYTES, Math.min(t.capabilities.maxBodyBytes, LARGE_BODY_BYTES)]) {
        const message = outbound(target, { body: randomBytes(bytes) })
        const [outcome] = await adapter.publish([message], t.deadline())
        assert.equal(outcome?.ok, true, `${bytes} bytes`)
        const held = await receiveAll(t, receiver, 1)
        assert.ok(
          Buffer.compare(held[0]?.body ?? NO_BYTES, message.body) === 0,
          `${bytes} bytes came otherwise`,
        )
        settled(await receiver.ack(held), 1)
      }
    },
  )

  item(
    'ownership',
    'a delivery outlives its lease where the connection owns it, and only there',
    async (t) => {
      const stage = await leased(t, 1, 300)
      const owned = t.capabilities.ownership === 'connection'
      // Most of a second more, for what looks now and then.
      await t.quiet(1000)
      const again = await found(t, stage, owned ? 0 : 1)
      assert.equal(again.length, owned ? 0 : 1)
      if (!owned) return
      settled(await stage.receiver.ack(stage.deliveries), 1)
      await stage.receiver.close(t.deadline())
      assert.deepEqual(await found(t, stage, 0), [])
      t.refused('ownership')
    },
  )

  item(
    'browse-hides',
    'a browse keeps what it shows from others where it says so, and only there',
    async (t) => {
      const adapter = await t.connected()
      const target = { queue: t.name() }
      await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      await adapter.publish([outbound(target)], t.deadline())
      const browsing = await adapter.open(source(target, { mode: 'browse' }), () => undefined)
      await receiveAll(t, browsing, 1)
      const other = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      if (t.capabilities.browseHides) {
        assert.deepEqual([...(await other.receive(1, t.deadline(), 0))], [], 'it was not hidden')
        await browsing.close(t.deadline())
        t.refused('browseHides')
      }
      await receiveAll(t, other, 1)
      await browsing.close(t.deadline())
    },
  )
})
