import assert from 'node:assert/strict'
import type { BrokerAdapter, Delivery, Destination, OutboundMessage, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { declare, failure, outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { settled } from '../stage.ts'

/** Nearly as large as a body may be on any broker, the rest of the message aside. */
const LARGE = 1_000_000
const REPLIES = 300

/** No part of it is like another. */
function largeBody(): Uint8Array {
  const body = Buffer.alloc(LARGE)
  for (let i = 0; i < LARGE; i += 4) body.writeUInt32LE(i, i)
  return body
}

async function publish(t: TestContext, adapter: BrokerAdapter, batch: readonly OutboundMessage[]) {
  for (const { ok } of await adapter.publish(batch, t.deadline())) assert.ok(ok, 'not accepted')
}

/** What is much, on ways that are made for little. */
export const large = group('contract', (item) => {
  item(
    'large-ways',
    'a large message is whole, whichever way it took',
    async (t) => {
      const adapter = await t.connected()
      const [target, dead] = [await declare(adapter, t.name()), await declare(adapter, t.name('dead'))]
      const topic = t.name('topic')
      const subscribed = { topic, subscription: 's' }
      await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      await adapter.declare(subscribed, { settings: plainSettings, pattern: '#', ifExists: 'take' })
      const body = largeBody()
      const open = (from: Target) => adapter.open(source(from, { mode: 'pull' }), () => undefined)
      const whole = (deliveries: readonly Delivery[], way: string) => {
        for (const delivery of deliveries)
          assert.ok(Buffer.compare(delivery.body, body) === 0, `${way}: ${delivery.body.length} bytes`)
        return deliveries
      }
      const send = (to: Destination, over: Partial<OutboundMessage> = {}) =>
        publish(t, adapter, [outbound(to, { body, ...over })])

      await publish(t, adapter, [outbound(target, { body }), outbound(target, { body })])
      const receiver = await open(target)
      const [one, two] = whole(await receiveAll(t, receiver, 2), 'sent together') as [Delivery, Delivery]
      settled(await receiver.ack([two]), 1)
      settled(await receiver.release([one]), 1)
      let held = whole(await receiveAll(t, receiver, 1), 'released')
      settled(await receiver.retry(held, 0), 1)
      held = whole(await receiveAll(t, receiver, 1), 'retried')
      settled(await receiver.retry(held, 50), 1)
      held = whole(await receiveAll(t, receiver, 1), 'retried later')
      settled(await receiver.deadLetter(held, [failure(target)], dead), 1)
      const browsing = await adapter.open(source(dead, { mode: 'browse' }), () => undefined)
      whole(await receiveAll(t, browsing, 1), 'browsed')
      await browsing.close(t.deadline())
      whole(await receiveAll(t, await open(dead), 1), 'dead-lettered')

      const ways: Record<string, Partial<OutboundMessage>> = {
        delayed: { delayMs: 50 },
        redriven: { redriven: true },
        'expiring in the end': { expiresAt: t.now() + 600_000 },
        keyed: { key: 'k' },
      }
      for (const [way, over] of Object.entries(ways)) {
        await send(target, over)
        settled(await receiver.ack(whole(await receiveAll(t, receiver, 1), way)), 1)
      }
      const copies = await open(subscribed)
      const routes: Record<string, () => Promise<void>> = {
        published: () => send({ topic }),
        'published later': () => send({ topic }, { delayMs: 50 }),
        'sent to a subscription': () => send(subscribed, { redriven: true }),
      }
      for (const [way, sent] of Object.entries(routes)) {
        await sent()
        settled(await copies.ack(whole(await receiveAll(t, copies, 1), way)), 1)
      }
      const { address, receiver: replies } = await adapter.openReplies()
      await send({ reply: address })
      whole(await receiveAll(t, replies, 1), 'answered')
    },
    { slowness: 2 },
  )

  item('replies-many', 'answers that come before anybody looks are all there, however many', async (t) => {
    const [asker, answerer] = [await t.connected(), await t.connected()]
    const { address, receiver } = await asker.openReplies()
    const body = Buffer.alloc(5000, 'x')
    const sent = numbers(REPLIES).map(() => outbound({ reply: address }, { body }))
    for (let i = 0; i < REPLIES; i += 50) await publish(t, answerer, sent.slice(i, i + 50))
    const got = await receiveAll(t, receiver, REPLIES)
    got.push(...(await receiver.receive(10, t.deadline(), 50)))
    eachOnce(
      got.map(({ id, body: { length } }) => `${id} ${length}`),
      sent.map(({ id }) => `${id} ${body.length}`),
    )
  })
})
