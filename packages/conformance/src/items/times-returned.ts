import assert from 'node:assert/strict'
import type { Message, MessageQueue } from '@mq/core'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { collect, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

/** Expiry of what is on its way, or comes back. */
export const timesReturned = group('time', (item) => {
  item('ttl-returned', 'what expired while it was held is dead-lettered when it comes back', async (t) => {
    const ways: Record<string, (queue: MessageQueue, message: Message) => Promise<unknown>> = {
      requeued: (queue, message) => queue.reject(message, { requeue: true }),
      'requeued later': (queue, message) => queue.reject(message, { requeue: true, delayMs: 100 }),
      'given back': (queue) => queue.disconnect(),
    }
    const comesBack = async (way: string, back: (typeof ways)[string]): Promise<void> => {
      const [queue, other] = [await t.connect(), await t.connect()]
      const name = t.name()
      await queue.createQueue({ name })
      let held: Message | null = null
      // One that expires on its way says nothing of what comes back.
      while (held === null) {
        await queue.purgeQueue(name)
        await queue.send(name, way, { ttl: 1500 })
        held = await queue.receive(name, { timeoutMs: 1400 })
      }
      await t.quiet(1600)
      await back(queue, held)
      const inbox = await collect(t, other, name)
      const { id } = held
      await t.until(async () => (await other.deadLetters(name).get(id)) !== null, `${way}: dead-lettered`)
      assert.equal((await other.deadLetters(name).get(id))?.deadLetter?.reason, 'expired', way)
      assert.deepEqual(inbox.bodies(), [], way)
    }
    await Promise.all(Object.entries(ways).map(([way, back]) => comesBack(way, back)))
  })

  item(
    'ttl-subscription',
    'the messageTtl of a subscription begins when a message comes, and prolongs no life',
    async (t) => {
      const adapter = await t.connected()
      const topic = t.name('topic')
      const target = { topic, subscription: 's' }
      const settings = { ...plainSettings, messageTtl: 4000 }
      await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      await adapter.declare(target, { settings, pattern: '#', ifExists: 'take' })
      const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const delayed = outbound({ topic }, { delayMs: 5000 })
      const expiresAt = t.now() + 3000
      const short = outbound({ topic }, { expiresAt })
      await adapter.publish([delayed], t.deadline())
      await adapter.publish([short], t.deadline())
      const [first] = await receiveAll(t, receiver, 1)
      // Either it says when it is over, or it was over before it could be had.
      if (first?.id === short.id) assert.equal(first.expiresAt, expiresAt)
      const rest = first?.id === short.id ? await receiveAll(t, receiver, 1) : [first]
      assert.equal(rest[0]?.id, delayed.id, 'what was delayed for longer than it may wait')
    },
  )
})
