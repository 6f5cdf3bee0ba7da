import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import type { Delivery, PublishOutcome } from '@mq/core/adapter'
import { consuming, declaration, onServer, until } from '../support.ts'

const { connect } = onServer()

const HOUR_MS = 3_600_000
const all = (outcomes: readonly PublishOutcome[]) => outcomes.every(({ ok }) => ok)

describe('more delayed bytes than there is room for', () => {
  it('hold up neither what is due before them nor a look, and come in time, each once', async () => {
    const adapter = await connect({ delayedBytes: 16_384, fetchPartitionBytes: 4_096 })
    const target = { queue: fresh('delayed') }
    await adapter.declare(target, declaration)
    const receiver = await consuming(adapter, target)
    expect(await receiver.receive(1, live, 0)).toEqual([])
    const body = (n: number) => Buffer.from(`${n} `.padEnd(1_000, 'x'))
    const late = Array.from({ length: 40 }, (_, n) =>
      outbound(target, { delayMs: HOUR_MS - n, body: body(n) }),
    )
    const soon = Array.from({ length: 40 }, (_, n) => outbound(target, { delayMs: 5_000, body: body(n) }))
    for (const each of [...late, ...soon]) expect(all(await adapter.publish([each], live))).toBe(true)
    const got: Delivery[] = []
    await until(async () => {
      const some = await receiver.receive(9, live)
      got.push(...some)
      await receiver.ack(some)
      return got.length >= soon.length
    })
    expect(got.map(({ id }) => id).sort()).toEqual(soon.map(({ id }) => id).sort())
    for (const { id, body: bytes } of got)
      expect(Buffer.from(bytes)).toEqual(soon.find((each) => each.id === id)?.body)
    expect(await receiver.receive(1, live, 0)).toEqual([])
  }, 60_000)

  it('do not hang a look where not even their places have room', async () => {
    const adapter = await connect({ delayedBytes: 1_024, fetchPartitionBytes: 1_024 })
    const target = { queue: fresh('delayed') }
    await adapter.declare(target, declaration)
    for (let n = 0; n < 20; n++)
      await adapter.publish([outbound(target, { delayMs: HOUR_MS, body: Buffer.alloc(500) })], live)
    const receiver = await consuming(adapter, target)
    const patience = AbortSignal.timeout(30_000)
    expect(await receiver.receive(1, patience, 0)).toEqual([])
    expect(patience.aborted).toBe(false)
  }, 60_000)
})
