import assert from 'node:assert/strict'
import type { BrokerAdapter, QueueSettings, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { declare, outbound, plainSettings, source } from '../fixtures.ts'
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
    const { maxLength, overflow, deduplicationWindowMs, maxPriority, ordered } = settings
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
    const drops = maxLength !== null && overflow === 'drop-oldest'
    const stored = drops ? accepted.slice(-maxLength) : accepted.slice(0, most)
    if (maxPriority !== null) stored.reverse()
    if (maxLength === null || drops) assert.equal(accepted.length, 4, `${told}: accepted`)
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
      const full = (overflow: QueueSettings['overflow']): Settings => ({ maxLength: 2, overflow })
      const deduplicating = { deduplicationWindowMs: 600_000 }
      const changes: readonly (readonly Settings[])[] = [
        [{ deadLetterQueue: t.name('dead') }, { deadLetterQueue: null }],
        [{ messageTtl: 600_000 }, { messageTtl: null }],
        [{ ordered: true }, { ordered: false }, { ordered: true }],
        ...(priorityLevels > 1 ? [[{ maxPriority: null }, { maxPriority: 5 }, { maxPriority: null }]] : []),
        ...(limits === 'none' ? [] : [[{ maxLength: 2 }, { maxLength: null }, { maxLength: 3 }]]),
        ...(limits === 'exact' ? [[full('drop-oldest'), full('reject'), full('drop-oldest')]] : []),
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

  item(
    'made-again-ends',
    'what is deleted and made again belongs to whom it is made for now, and ends when it should now',
    async (t) => {
      const [adapter, other] = [await t.connected(), await t.connected()]
      const exists = (target: Target) =>
        adapter.size(target).then(
          () => true,
          (error: unknown) => {
            if (adapter.classify(error).code === 'MQ_QUEUE_NOT_FOUND') return false
            throw error
          },
        )
      const stays = async (target: Target, ms: number, what: string): Promise<void> => {
        await t.quiet(ms)
        assert.ok(await exists(target), `${what}: gone`)
      }
      const ends: Record<
        string,
        { of: Settings; ends: (target: Target, on: boolean, what: string) => unknown }
      > = {
        exclusive: {
          of: { exclusive: true },
          async ends(target, on, what) {
            // Whoever knew it before may learn it only when it receives.
            const receives = async () => {
              const receiver = await other.open(source(target, { mode: 'pull' }), () => undefined)
              await receiver.receive(1, t.deadline(), 0)
              await receiver.close(t.deadline())
            }
            const [received] = await Promise.allSettled([receives()])
            assert.equal(received.status, on ? 'rejected' : 'fulfilled', what)
          },
        },
        autoDelete: {
          of: { autoDelete: true },
          async ends(target, on, what) {
            await (await adapter.open(source(target), () => undefined)).close(t.deadline())
            if (on) await t.until(async () => !(await exists(target)), `${what}: gone`)
            else await stays(target, 300, what)
          },
        },
        expires: {
          of: { expires: 2000 },
          async ends(target, on, what) {
            if (!on) return stays(target, 4000, what)
            await t.until(async () => {
              // Less often than would be use enough to keep it.
              await t.quiet(3000)
              return !(await exists(target))
            }, `${what}: gone`)
          },
        },
      }
      const { exclusive, autoDelete } = t.capabilities
      const [expiring] = await Promise.allSettled([declare(adapter, t.name(), { expires: 2000 })])
      if (expiring.status === 'rejected')
        assert.equal(adapter.classify(expiring.reason).code, 'MQ_UNSUPPORTED')
      const possible: Record<string, boolean> = {
        exclusive,
        autoDelete,
        expires: expiring.status === 'fulfilled',
      }
      const lives = async (target: Target, way: string): Promise<void> => {
        const { of, ends: check } = ends[way] as (typeof ends)[string]
        const pattern = 'topic' in target ? '#' : undefined
        if ('topic' in target) {
          const { topic } = target
          await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
        }
        for (const [life, on] of [true, false, true].entries()) {
          const settings = { ...plainSettings, ...(on ? of : {}) }
          await adapter.declare(target, { settings, pattern, ifExists: 'compare' })
          // It may end in its first life as it does in its last.
          if (life > 0) await check(target, on, `${Object.keys(target).join()}, ${way}, life ${life}`)
          await adapter.remove(target)
        }
      }
      const ways = Object.keys(ends).filter((way) => possible[way])
      const work = ways.flatMap((way) => [
        lives({ queue: t.name() }, way),
        lives({ topic: t.name('topic'), subscription: 's' }, way),
      ])
      await Promise.all(work.map(later))
    },
    { slowness: 2 },
  )
})
