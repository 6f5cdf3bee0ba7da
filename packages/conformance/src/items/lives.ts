import assert from 'node:assert/strict'
import type { BrokerAdapter, DeclareTarget, Delivery, QueueSettings, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { failure, outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

const LIVES = 3
/** Above what a broker takes to store and hand out, below what the tests wait. */
const DELAY_MS = 700

/** Connects one adapter several times, and does all of it each time. */
async function throughLives(
  t: TestContext,
  work: (adapter: BrokerAdapter, life: number) => Promise<void>,
): Promise<void> {
  const adapter = t.adapter()
  for (let life = 1; life <= LIVES; life++) {
    await adapter.connect({ lost: () => undefined, blocked: () => undefined }, t.deadline())
    await work(adapter, life)
    await adapter.disconnect(t.deadline())
  }
}

function make(
  adapter: BrokerAdapter,
  target: DeclareTarget,
  over: Partial<QueueSettings> = {},
  pattern?: string,
): Promise<unknown> {
  const settings = { ...plainSettings, ...over }
  return adapter.declare(target, { settings, pattern, ifExists: 'compare' })
}

async function publish(
  t: TestContext,
  adapter: BrokerAdapter,
  messages: readonly ReturnType<typeof outbound>[],
): Promise<string[]> {
  const outcomes = await adapter.publish(messages, t.deadline())
  assert.deepEqual(
    [...outcomes],
    messages.map(() => ({ ok: true })),
    'published',
  )
  return messages.map(({ id }) => id)
}

const idsOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ id }) => id)

/** Takes all that is there, and acknowledges it. */
async function empty(t: TestContext, adapter: BrokerAdapter, target: Target, expected: readonly string[]) {
  const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
  const got = await receiveAll(t, receiver, expected.length)
  got.push(...(await receiver.receive(10, t.deadline(), 0)))
  eachOnce(idsOf(got), expected)
  await receiver.ack(got)
  await receiver.close(t.deadline())
}

