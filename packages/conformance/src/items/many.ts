import assert from 'node:assert/strict'
import type { Delivery } from '@mq/core/adapter'
import { source } from '../fixtures.ts'
import { eachOnce, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { deadOf, EFFECTS, found, leased, mortal, OPERATIONS, settle, settled } from '../stage.ts'

/** More than a page of anything. */
const MANY = 300

const idsOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ id }) => id)

/** Calls about more than one delivery. */
export const many = group('receiver', (item) => {
  item(
    'renew-one',
    'renew of one leaves the others to run out, and it is not among what is lost',
    async (t) => {
      const lost: Delivery[] = []
      const stage = await leased(t, 2, t.leaseMs, lost)
      const [kept, left] = stage.deliveries as [Delivery, Delivery]
      if (t.capabilities.ownership === 'connection') {
        settled(await stage.receiver.renew([kept]), 1)
        return t.refused('ownership')
      }
      const other = await stage.adapter.open(source({ queue: stage.name }), () => undefined)
      const theirs: Delivery[] = []
      const keep = async (): Promise<void> => {
        while (theirs.length === 0) {
          settled(await stage.receiver.renew([kept]), 1)
          await t.quiet(t.leaseMs / 4)
        }
      }
      await Promise.all([keep(), receiveAll(t, other, 1).then((deliveries) => theirs.push(...deliveries))])
      settled(await stage.receiver.renew([kept]), 1)
      theirs.push(...(await other.receive(10, t.deadline(), 0)))
      assert.deepEqual(idsOf(theirs), [left.id], 'what another one got')
      assert.ok(!idsOf(lost).includes(kept.id), 'the renewed one was reported as lost')
      settled(await stage.receiver.ack([kept]), 1)
      settled(await other.ack(theirs), 1)
    },
  )

  item('retry-several', 'retry of several with a delay is about each of them', async (t) => {
    const stage = await leased(t, MANY)
    const before = t.now()
    settled(await stage.receiver.retry(stage.deliveries, 300), MANY)
    const target = { queue: stage.name }
    const other = await stage.adapter.open(source(target, { prefetch: MANY }), () => undefined)
    const back = await receiveAll(t, other, 1)
    assert.ok(t.now() - before >= 298, `the first came back after ${t.now() - before} ms`)
    back.push(...(await receiveAll(t, other, MANY - 1)))
    eachOnce(idsOf(back), stage.ids)
    assert.deepEqual([...new Set(back.map(({ deliveryCount }) => deliveryCount))], [1])
  })

  item(
    'retry-unlike',
    'retry of several counts each by itself, and keeps its own first failure',
    async (t) => {
      const stage = await leased(t, 3)
      const open = () => stage.adapter.open(source({ queue: stage.name }), () => undefined)
      const [failed, ...others] = stage.deliveries as [Delivery, ...Delivery[]]
      settled(await stage.receiver.retry([failed], 0), 1)
      settled(await stage.receiver.release(others), 2)
      await stage.receiver.close(t.deadline())
      const receiver = await open()
      const held = await receiveAll(t, receiver, 3)
      const first = held.find(({ id }) => id === failed.id) as Delivery
      // Another time than then.
      await t.quiet(100)
      settled(await receiver.retry([first, ...held.filter((each) => each !== first)], 0), 3)
      const back = await receiveAll(t, receiver, 3)
      for (const { id, deliveryCount, firstFailedAt } of back) {
        const again = id === failed.id
        assert.equal(deliveryCount, again ? 2 : 1, 'count')
        assert.equal(firstFailedAt === first.firstFailedAt, again, 'first failure')
      }
      eachOnce(idsOf(back), stage.ids)
    },
  )

  for (const operation of OPERATIONS) {
    item(`many-${operation}`, `${operation} of ${MANY} in one call is done for each of them`, async (t) => {
      const stage = await mortal(t, MANY, operation === 'renew' ? t.leaseMs : 30_000)
      const { back, dead, counted } = EFFECTS[operation]
      if (operation === 'renew') {
        for (let i = 0; i < 6; i++) {
          settled(await settle(stage, operation, stage.deliveries), MANY)
          await t.quiet(t.leaseMs / 4)
        }
      } else settled(await settle(stage, operation, stage.deliveries), MANY)
      // What comes back does so before it closes, which gives back what it still holds; what is gone stays so if it closes at once.
      const gone = operation === 'ack' || operation === 'deadLetter'
      const ready = gone ? [] : await found(t, stage, back * MANY)
      eachOnce(idsOf(ready), back === 0 ? [] : stage.ids, 'back')
      for (const { deliveryCount } of ready) assert.equal(deliveryCount, counted, 'count')
      if (operation === 'renew') settled(await stage.receiver.ack(stage.deliveries), MANY)
      await stage.receiver.close(t.deadline())
      assert.deepEqual(idsOf(await found(t, stage, 0)), [], 'more came back')
      const letters = await stage.adapter.open(
        source(deadOf(stage), { mode: 'pull', prefetch: MANY }),
        () => undefined,
      )
      const died = await receiveAll(t, letters, dead * MANY)
      died.push(...(await letters.receive(10, t.deadline(), 0)))
      eachOnce(idsOf(died), dead === 0 ? [] : stage.ids, 'dead')
    })
  }
})
