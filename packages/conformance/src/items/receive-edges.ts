import assert from 'node:assert/strict'
import type { Delivery, Receiver } from '@mq/core/adapter'
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

  for (const mode of ['consume', 'pull'] as const) {
    item(`receive-ended-${mode}`, `a receive (${mode}) that has ended takes nothing any more`, async (t) => {
      const [adapter, elsewhere] = [await t.connected(), await t.connected()]
      const target = { queue: t.name() }
      await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const open = (by = adapter) => by.open(source(target, { mode, prefetch: 1 }), () => undefined)
      const ends = {
        aborted: (_: Receiver, controller: AbortController) => controller.abort(),
        async closed(receiver: Receiver, controller: AbortController) {
          await receiver.close(t.deadline())
          controller.abort()
        },
      }
      for (const [what, end] of Object.entries(ends)) {
        const receiver = await open()
        const controller = new AbortController()
        const waiting = Promise.allSettled([receiver.receive(1, controller.signal, t.patienceMs * 4)])
        await t.quiet(50)
        await end(receiver, controller)
        await within(t.clock, waiting, t.patienceMs, () => `a receive was ${what}, and waits on`)
        const message = outbound(target)
        await adapter.publish([message], t.deadline())
        // It may have been fetched ahead by the one that is open still.
        const takers = what === 'closed' ? [await open(elsewhere)] : [receiver, await open(elsewhere)]
        const got: Delivery[] = []
        await t.until(async () => {
          for (const taker of takers) got.push(...(await taker.receive(1, t.deadline(), 100)))
          return got.length > 0
        }, `what came after a receive was ${what}`)
        assert.deepEqual(
          got.map(({ id }) => id),
          [message.id],
        )
        for (const taker of takers) await taker.close(t.deadline())
        const last = await open()
        await last.ack(await receiveAll(t, last, 1))
        await last.close(t.deadline())
      }
    })
  }
})
