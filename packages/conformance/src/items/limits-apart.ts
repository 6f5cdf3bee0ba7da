import assert from 'node:assert/strict'
import type { BrokerAdapter, OutboundMessage, QueueSettings, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { later, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

async function made(adapter: BrokerAdapter, target: Target, over: Partial<QueueSettings>, pattern = '#') {
  const settings = { ...plainSettings, ...over }
  if ('topic' in target)
    await adapter.declare(
      { topic: target.topic },
      { settings: plainSettings, pattern: undefined, ifExists: 'take' },
    )
  await adapter.declare(target, {
    settings,
    pattern: 'topic' in target ? pattern : undefined,
    ifExists: 'take',
  })
  return target
}

/** How each fared, of one call. */
async function send(t: TestContext, adapter: BrokerAdapter, batch: readonly OutboundMessage[]) {
  const outcomes = await adapter.publish(batch, t.deadline())
  return outcomes.map((outcome) => {
    if (outcome.ok) return 'stored'
    if (outcome.certainty === 'unknown') return 'unknown'
    return adapter.classify(outcome.error).code
  })
}

/** Everything that is ready, acknowledged. */
async function drained(t: TestContext, adapter: BrokerAdapter, target: Target, n: number): Promise<string[]> {
  const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
  const all = n === 0 ? [] : await receiveAll(t, receiver, n)
  all.push(...(await receiver.receive(10, t.deadline(), 0)))
  await receiver.ack(all)
  await receiver.close(t.deadline())
  return all.map(({ id }) => id)
}

const FULL = 'MQ_QUEUE_FULL'

/** Limits that hold for some messages, or in some places. */
export const limitsApart = group('extras', (item) => {
  item(
    'limits-call',
    'of one call to a topic each message fares by its own subscriptions: what one refuses is in none, and unseen',
    async (t) => {
      if (t.capabilities.limits !== 'exact') return t.refused('limits')
      const adapter = await t.connected()
      const window = t.capabilities.dedupe === 'broker' ? { deduplicationWindowMs: 600_000 } : {}
      const topic = t.name('topic')
      const [a, full, z] = [
        await made(adapter, { topic, subscription: 'a' }, window),
        await made(adapter, { topic, subscription: 'full' }, { maxLength: 2, ...window }, 'to.full'),
        await made(adapter, { topic, subscription: 'z' }, window),
      ]
      const keys = ['full', 'other', 'full', 'full', 'other', 'full', 'other']
      const sent = keys.map((key, i) =>
        outbound({ topic }, { routingKey: `to.${key}`, deduplicationId: `d${i}` }),
      )
      const idsOf = (indexes: readonly number[]) => indexes.map((i) => sent[i]?.id)
      const fared = await send(t, adapter, sent)
      // Who does not know where it is stored says so.
      if (fared.includes('unknown')) return
      assert.deepEqual(fared, ['stored', 'stored', 'stored', FULL, 'stored', FULL, 'stored'])
      assert.deepEqual(await drained(t, adapter, full, 2), idsOf([0, 2]), 'in the full one')
      for (const target of [a, z])
        assert.deepEqual(await drained(t, adapter, target, 5), idsOf([0, 1, 2, 4, 6]), 'in the others')
      // Sent again as they were: nobody has seen them.
      const again = [3, 5]
        .map((i) => sent[i] as OutboundMessage)
        .map((each) => ({ ...each, sendToken: each.id }))
      assert.deepEqual(await send(t, adapter, again), ['stored', 'stored'])
      for (const target of [a, full, z])
        assert.deepEqual(await drained(t, adapter, target, 2), idsOf([3, 5]), 'sent again')
    },
  )

  item('limits-redriven', 'what is redriven is limited as what is new, and counts once', async (t) => {
    if (t.capabilities.limits !== 'exact') return t.refused('limits')
    const adapter = await t.connected()
    const keeps = async (target: Target, limit: Partial<QueueSettings>): Promise<void> => {
      const what = `${Object.keys(target).join()}, ${JSON.stringify(limit)}`
      await made(adapter, target, limit)
      const batch = (n: number, redriven: boolean) =>
        Array.from({ length: n }, () => outbound(target, { redriven, deliveryCount: 0 }))
      const fares = async (n: number, redriven: boolean) => send(t, adapter, batch(n, redriven))
      assert.deepEqual(await fares(2, false), ['stored', 'stored'], what)
      assert.deepEqual(await fares(2, true), [FULL, FULL], `${what}: redriven to a full one`)
      await drained(t, adapter, target, 2)
      assert.deepEqual(await fares(3, true), ['stored', 'stored', FULL], `${what}: redriven in one call`)
      await drained(t, adapter, target, 2)
      // One of them at a time: twice would leave no room.
      assert.deepEqual(await fares(1, true), ['stored'], what)
      assert.deepEqual(await fares(2, false), ['stored', FULL], `${what}: beside what is redriven`)
      assert.equal(await adapter.size(target), 2, what)
      await drained(t, adapter, target, 2)
      assert.deepEqual(await fares(3, false), ['stored', 'stored', FULL], `${what}: once that is gone`)
    }
    const drops = async (target: Target): Promise<void> => {
      await made(adapter, target, { maxLength: 2, overflow: 'drop-oldest' })
      const old = [outbound(target), outbound(target)]
      const back = outbound(target, { redriven: true })
      await send(t, adapter, old)
      assert.deepEqual(await send(t, adapter, [back]), ['stored'])
      const ids = [old[1]?.id, back.id]
      assert.deepEqual(await drained(t, adapter, target, 2), ids, 'redriven: the oldest makes room')
    }
    const work = [{ maxLength: 2 }, { maxLengthBytes: 2 * outbound({ queue: '' }).body.length }].flatMap(
      (limit) => [
        keeps({ queue: t.name() }, limit),
        keeps({ topic: t.name('topic'), subscription: 's' }, limit),
      ],
    )
    work.push(drops({ queue: t.name() }), drops({ topic: t.name('topic'), subscription: 's' }))
    await Promise.all(work.map(later))
  })
})
