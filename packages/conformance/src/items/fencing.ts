import assert from 'node:assert/strict'
import type { Delivery, Receiver, SettleOutcome, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { later, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { deadOf, found, mortal, OPERATIONS, settle, settled, type Operation, type Stage } from '../stage.ts'

interface Former {
  readonly receiver: Receiver
  readonly delivery: Delivery
}

const pulling = (t: TestContext, { adapter, name }: Stage, leaseMs = 30_000): Promise<Receiver> =>
  adapter.open(source({ queue: name }, { mode: 'pull', leaseMs }), () => undefined)

/** None of them settles it: it stays with whoever has it now. */
async function nobodySettles(
  t: TestContext,
  stage: Stage,
  operation: Operation,
  formers: readonly Former[],
  { receiver, delivery }: Former,
): Promise<void> {
  const { ownership } = t.capabilities
  for (const [i, former] of formers.entries()) {
    const outcomes = await settle({ ...stage, receiver: former.receiver }, operation, [
      former.delivery,
    ]).catch((): SettleOutcome[] => [])
    // Where the connection is the owner, settling twice may go unnoticed.
    const may = ownership === 'connection' && (operation === 'renew' || former.receiver === receiver)
    if (!may) assert.ok(!outcomes.includes('settled'), `${operation} by former owner ${i}: settled`)
  }
  assert.deepEqual([...(await found(t, stage, 0))], [], `${operation}: in the queue again`)
  assert.equal(await stage.adapter.size(deadOf(stage)), 0, `${operation}: dead letters`)
  settled(await receiver.renew([delivery]), 1)
  settled(await receiver.ack([delivery]), 1)
  assert.deepEqual([...(await found(t, stage, 0))], [], `${operation}: still there`)
}

async function one(t: TestContext, receiver: Receiver): Promise<Former> {
  const [delivery] = await receiveAll(t, receiver, 1)
  return { receiver, delivery: delivery as Delivery }
}

/** Who had a message settles it no more, however long ago that was. */
export const fencing = group('receiver', (item) => {
  item(
    'fenced',
    'whoever had a message before others settles nothing of it, however many had it since',
    async (t) => {
      const { ownership } = t.capabilities
      type Way = (stage: Stage, former: Former) => Promise<Receiver>
      const ways: Record<string, Way> = {
        async closed(stage, { receiver }) {
          await receiver.close(t.deadline())
          return pulling(t, stage)
        },
        ...(ownership === 'lease'
          ? ({
              async released(_, { receiver, delivery }) {
                settled(await receiver.release([delivery]), 1)
                return receiver
              },
              'released to another': async (stage, { receiver, delivery }) => {
                settled(await receiver.release([delivery]), 1)
                return pulling(t, stage)
              },
              retried: async (stage, { receiver, delivery }) => {
                settled(await receiver.retry([delivery], 0), 1)
                return pulling(t, stage)
              },
            } satisfies Record<string, Way>)
          : {}),
      }
      const work = OPERATIONS.flatMap((operation) =>
        Object.entries(ways).map(async ([way, leave]) => {
          const stage = await mortal(t, 1)
          const formers: Former[] = []
          let holder: Former = { receiver: stage.receiver, delivery: stage.deliveries[0] as Delivery }
          for (let i = 0; i < 4; i++) {
            formers.push(holder)
            holder = await one(t, await leave(stage, holder))
          }
          await nobodySettles(t, stage, operation, formers, holder).catch((error: unknown) => {
            throw new Error(`${way}: ${String(error)}`, { cause: error })
          })
        }),
      )
      await Promise.all(work.map(later))
    },
    { slowness: 2 },
  )

  item('fenced-lease', 'an owner whose lease ran out settles nothing, two owners later either', async (t) => {
    if (t.capabilities.ownership !== 'lease') return t.refused('ownership')
    const work = OPERATIONS.map(async (operation) => {
      const stage = await mortal(t, 1, t.leaseMs)
      const formers = [{ receiver: stage.receiver, delivery: stage.deliveries[0] as Delivery }]
      for (let i = 0; i < 2; i++) formers.push(await one(t, await pulling(t, stage, t.leaseMs)))
      const holder = await one(t, await pulling(t, stage))
      await nobodySettles(t, stage, operation, formers, holder)
    })
    await Promise.all(work.map(later))
  })

  item(
    'fenced-anew',
    'what was leased of a queue that is purged or deleted settles nothing of what has its id later',
    async (t) => {
      const { ownership } = t.capabilities
      const ways: Record<string, (stage: Stage, former: Former, target: Target) => Promise<unknown>> = {
        async deleted({ adapter }, _, target) {
          await adapter.remove(target)
          await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
        },
        async purged({ adapter }, { receiver, delivery }, target) {
          settled(await receiver.release([delivery]), 1)
          await t.until(async () => (await adapter.purge(target)) === 1, 'purged')
        },
      }
      // Where nobody is told of the end, a copy may be made before its original is found to be gone.
      const operations = ownership === 'lease' ? OPERATIONS : (['ack', 'release', 'renew'] as const)
      const work = operations.flatMap((operation) =>
        Object.entries(ways).map(async ([way, end]) => {
          const stage = await mortal(t, 1)
          const former = { receiver: stage.receiver, delivery: stage.deliveries[0] as Delivery }
          const target = { queue: stage.name }
          await end(stage, former, target)
          const again = outbound(target, { id: former.delivery.id })
          const [outcome] = await stage.adapter.publish([again], t.deadline())
          assert.equal(outcome?.ok, true, 'not accepted')
          const holder = await one(t, await pulling(t, stage))
          const outcomes = await settle(stage, operation, [former.delivery]).catch((): SettleOutcome[] => [])
          if (ownership === 'lease') assert.ok(!outcomes.includes('settled'), `${way}: ${operation} settled`)
          await nobodySettles(t, stage, operation, [], holder).catch((error: unknown) => {
            throw new Error(`${way}: ${String(error)}`, { cause: error })
          })
        }),
      )
      await Promise.all(work.map(later))
    },
    { slowness: 2 },
  )
})
