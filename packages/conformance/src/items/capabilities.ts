import assert from 'node:assert/strict'
import type { Capabilities } from '@mq/core/adapter'
import { group } from '../item.ts'

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
  maxDelayMs: count(1),
  maxBodyBytes: count(1),
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

  item('body-limit', 'the portable body fits the declared limit', async (t) => {
    const { maxBodyBytes } = (await t.connected()).capabilities
    assert.ok(maxBodyBytes >= 1024 * 1024 - 16 * 1024, `the limit is ${maxBodyBytes}`)
  })
})
