import assert from 'node:assert/strict'
import type { Delivery, OutboundMessage } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { source } from '../fixtures.ts'
import { collect, receiveAll, take } from '../helpers.ts'
import { group } from '../item.ts'
import { full, same } from './fields.ts'

/** The first dead letter of a queue that was made with core, which gives up where the broker leaves it to it. */
async function letterOf(t: TestContext, name: string): Promise<Delivery> {
  const adapter = await t.connected()
  const dead = await adapter.open(source({ queue: `${name}.dlq` }, { mode: 'pull' }), () => undefined)
  return (await receiveAll(t, dead, 1))[0] as Delivery
}

async function publish(t: TestContext, batch: readonly OutboundMessage[]): Promise<void> {
  for (const { ok } of await (await t.connected()).publish(batch, t.deadline())) assert.ok(ok, 'not accepted')
}

function whence({ deadLetter }: Delivery): unknown[] {
  return [deadLetter?.reason, deadLetter?.queue, deadLetter?.subscription, deadLetter?.attempts]
}

/** What becomes of messages that no handler failed on. */
export const givenUp = group('contract', (item) => {
  item('fields-expired', 'a message that expired keeps every field, and tells where it was', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name })
    await queue.createQueue({ name: `${name}.dlq` })
    const message = full(t, name, { expiresAt: t.now() + 200 })
    await publish(t, [message])
    await t.quiet(300)
    await collect(t, queue, name)
    const letter = await letterOf(t, name)
    same(letter, message, 'expired')
    assert.deepEqual(whence(letter), ['expired', name, null, message.deliveryCount])
  })

  item('fields-dropped', 'a message that made room keeps every field, and tells where it was', async (t) => {
    if (t.capabilities.limits === 'none') return t.refused('limits')
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, maxLength: 1, overflow: 'drop-oldest' })
    await queue.createQueue({ name: `${name}.dlq` })
    const message = full(t, name)
    await publish(t, [message])
    await publish(t, [full(t, name)])
    const letter = await letterOf(t, name)
    same(letter, message, 'dropped')
    assert.deepEqual(whence(letter), ['max-length', name, null, message.deliveryCount])
    if (t.capabilities.limits !== 'exact') t.refused('limits')
  })

  item('expired-behind', 'a message that expires behind its key is dead-lettered, too', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, ordered: true })
    await queue.createQueue({ name: `${name}.dlq` })
    await queue.send(name, 'head', { key: 'k' })
    const head = await take(t, queue, name)
    const id = await queue.send(name, 'behind', { key: 'k', ttl: 200 })
    await t.quiet(300)
    await queue.acknowledge(head)
    const inbox = await collect(t, queue, name)
    const letter = await letterOf(t, name)
    assert.deepEqual([letter.id, letter.deadLetter?.reason], [id, 'expired'])
    assert.deepEqual(inbox.bodies(), [])
  })
})