/** One adapter that is disconnected and connected again: what it does in its first life it does in those after. */
export const lives = group('lifecycle', (item) => {
  item('lives-settle', 'an adapter that was connected before settles as it did then', async (t) => {
    const [target, dead] = [{ queue: t.name() }, { queue: t.name('dead') }]
    let left: string[] = []
    await throughLives(t, async (adapter, life) => {
      await make(adapter, dead)
      await make(adapter, target, { deadLetterQueue: dead.queue })
      const receiver = await adapter.open(source(target), () => undefined)
      const former = await receiveAll(t, receiver, left.length)
      eachOnce(idsOf(former), left, `left by life ${life - 1}`)
      await receiver.ack(former)
      const sent = await publish(t, adapter, [outbound(target), outbound(target), outbound(target)])
      const got = await receiveAll(t, receiver, sent.length)
      assert.deepEqual(idsOf(got), sent, `life ${life}`)
      const [first, second, third] = got as [Delivery, Delivery, Delivery]
      assert.deepEqual([...(await receiver.retry([first], 0))], ['settled'])
      assert.deepEqual([...(await receiver.deadLetter([second], [failure()], dead))], ['settled'])
      assert.deepEqual([...(await receiver.release([third]))], ['settled'])
      const back = await receiveAll(t, receiver, 2)
      const counts = new Map(back.map(({ id, deliveryCount }) => [id, deliveryCount]))
      assert.deepEqual([counts.get(first.id), counts.get(third.id)], [1, 0], `counts of life ${life}`)
      const retried = back.filter(({ id }) => id === first.id)
      assert.deepEqual([...(await receiver.ack(retried))], ['settled'])
      // The other one is left to the next life.
      left = [third.id]
      const browse = await adapter.open(source(dead, { mode: 'browse' }), () => undefined)
      const letters = await receiveAll(t, browse, 1)
      assert.deepEqual(idsOf(letters), [second.id])
      assert.equal(letters[0]?.deadLetter?.reason, 'rejected')
      await browse.close(t.deadline())
      assert.equal(await adapter.size(dead), 1, `dead letters of life ${life}`)
      assert.equal(await adapter.purge(dead), 1)
      await adapter.ping(t.deadline())
    })
  })

  item('lives-time', 'an adapter that was connected before keeps times as it did then', async (t) => {
    const [target, short, ordered] = [{ queue: t.name() }, { queue: t.name() }, { queue: t.name() }]
    await throughLives(t, async (adapter, life) => {
      await make(adapter, target)
      await make(adapter, short, { messageTtl: 600_000 })
      await make(adapter, ordered, { ordered: true })

      const [soon, delayed] = [outbound(target), outbound(target, { delayMs: DELAY_MS })]
      const sentAt = t.now()
      await publish(t, adapter, [delayed, soon])
      const receiver = await adapter.open(source(target), () => undefined)
      const got = await receiveAll(t, receiver, 1)
      const firstAfter = t.now() - sentAt
      got.push(...(await receiveAll(t, receiver, 1)))
      eachOnce(idsOf(got), [soon.id, delayed.id], `life ${life}`)
      // Where publishing and opening took as long as the delay, either may come first.
      const delayedBy = got[0]?.id === delayed.id ? firstAfter : t.now() - sentAt
      assert.ok(delayedBy >= DELAY_MS - 50, `life ${life}: delayed by ${delayedBy} ms`)
      await receiver.ack(got)

      const sent = await publish(t, adapter, [
        outbound(ordered, { key: 'k' }),
        outbound(ordered, { key: 'k' }),
      ])
      const inOrder = await adapter.open(source(ordered, { ordered: true }), () => undefined)
      for (const id of sent) {
        const one = await receiveAll(t, inOrder, 1)
        assert.deepEqual(
          one.map((delivery) => [delivery.id, delivery.key]),
          [[id, 'k']],
          `life ${life}: order`,
        )
        await inOrder.ack(one)
      }

      if (t.capabilities.ownership !== 'lease') return
      const leased = await adapter.open(source(short, { leaseMs: t.leaseMs }), () => undefined)
      const [kept] = await publish(t, adapter, [outbound(short)])
      const held = await receiveAll(t, leased, 1)
      assert.deepEqual(idsOf(held), [kept])
      const again = await receiveAll(t, leased, 1)
      assert.deepEqual([again[0]?.id, again[0]?.redeliveries], [kept, 1])
      assert.deepEqual([...(await leased.renew(again))], ['settled'])
      assert.deepEqual([...(await leased.ack(again))], ['settled'])
    })
  })

  item('lives-ways', 'an adapter that was connected before reaches what it reached then', async (t) => {
    const topic = t.name('topic')
    const [all, some] = [
      { topic, subscription: 'all' },
      { topic, subscription: 'some' },
    ]
    const deduplicating = { queue: t.name() }
    const addresses = new Set<string>()
    await throughLives(t, async (adapter, life) => {
      await make(adapter, { topic })
      await make(adapter, all, {}, '#')
      await make(adapter, some, {}, 'eu.*')
      const sent = ['eu.it', 'us.ny'].map((routingKey) => outbound({ topic }, { routingKey }))
      const [european, american] = await publish(t, adapter, sent)
      await empty(t, adapter, all, [european as string, american as string])
      await empty(t, adapter, some, [european as string])

      const { address, receiver } = await adapter.openReplies()
      assert.ok(!addresses.has(address), `life ${life}: a requester has the address of a former one`)
      addresses.add(address)
      const replies = await publish(t, adapter, [outbound({ reply: address })])
      const answers = await receiveAll(t, receiver, 1)
      assert.deepEqual(idsOf(answers), replies)
      await receiver.ack(answers)

      if (t.capabilities.dedupe !== 'broker') return
      await make(adapter, deduplicating, { deduplicationWindowMs: 600_000 })
      const twice = [1, 2].map(() => outbound(deduplicating, { deduplicationId: 'the same in all lives' }))
      await publish(t, adapter, twice)
      await empty(t, adapter, deduplicating, life === 1 ? [(twice[0] as { id: string }).id] : [])
    })
  })
})
