import assert from 'node:assert/strict'
import type { BrokerAdapter, Delivery, Receiver, SettleOutcome, Source } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { failure, outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, later, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { settled } from '../stage.ts'

const CONNECTIONS = 4
/** Of each connection. */
const EACH = 30
const WAYS = 5
const ALL = CONNECTIONS * EACH

const declaration = { settings: plainSettings, pattern: undefined, ifExists: 'take' } as const

const idsOf = (messages: readonly { readonly id: string }[]): string[] => messages.map(({ id }) => id)

/** All of them at once. */
const together = <T, R>(list: readonly T[], work: (each: T, i: number) => Promise<R>): Promise<R[]> =>
  Promise.all(list.map((each, i) => later(work(each, i))))

/** What all of them get of `total`, each for as long as something is missing. */
async function shared(t: TestContext, receivers: readonly Receiver[], total: number): Promise<Delivery[][]> {
  const held = receivers.map((): Delivery[] => [])
  await t.until(
    async () => {
      await together(receivers, async (receiver, i) => {
        held[i]?.push(...(await receiver.receive(EACH, t.deadline(), 50)))
      })
      return held.flat().length >= total
    },
    () => `${total} deliveries (${held.flat().length} came)`,
  )
  return held
}

type Way = (deliveries: readonly Delivery[]) => Promise<readonly SettleOutcome[]>

async function settleAll(way: Way, deliveries: readonly Delivery[]): Promise<void> {
  if (deliveries.length > 0) settled(await way(deliveries), deliveries.length)
}

/** What single connections do well enough. */
export const concurrent = group('contract', (item) => {
  item(
    'concurrent',
    'several connections may publish, receive and settle at once, each call for itself',
    async (t) => {
      const adapters = await together(numbers(CONNECTIONS), () => t.connected())
      const [target, dead] = [{ queue: t.name() }, { queue: t.name('dead') }]
      await together(adapters, (adapter) => adapter.declare(target, declaration))
      await together(adapters, (adapter) => adapter.declare(dead, declaration))
      const batches = adapters.map(() => numbers(EACH).map(() => outbound(target)))
      const sent = idsOf(batches.flat())
      const outcomes = await together(adapters, (adapter, i) =>
        // Two calls of each, both under way.
        together([0, EACH / 2], (from) =>
          adapter.publish((batches[i] ?? []).slice(from, from + EACH / 2), t.deadline()),
        ),
      )
      assert.ok(
        outcomes.flat(2).every(({ ok }) => ok),
        'not accepted',
      )
      // One of them may have all.
      const pull = source(target, { mode: 'pull', prefetch: ALL })
      const open = (over: Partial<Source> = {}) =>
        together(adapters, (adapter) => adapter.open({ ...pull, ...over }, () => undefined))
      const receivers = await open()
      const held = await shared(t, receivers, sent.length)
      eachOnce(idsOf(held.flat()), sent, 'received')
      // Where consumers that come and go move what others hold, it may come twice by now.
      if (t.capabilities.settle === 'deferred') return t.refused('settle')
      // A part of each in every way, all of it at once; the last is left to the close.
      const parts = held.map((deliveries) =>
        numbers(WAYS).map((rest) => deliveries.filter((_, i) => i % WAYS === rest)),
      )
      await together(receivers, async (receiver, i) => {
        const ways: readonly Way[] = [
          (part) => receiver.ack(part),
          (part) =>
            receiver.deadLetter(
              part,
              part.map(() => failure(target)),
              dead,
            ),
          (part) => receiver.release(part),
          (part) => receiver.retry(part, 0),
        ]
        await together(ways, (way, n) => settleAll(way, parts[i]?.[n] ?? []))
        await receiver.close(t.deadline())
      })
      const back = parts.flatMap(([, , ...rest]) => rest.flat())
      const others = await open()
      const again = await shared(t, others, back.length)
      eachOnce(idsOf(again.flat()), idsOf(back), 'given back')
      await together(others, async (other, i) => {
        await settleAll((part) => other.ack(part), again[i] ?? [])
        await other.close(t.deadline())
      })
      const last = await (adapters[0] as BrokerAdapter).open(pull, () => undefined)
      assert.deepEqual(idsOf(await last.receive(10, t.deadline(), 0)), [], 'left over')
      const died = parts.flatMap(([, part]) => part ?? [])
      const letters = await shared(t, await open({ target: dead }), died.length)
      eachOnce(idsOf(letters.flat()), idsOf(died), 'dead')
    },
    { slowness: 2 },
  )

  item('concurrent-purge', 'what is published amid a purge is either counted by it, or left', async (t) => {
    const [adapter, other] = [await t.connected(), await t.connected()]
    const target = { queue: t.name() }
    await adapter.declare(target, declaration)
    let purged = 0
    const accepted: string[] = []
    const publish = async (by: BrokerAdapter): Promise<void> => {
      const batch = numbers(EACH).map(() => outbound(target))
      for (const { ok } of await by.publish(batch, t.deadline())) assert.ok(ok, 'not accepted')
      accepted.push(...idsOf(batch))
    }
    for (let i = 0; i < 3; i++) {
      const purging = async () => void (purged += await other.purge(target))
      await together([publish(adapter), purging(), publish(other)], (work) => work)
    }
    const receiver = await adapter.open(source(target, { mode: 'pull', prefetch: 1000 }), () => undefined)
    const left = await receiveAll(t, receiver, accepted.length - purged)
    left.push(...(await receiver.receive(10, t.deadline(), 0)))
    assert.equal(new Set(idsOf(left)).size, accepted.length - purged, `left by purges of ${purged}`)
  })
})
