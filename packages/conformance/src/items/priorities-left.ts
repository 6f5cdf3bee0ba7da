import assert from 'node:assert/strict'
import type { BrokerAdapter, Receiver, Target } from '@mq/core/adapter'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { later, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

/** Priorities of what comes back although nobody settled it. */
export const prioritiesLeft = group('extras', (item) => {
  item('priority-left', 'what was left unsettled takes its place by priority', async (t) => {
    if (t.capabilities.priorityLevels <= 1) return t.refused('priorityLevels')
    const adapter = await t.connected()
    const ways: Record<string, (receiver: Receiver, other: BrokerAdapter) => Promise<unknown>> = {
      closed: (receiver) => receiver.close(t.deadline()),
      disconnected: (_, other) => other.disconnect(t.deadline()),
      ...(t.capabilities.ownership === 'lease' ? { 'held too long': () => Promise.resolve() } : {}),
    }
    const keeps = async (target: Target, leave: string): Promise<void> => {
      const settings = { ...plainSettings, maxPriority: 9 }
      const pattern = 'topic' in target ? '#' : undefined
      const to = 'topic' in target ? { topic: target.topic } : target
      if ('topic' in target)
        await adapter.declare(to, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      await adapter.declare(target, { settings, pattern, ifExists: 'take' })
      const sent = [1, 9, 5].map((priority) => outbound(to, { priority }))
      for (const { ok } of await adapter.publish(sent, t.deadline())) assert.ok(ok, 'not accepted')
      const what = `${'topic' in target ? 'subscription' : 'queue'}: ${leave}`
      const ready = () => t.until(async () => (await adapter.size(target)) === 3, `all ready, ${what}`)
      await ready()
      const idsOf = (priorities: readonly number[]) =>
        priorities.map((priority) => sent.find((message) => message.priority === priority)?.id)
      const other = await t.connected()
      const leaseMs = leave === 'held too long' ? t.leaseMs : 30_000
      const leaving = await other.open(source(target, { mode: 'pull', leaseMs }), () => undefined)
      const held = await receiveAll(t, leaving, 2)
      assert.deepEqual(
        held.map(({ id }) => id),
        idsOf([9, 5]),
        what,
      )
      await ways[leave]?.(leaving, other)
      await ready()
      const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const all = await receiveAll(t, receiver, 3)
      assert.deepEqual(
        all.map(({ id }) => id),
        idsOf([9, 5, 1]),
        what,
      )
    }
    const work = Object.keys(ways).flatMap((leave) => [
      keeps({ queue: t.name() }, leave),
      keeps({ topic: t.name('topic'), subscription: 's' }, leave),
    ])
    await Promise.all(work.map(later))
  })
})
