import assert from 'node:assert/strict'
import type { SettleOutcome } from '@mq/core/adapter'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { within } from '../schedule.ts'

/** An adapter without its connection, and what was opened before. */
export const disconnected = group('contract', (item) => {
  item(
    'disconnected',
    'without a connection nothing is stored or answered; what was opened in one is of no use in the next',
    async (t) => {
      const adapter = await t.connected()
      const target = { queue: t.name() }
      const declaration = { settings: plainSettings, pattern: undefined, ifExists: 'take' } as const
      await adapter.declare(target, declaration)
      const pulling = source(target, { mode: 'pull' })
      const old = await adapter.open({ ...pulling, leaseMs: t.leaseMs }, () => undefined)
      const left = outbound(target)
      await adapter.publish([left], t.deadline())
      const held = await receiveAll(t, old, 1)
      await adapter.disconnect(t.deadline())
      const stored = await (async () => adapter.publish([outbound(target)], t.deadline(2000)))().then(
        ([outcome]) => outcome?.ok,
        () => false,
      )
      assert.equal(stored, false, 'it was accepted')
      const calls: Record<string, () => Promise<unknown>> = {
        open: async () => adapter.open(pulling, () => undefined),
        size: async () => adapter.size(target),
        purge: async () => adapter.purge(target),
        declare: async () => adapter.declare({ queue: t.name() }, declaration),
      }
      for (const [name, call] of Object.entries(calls)) await assert.rejects(call(), `${name} resolved`)
      await adapter.connect({ lost: () => undefined, blocked: () => undefined }, t.deadline())
      const receiver = await adapter.open(pulling, () => undefined)
      const back = await receiveAll(t, receiver, 1)
      back.push(...(await receiver.receive(10, t.deadline(), 0)))
      assert.deepEqual(
        back.map(({ id }) => id),
        [left.id],
        'what was refused',
      )
      // It belongs to another receiver by now, and is none of the former one's business.
      const settling = (async () => old.ack(held))().catch((): SettleOutcome[] => [])
      const outcomes = await within(t.clock, settling, t.patienceMs, () => 'a former receiver did not settle')
      assert.ok(!outcomes.includes('settled'), 'a former receiver settled')
      assert.deepEqual([...(await receiver.release(back))], ['settled'])
      const again = await receiveAll(t, receiver, 1)
      assert.deepEqual([...(await receiver.ack(again))], ['settled'])
      const message = outbound(target)
      assert.equal((await adapter.publish([message], t.deadline()))[0]?.ok, true)
      const stale = await (async () => old.receive(10, t.deadline(2000), 0))().catch(() => [])
      assert.deepEqual([...stale], [], 'to a receiver of the former connection')
      const [delivery] = await receiveAll(t, receiver, 1)
      assert.equal(delivery?.id, message.id)
    },
  )
})
