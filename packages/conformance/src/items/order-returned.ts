import assert from 'node:assert/strict'
import type { Delivery, Receiver } from '@mq/core/adapter'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { later, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { settled } from '../stage.ts'

/** What was taken from an ordered place and comes back to it. */
export const orderReturned = group('order', (item) => {
  item(
    'returned',
    'in queue and subscription what is released, retried or left comes before the next of its key',
    async (t) => {
      const adapter = await t.connected()
      const topic = t.name('topic')
      const settings = { ...plainSettings, ordered: true }
      await adapter.declare({ topic }, { settings, pattern: undefined, ifExists: 'take' })
      const keeps = async (target: { queue: string } | { topic: string; subscription: string }) => {
        const pattern = 'topic' in target ? '#' : undefined
        await adapter.declare(target, { settings, pattern, ifExists: 'take' })
        const messages = numbers(3).map(() => outbound('topic' in target ? { topic } : target, { key: 'k' }))
        for (const message of messages)
          assert.equal((await adapter.publish([message], t.deadline()))[0]?.ok, true, 'not accepted')
        const pull = source(target, { mode: 'pull', ordered: true })
        let receiver = await adapter.open(pull, () => undefined)
        const ways: Record<string, (receiver: Receiver, held: readonly Delivery[]) => Promise<unknown>> = {
          released: async (from, held) => settled(await from.release(held), 1),
          retried: async (from, held) => settled(await from.retry(held, 0), 1),
          'retried later': async (from, held) => settled(await from.retry(held, 100), 1),
          async left(from) {
            await from.close(t.deadline())
            receiver = await adapter.open(pull, () => undefined)
          },
        }
        let deliveryCount = 0
        let held = await receiveAll(t, receiver, 1)
        for (const [way, back] of Object.entries(ways)) {
          await back(receiver, held)
          if (way.startsWith('retried')) deliveryCount++
          held = await receiveAll(t, receiver, 1)
          const what = `${'topic' in target ? 'subscription' : 'queue'}: ${way}`
          assert.deepEqual(
            held.map(({ id }) => id),
            [messages[0]?.id],
            what,
          )
          // What waited for its retry at its holder, and was left there, may be as it was before.
          if (t.capabilities.retryKeepsOrder || way !== 'left')
            assert.equal(held[0]?.deliveryCount, deliveryCount, what)
          const early = await receiver.receive(10, t.deadline(), 0)
          assert.deepEqual([...early], [], `beside what was ${way}`)
        }
        for (const message of messages) {
          assert.equal(held[0]?.id, message.id, 'the order')
          settled(await receiver.ack(held), 1)
          if (message !== messages.at(-1)) held = await receiveAll(t, receiver, 1)
        }
      }
      await Promise.all([keeps({ queue: t.name() }), keeps({ topic, subscription: 's' })].map(later))
    },
  )
})
