import assert from 'node:assert/strict'
import type { BrokerAdapter, Delivery, Receiver, Source } from '@mq/core/adapter'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { settled } from '../stage.ts'

function open(
  adapter: BrokerAdapter,
  queue: string,
  mode: Source['mode'],
  after?: string,
): Promise<Receiver> {
  return adapter.open(source({ queue }, { mode, after }), () => undefined)
}

const idsOf = (messages: readonly { readonly id: string }[]) => messages.map(({ id }) => id)

/** All that a browse shows, page after page. */
async function shown(browsing: Receiver, signal: AbortSignal, most = 2): Promise<readonly Delivery[]> {
  const all: Delivery[] = []
  for (;;) {
    signal.throwIfAborted()
    const page = await browsing.receive(most, signal, 0)
    assert.ok(page.length <= most, 'more than it was asked for')
    if (page.length === 0) return all
    all.push(...page)
  }
}

/** Looking at what waits, as the contract has it. */
export const browse = group('receiver', (item) => {
  item('browse', 'a browse shows each waiting message once, leases nothing, and ends', async (t) => {
    const adapter = await t.connected()
    const name = t.name()
    await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const signal = t.deadline()
    const [held, delayed] = [outbound({ queue: name }), outbound({ queue: name }, { delayMs: 600_000 })]
    await adapter.publish([held], signal)
    const holder = await open(adapter, name, 'pull')
    const leased = await receiveAll(t, holder, 1)
    await adapter.publish([delayed], signal)
    const messages = Array.from({ length: 5 }, () => outbound({ queue: name }))
    await adapter.publish(messages, signal)
    const browsing = await open(adapter, name, 'browse')
    // What counts what is leased as waiting may show it, too.
    const seen = (await shown(browsing, signal)).filter(
      ({ id }) => id !== held.id || t.capabilities.size === 'ready',
    )
    eachOnce(idsOf(seen), idsOf(messages), 'shown')
    settled(await browsing.ack(seen.slice(0, 1)), 1)
    settled(await browsing.ack(seen.slice(2, 3)), 1)
    await browsing.close(signal)
    // The one whose position it is may be gone.
    const after = await open(adapter, name, 'browse', seen[2]?.position)
    const rest = await shown(after, signal)
    if (t.capabilities.browseHides) t.refused('browseHides')
    else {
      assert.deepEqual(idsOf(rest), idsOf(seen.slice(3)))
      // What is gone is gone, and behind the last there is nothing.
      assert.deepEqual([...(await after.ack(seen.slice(0, 1)))], ['lost'])
      const end = await open(adapter, name, 'browse', seen.at(-1)?.position)
      assert.deepEqual(idsOf(await shown(end, signal)), [], 'behind the last')
      await end.close(signal)
    }
    await after.close(signal)
    settled(await holder.ack(leased), 1)
    await holder.close(signal)
    const left = await receiveAll(t, await open(adapter, name, 'pull'), 3)
    eachOnce(idsOf(left), idsOf([...seen.slice(1, 2), ...seen.slice(3)]))
  })

  item('browse-removed', 'a browse that removes what it shows leaves nothing out', async (t) => {
    const adapter = await t.connected()
    const name = t.name()
    await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const messages = Array.from({ length: 7 }, () => outbound({ queue: name }))
    await adapter.publish(messages, t.deadline())
    const browsing = await open(adapter, name, 'browse')
    const removed: string[] = []
    for (;;) {
      const page = await browsing.receive(2, t.deadline(), 0)
      if (page.length === 0) break
      settled(await browsing.ack(page), page.length)
      removed.push(...idsOf(page))
    }
    eachOnce(removed, idsOf(messages), 'removed')
    await browsing.close(t.deadline())
    const left = await (await open(adapter, name, 'pull')).receive(10, t.deadline(), 0)
    assert.deepEqual(idsOf(left), [], 'left')
  })

  item('browse-many', 'a browse of many shows all of them, page by page', async (t) => {
    const adapter = await t.connected()
    const name = t.name()
    await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const messages = Array.from({ length: 1100 }, () => outbound({ queue: name }))
    await adapter.publish(messages, t.deadline())
    const browsing = await open(adapter, name, 'browse')
    eachOnce(idsOf(await shown(browsing, t.deadline(), 100)), idsOf(messages), 'shown')
    await browsing.close(t.deadline())
  })

  item('browse-returned', 'a browse shows what was given back or retried', async (t) => {
    const adapter = await t.connected()
    const name = t.name()
    await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const messages = Array.from({ length: 6 }, () => outbound({ queue: name }))
    await adapter.publish(messages, t.deadline())
    const holder = await open(adapter, name, 'pull')
    const [released, retried, gone] = (await receiveAll(t, holder, 3)) as [Delivery, Delivery, Delivery]
    settled(await holder.release([released]), 1)
    settled(await holder.retry([retried], 0), 1)
    settled(await holder.ack([gone]), 1)
    await holder.close(t.deadline())
    await t.until(async () => (await adapter.size({ queue: name })) === 5, 'five ready')
    const browsing = await open(adapter, name, 'browse')
    const seen = await shown(browsing, t.deadline())
    eachOnce(
      idsOf(seen),
      idsOf(messages).filter((id) => id !== gone.id),
      'shown',
    )
    const counted = seen.map(({ id, deliveryCount }) =>
      deliveryCount === (id === retried.id ? 1 : 0) ? [] : id,
    )
    assert.deepEqual(counted.flat(), [], 'another count')
    await browsing.close(t.deadline())
  })

  item(
    'browse-leased',
    'ack of a browse leaves what was leased since: it answers lost, and the message is its holder’s',
    async (t) => {
      if (t.capabilities.browseHides) return t.refused('browseHides')
      // Where the broker does not tell what is leased from what is ready, a browse cannot either.
      if (t.capabilities.size !== 'ready') return t.refused('size')
      const adapter = await t.connected()
      const name = t.name()
      await adapter.declare(
        { queue: name },
        { settings: plainSettings, pattern: undefined, ifExists: 'take' },
      )
      const messages = [outbound({ queue: name }), outbound({ queue: name })]
      await adapter.publish(messages, t.deadline())
      const browsing = await open(adapter, name, 'browse')
      const seen = await receiveAll(t, browsing, 2)
      const holder = await open(adapter, name, 'pull')
      const [held] = await receiveAll(t, holder, 1)
      assert.ok(held !== undefined)
      const outcomes = await browsing.ack(seen)
      assert.deepEqual(
        outcomes,
        seen.map(({ id }) => (id === held.id ? 'lost' : 'settled')),
      )
      settled(await holder.ack([held]), 1)
      await holder.close(t.deadline())
      const left = await (await open(adapter, name, 'pull')).receive(10, t.deadline(), 0)
      assert.deepEqual(idsOf(left), [])
    },
  )

  item('browse-ordered', 'a browse of an ordered queue shows what waits behind its key, too', async (t) => {
    const adapter = await t.connected()
    const name = t.name()
    const settings = { ...plainSettings, ordered: true }
    await adapter.declare({ queue: name }, { settings, pattern: undefined, ifExists: 'take' })
    const messages = ['a', 'b', 'a', 'a:1', 'a', 'b', 'a', 'a:1'].map((key) =>
      outbound({ queue: name }, { key }),
    )
    await adapter.publish(messages, t.deadline())
    // Where looking is taking, an ordered queue gives its messages to one consumer alone, and nobody else sees them.
    const browsing = await open(adapter, name, 'browse').catch((error: unknown) => {
      if (!t.capabilities.browseHides || adapter.classify(error).code !== 'MQ_UNSUPPORTED') throw error
      return null
    })
    if (browsing === null) return t.refused('browseHides')
    const pull = source({ queue: name }, { mode: 'pull', ordered: true })
    const holder = await adapter.open(pull, () => undefined)
    const head = await receiveAll(t, holder, 1)
    assert.deepEqual(idsOf(head), idsOf(messages.slice(0, 1)))
    const seen = (await shown(browsing, t.deadline())).filter(
      ({ id }) => id !== head[0]?.id || t.capabilities.size === 'ready',
    )
    eachOnce(idsOf(seen), idsOf(messages.slice(1)), 'shown')
    const after = await open(adapter, name, 'browse', seen[4]?.position)
    assert.deepEqual(idsOf(await shown(after, t.deadline())), idsOf(seen.slice(5)), 'after the fifth')
    await after.close(t.deadline())
    const gone = seen.filter(({ id }) => [4, 1, 2].some((n) => id === messages[n]?.id))
    settled(await browsing.ack(gone), 3)
    assert.deepEqual([...(await browsing.ack(gone.slice(0, 1)))], ['lost'])
    await browsing.close(t.deadline())
    // What was removed behind the one that is held gives its key to nobody.
    const left = [...(await holder.receive(10, t.deadline(), 0))]
    assert.ok(!left.some(({ key }) => key === 'a'), 'one of a key that is held')
    settled(await holder.ack([...head, ...left]), 1 + left.length)
    while (left.length < 4) {
      const next = await receiveAll(t, holder, 1)
      left.push(...next)
      settled(await holder.ack(next), 1)
    }
    assert.deepEqual(idsOf(await holder.receive(1, t.deadline(), 0)), [], 'more')
    for (const key of ['a', 'b', 'a:1']) {
      const sent = messages
        .slice(1)
        .filter((each) => each.key === key && !gone.some(({ id }) => id === each.id))
      assert.deepEqual(idsOf(left.filter((each) => each.key === key)), idsOf(sent), `of ${key}`)
    }
  })

  item('browse-priorities', 'a browse of a queue with priorities shows all that waits', async (t) => {
    const adapter = await t.connected()
    const name = t.name()
    if (t.capabilities.priorityLevels <= 1) return t.refused('priorityLevels')
    const settings = { ...plainSettings, maxPriority: 7 }
    await adapter.declare({ queue: name }, { settings, pattern: undefined, ifExists: 'take' })
    const messages = [0, 7, 3, 0, 7].map((priority) => outbound({ queue: name }, { priority }))
    await adapter.publish(messages, t.deadline())
    const browsing = await open(adapter, name, 'browse')
    const seen = await shown(browsing, t.deadline())
    eachOnce(idsOf(seen), idsOf(messages), 'shown')
    const gone = seen.filter(({ id }) => id === messages[1]?.id || id === messages[3]?.id)
    settled(await browsing.ack(gone), 2)
    await browsing.close(t.deadline())
    const left = await receiveAll(t, await open(adapter, name, 'pull'), 3)
    eachOnce(
      idsOf(left),
      [messages[0], messages[2], messages[4]].map((each) => each?.id),
    )
  })
})
