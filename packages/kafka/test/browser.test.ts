import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Delivery } from '@mq/core/adapter'
import { counting } from './requests.ts'
import { declaration, onServer } from './support.ts'

const { connect } = onServer()

const browse = (adapter: BrokerAdapter, queue: string, after: string | undefined) =>
  adapter.open({ ...source({ queue }), mode: 'browse', after }, () => undefined)

async function filled(adapter: BrokerAdapter, count: number, bytes: number): Promise<string> {
  const queue = `${fresh()}.dlq`
  await adapter.declare({ queue }, declaration)
  for (let n = 0; n < count; n++)
    await adapter.publish([outbound({ queue }, { body: Buffer.alloc(bytes, n), timestamp: 1_000 + n })], live)
  return queue
}

describe('pages of a list', () => {
  it('that are opened one after the other, and removed, read the log about once', async () => {
    const clientId = fresh('lister')
    const adapter = await connect({ clientId })
    const queue = await filled(adapter, 24, 200_000)
    // Its five chunks once for their places; and per page its bodies, and what the removal before it added.
    const most = 5 + 12 * (2 + 1) + 12
    const fetches = counting(clientId, 'Fetch')
    const seen: Delivery[] = []
    for (let page = 0; page < 12; page++) {
      const receiver = await browse(adapter, queue, seen.at(-1)?.position)
      const got = await receiver.receive(2, live)
      seen.push(...got)
      expect(await receiver.ack(got)).toEqual(['settled', 'settled'])
      expect(await receiver.ack(got.slice(0, 1))).toEqual(['lost'])
      await receiver.close(live)
    }
    fetches.end()
    expect(seen.map(({ body }) => body[0])).toEqual(seen.map((_, n) => n))
    expect(seen.length).toBe(24)
    expect(fetches.count()).toBeLessThanOrEqual(most)
    expect(await adapter.size({ queue })).toBe(0)
  }, 60_000)

  it('show what came meanwhile, nothing that was removed elsewhere, and no topic that was there before', async () => {
    const [adapter, other] = [await connect(), await connect()]
    const queue = await filled(adapter, 3, 10)
    const numbers = async (by: BrokerAdapter) => {
      const receiver = await browse(by, queue, undefined)
      const got = await receiver.receive(100, live)
      await receiver.close(live)
      return got.map(({ body }) => body[0])
    }
    expect(await numbers(adapter)).toEqual([0, 1, 2])
    const remover = await browse(other, queue, undefined)
    await remover.ack((await remover.receive(2, live)).slice(1))
    await adapter.publish([outbound({ queue }, { body: Buffer.from([9]) })], live)
    expect(await numbers(adapter)).toEqual([0, 2, 9])
    await adapter.remove({ queue })
    await adapter.declare({ queue }, declaration)
    await adapter.publish([outbound({ queue }, { body: Buffer.from([7]) })], live)
    expect(await numbers(adapter)).toEqual([7])
  }, 60_000)
})

describe('what is shown of a topic that is made anew', () => {
  it('takes nothing out of the new one', async () => {
    const [adapter, other] = [await connect(), await connect()]
    const queue = await filled(adapter, 2, 10)
    const receiver = await browse(adapter, queue, undefined)
    const [first] = await receiver.receive(1, live)
    await other.remove({ queue })
    await other.declare({ queue }, declaration)
    await other.publish([outbound({ queue }), outbound({ queue })], live)
    expect(await receiver.ack([first as Delivery])).toEqual(['lost'])
    expect(await other.size({ queue })).toBe(2)
  })
})

describe('a list of what is purged meanwhile', () => {
  it('ends', async () => {
    const adapter = await connect()
    const queue = await filled(adapter, 3, 700_000)
    const receiver = await browse(adapter, queue, undefined)
    expect((await receiver.receive(1, live)).map(({ body }) => body[0])).toEqual([0])
    expect(await adapter.purge({ queue })).toBe(3)
    expect(await receiver.receive(1, live)).toEqual([])
  })
})
