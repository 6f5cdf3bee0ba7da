import assert from 'node:assert/strict'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { later, MOST_LATE_MS, quickest, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { within } from '../schedule.ts'

/** How long a receive may take, said with its arguments or left out. */
export const receiveEdges = group('contract', (item) => {
  item(
    'receive-edges',
    'an aborted receive loses nothing, one of 0 ms looks, one without a time ends',
    async (t) => {
      const adapter = await t.connected()
      const target = { queue: t.name() }
      await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const message = outbound(target)
      await adapter.publish([message], t.deadline())
      const got = [...(await receiver.receive(10, AbortSignal.abort(), 60_000))]
      if (got.length === 0) got.push(...(await receiveAll(t, receiver, 1)))
      assert.deepEqual(
        got.map(({ id }) => id),
        [message.id],
      )
      await receiver.ack(got)
      const nothingWithin = (waitMs: number) => async () =>
        assert.deepEqual([...(await receiver.receive(10, t.deadline(), waitMs))], [])
      // The broker may be far away.
      const call = await quickest(t, 1, () => adapter.size(target))
      const look = await quickest(t, 900 + call, nothingWithin(0))
      assert.ok(look < 900 + call, `a look took ${look} ms`)
      const most = 2000 + MOST_LATE_MS + call
      const waited = await quickest(t, most, nothingWithin(2000))
      assert.ok(waited < most, `it waited for ${waited} ms, not 2000`)
      const startedAt = t.now()
      const waiting = later(receiver.receive(10, t.deadline(t.patienceMs * 2)))
      const late = () => 'it waited on, without a time'
      assert.deepEqual([...(await within(t.clock, waiting, t.patienceMs, late))], [])
      assert.ok(t.now() - startedAt >= 950, `it waited for ${t.now() - startedAt} ms`)
    },
  )
})
