import assert from 'node:assert/strict'
import type {
  BrokerAdapter,
  DeclareTarget,
  Delivery,
  Destination,
  OutboundMessage,
  QueueSettings,
  SettleOutcome,
  Target,
} from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { failure, outbound, plainSettings, source } from '../fixtures.ts'
import { later, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { settled } from '../stage.ts'
import { full, same, sameAlive } from './fields.ts'

const DELAY_MS = 200

/** What holds messages, other than a plain queue. */
interface Place {
  readonly what: string
  readonly target: Target
  readonly settings: Partial<QueueSettings>
  /** Where to send to, and what, so that it comes here. */
  readonly sent: readonly { readonly to: Destination; readonly over?: Partial<OutboundMessage> }[]
}

function places(t: TestContext): readonly Place[] {
  const { dedupe, limits } = t.capabilities
  const topic = t.name('topic')
  const subscription = { topic, subscription: 's' }
  const kinds: Record<string, Partial<QueueSettings>> = {
    ordered: { ordered: true },
    ...(dedupe === 'broker' ? { deduplicating: { deduplicationWindowMs: 600_000 } } : {}),
    ...(limits === 'none' ? {} : { limited: { maxLength: 100 } }),
  }
  const queues = Object.entries(kinds).map(([what, settings]) => {
    const target = { queue: t.name() }
    return { what, target, settings, sent: [{ to: target, over: { redriven: false } }] }
  })
  // To the topic, and to the subscription alone, as what is redriven.
  return [
    {
      what: 'subscription',
      target: subscription,
      settings: {},
      sent: [{ to: { topic } }, { to: subscription }],
    },
    ...queues,
  ]
}

async function declare(adapter: BrokerAdapter, to: DeclareTarget, over: Partial<QueueSettings> = {}) {
  const pattern = 'subscription' in to ? '#' : undefined
  await adapter.declare(to, { settings: { ...plainSettings, ...over }, pattern, ifExists: 'take' })
}

async function keeps(t: TestContext, adapter: BrokerAdapter, place: Place): Promise<void> {
  const { what, target, settings, sent } = place
  const dead = { queue: t.name('dead') }
  if ('topic' in target) await declare(adapter, { topic: target.topic })
  await declare(adapter, target, settings)
  await declare(adapter, dead)
  for (const { to, over } of sent) {
    const { ordered = false } = settings
    const receiver = await adapter.open(source(target, { mode: 'pull', ordered }), () => undefined)
    const held = async () => (await receiveAll(t, receiver, 1))[0] as Delivery
    const publish = async (message: OutboundMessage) =>
      assert.equal((await adapter.publish([message], t.deadline()))[0]?.ok, true, 'not accepted')
    let since = t.now()
    const waited = (way: string) =>
      assert.ok(t.now() - since >= DELAY_MS - 2, `${what}, ${way}: came after ${t.now() - since} ms`)
    await publish(outbound(to, { delayMs: DELAY_MS, key: 'k', deduplicationId: 'delayed' }))
    const delayed = await held()
    waited('delayed')
    settled(await receiver.ack([delayed]), 1)
    const message = full(t, '', { destination: to, ...over })
    await publish(message)
    const ways: Record<string, (delivery: Delivery) => Promise<readonly SettleOutcome[]>> = {
      released: (delivery) => receiver.release([delivery]),
      retried: (delivery) => receiver.retry([delivery], 0),
      'retried later': (delivery) => receiver.retry([delivery], DELAY_MS),
    }
    let delivery = await held()
    sameAlive(delivery, message, `${what}, sent`)
    let { deliveryCount } = message
    for (const [way, step] of Object.entries(ways)) {
      since = t.now()
      settled(await step(delivery), 1)
      delivery = await held()
      if (way !== 'released') deliveryCount++
      if (way === 'retried later') waited(way)
      sameAlive(delivery, { ...message, deliveryCount }, `${what}, ${way}`)
    }
    const info = failure('topic' in target ? { queue: target.topic, subscription: 's' } : target)
    settled(await receiver.deadLetter([delivery], [info], dead), 1)
    await receiver.close(t.deadline())
    const letters = await adapter.open(source(dead, { mode: 'pull' }), () => undefined)
    const [letter] = await receiveAll(t, letters, 1)
    same(letter, message, `${what}, dead`)
    assert.deepEqual(letter?.deadLetter, info)
    settled(await letters.ack([letter]), 1)
    await letters.close(t.deadline())
  }
}

/** What becomes of the fields of a message that is in no plain queue. */
export const fieldsElsewhere = group('contract', (item) => {
  item(
    'fields-kinds',
    'a message of a subscription, or of a queue of whatever kind, keeps every field on every way',
    async (t) => {
      const adapter = await t.connected()
      await Promise.all(places(t).map((place) => later(keeps(t, adapter, place))))
    },
    { slowness: 2 },
  )

  item('fields-reply', 'an answer keeps every field', async (t) => {
    const [asker, answerer] = [await t.connected(), await t.connected()]
    const { address, receiver } = await asker.openReplies()
    const destination = { reply: address }
    const answers = [
      full(t, '', { destination }),
      full(t, '', { destination, body: new Uint8Array(0) }),
      outbound(destination),
    ]
    // From where it was asked, too.
    for (const from of [answerer, asker]) {
      for (const message of answers)
        assert.equal((await from.publish([message], t.deadline()))[0]?.ok, true, 'not accepted')
      const got = await receiveAll(t, receiver, answers.length)
      for (const message of answers)
        same(
          got.find(({ id }) => id === message.id),
          message,
          'answer',
        )
    }
  })
})
