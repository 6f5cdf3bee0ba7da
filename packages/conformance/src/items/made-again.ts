import assert from 'node:assert/strict'
import type { BrokerAdapter, QueueSettings, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, later, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'

type Settings = Partial<QueueSettings>

interface Place {
  readonly what: string
  readonly target: Target
  readonly to: Target | { readonly topic: string }
}

/** Tells what becomes of what is made with one setting after another, each time deleted before. */
async function remade(t: TestContext, adapter: BrokerAdapter, place: Place, lives: readonly Settings[]) {
  const { what, target, to } = place
  const pattern = 'topic' in target ? '#' : undefined
  for (const [life, over] of lives.entries()) {
    const settings = { ...plainSettings, ...over }
    // Compared with one that is gone it would be a conflict.
    const inForce = await adapter.declare(target, { settings, pattern, ifExists: 'compare' })
    const told = `${what}, life ${life}, ${JSON.stringify(over)}`
    for (const field of Object.keys(lives[0] ?? {}) as (keyof QueueSettings)[])
      if (field in inForce) assert.equal(inForce[field], settings[field], `${told}: ${field}`)
    const { maxLength, deduplicationWindowMs, maxPriority, ordered } = settings
    const sent = numbers(4).map((n) =>
      outbound(to, {
        deduplicationId: `d${n % 3}`,
        key: over.ordered === undefined ? undefined : 'k',
        priority: maxPriority === null ? 0 : n,
      }),
    )
    const accepted: string[] = []
    for (const message of sent) {
      const [outcome] = await adapter.publish([message], t.deadline())
      if (outcome?.ok === true) accepted.push(message.id)
    }
    // One of a key at a time; a duplicate of the first is the last.
    const most = ordered ? 1 : deduplicationWindowMs === null ? 4 : 3
    const stored = accepted.slice(0, most)
    if (maxPriority !== null) stored.reverse()
    if (maxLength === null) assert.equal(accepted.length, 4, `${told}: accepted`)
    else if (t.capabilities.limits === 'exact') assert.equal(accepted.length, maxLength, `${told}: accepted`)
    const receiver = await adapter.open(source(target, { mode: 'pull', ordered }), () => undefined)
    const got = [...(await receiveAll(t, receiver, stored.length))]
    got.push(...(await receiver.receive(10, t.deadline(), 0)))
    const ids = got.map(({ id }) => id)
    if (maxPriority === null) eachOnce(ids, stored, told)
    else assert.deepEqual(ids, stored, told)
    await receiver.close(t.deadline())
    await adapter.remove(target)
  }
}

/** What has a name that another one had. */
export const madeAgain = group('queues', (item) => {
  item(
    'made-again',
    'what is deleted and made again has the settings that it is made with, and has seen nothing',
    async (t) => {
      const adapter = await t.connected()
      const { limits, dedupe, priorityLevels } = t.capabilities
      const deduplicating = { deduplicationWindowMs: 600_000 }
      const changes: readonly (readonly Settings[])[] = [
        [{ deadLetterQueue: t.name('dead') }, { deadLetterQueue: null }],
        [{ messageTtl: 600_000 }, { messageTtl: null }],
        [{ ordered: true }, { ordered: false }, { ordered: true }],
        ...(priorityLevels > 1 ? [[{ maxPriority: null }, { maxPriority: 5 }, { maxPriority: null }]] : []),
        ...(limits === 'none' ? [] : [[{ maxLength: 2 }, { maxLength: null }, { maxLength: 3 }]]),
        ...(dedupe === 'broker'
          ? [[deduplicating, deduplicating, { deduplicationWindowMs: null }, deduplicating]]
          : []),
      ]
      const work = changes.map(async (lives, i) => {
        const queue = { queue: t.name() }
        await remade(t, adapter, { what: 'queue', target: queue, to: queue }, lives)
        const topic = t.name(`topic${i}`)
        await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
        const target = { topic, subscription: 's' }
        await remade(t, adapter, { what: 'subscription', target, to: { topic } }, lives)
      })
      await Promise.all(work.map(later))
    },
    { slowness: 2 },
  )
})
