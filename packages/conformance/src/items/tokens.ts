import assert from 'node:assert/strict'
import type { Delivery, SettleOutcome } from '@mq/core/adapter'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { found, leased, settled } from '../stage.ts'

/** A delivery is settled by itself, not by the id of its message. */
export const tokens = group('receiver', (item) => {
  item(
    'token-again',
    'what was given back and came again is a delivery of its own: the former one settles nothing',
    async (t) => {
      const stage = await leased(t, 1)
      const { receiver } = stage
      const [former] = stage.deliveries as [Delivery]
      settled(await receiver.release([former]), 1)
      const [latter] = (await receiveAll(t, receiver, 1)) as [Delivery]
      const outcomes = await receiver.ack([former])
      // Where the connection is the owner, settling twice may go unnoticed.
      if (t.capabilities.ownership === 'lease') assert.deepEqual([...outcomes], ['lost'])
      settled(await receiver.release([latter]), 1)
      const [last] = (await receiveAll(t, receiver, 1)) as [Delivery]
      assert.deepEqual([last.id, last.deliveryCount], [former.id, 0])
      settled(await receiver.ack([last]), 1)
      await receiver.close(t.deadline())
      assert.deepEqual(await found(t, stage, 0), [])
    },
  )

  item('token-same-id', 'two messages with one id are settled apart', async (t) => {
    const adapter = await t.connected()
    const target = { queue: t.name() }
    await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const bodies = ['one', 'two']
    const messages = bodies.map((body) => outbound(target, { id: 'the same', body: Buffer.from(body) }))
    await adapter.publish(messages, t.deadline())
    const textOf = ({ body }: Delivery) => Buffer.from(body).toString()
    const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
    const [first, second] = (await receiveAll(t, receiver, 2)) as [Delivery, Delivery]
    assert.deepEqual([first, second].map(textOf).sort(), bodies)
    settled(await receiver.ack([first]), 1)
    await receiver.close(t.deadline())
    const other = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
    const [back] = (await receiveAll(t, other, 1)) as [Delivery]
    assert.equal(textOf(back), textOf(second))
    assert.deepEqual([...(await other.receive(1, t.deadline(), 0))], [], 'the other one, too')
  })

  item(
    'token-closed',
    'a receiver that was closed settles nothing of what another has received since',
    async (t) => {
      const stage = await leased(t, 2)
      await stage.receiver.close(t.deadline())
      const target = { queue: stage.name }
      const other = await stage.adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const theirs = await receiveAll(t, other, 2)
      const outcomes = await stage.receiver.ack(stage.deliveries).catch((): SettleOutcome[] => [])
      assert.ok(!outcomes.includes('settled'), 'it settled')
      // Neither is gone, nor given back a second time.
      assert.deepEqual(await found(t, stage, 0), [])
      settled(await other.release(theirs.slice(0, 1)), 1)
      const again = await receiveAll(t, other, 1)
      settled(await other.ack([...theirs.slice(1), ...again]), 2)
    },
  )

  item('at-once', 'what was given back is ready when that has resolved', async (t) => {
    if (t.capabilities.settle !== 'confirmed') return t.refused('settle')
    const stage = await leased(t, 4)
    const target = { queue: stage.name }
    const other = await stage.adapter.open(source(target, { mode: 'pull' }), () => undefined)
    const look = async (): Promise<number> => {
      const { length } = await other.receive(10, t.deadline(), 0)
      return length === 0 ? 0 : length + (await look())
    }
    settled(await stage.receiver.release(stage.deliveries.slice(0, 1)), 1)
    assert.equal(await look(), 1, 'released')
    settled(await stage.receiver.retry(stage.deliveries.slice(1, 2), 0), 1)
    assert.equal(await look(), 1, 'retried')
    await stage.receiver.close(t.deadline())
    assert.equal(await look(), 2, 'of a closed receiver')
  })
})
