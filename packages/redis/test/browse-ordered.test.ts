import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Delivery, OutboundMessage, Receiver } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker
let adapter: BrokerAdapter

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
  adapter = redisAdapter({ url: broker.url })
  await connected(adapter)
}, 60_000)

afterAll(async () => {
  await adapter.disconnect(AbortSignal.timeout(5_000))
  await broker.stop()
}, 30_000)

const ids = (list: readonly { id: string }[]): string[] => list.map((d) => d.id)

/** An ordered queue with messages of these keys. */
async function filled(
  keys: readonly string[],
  fields: Partial<OutboundMessage> = {},
  limits: Parameters<typeof declare>[2] = {},
): Promise<{ queue: { queue: string }; sent: OutboundMessage[] }> {
  const queue = await declare(adapter, fresh(), { ordered: true, ...limits })
  const sent = keys.map((key) => outbound(queue, { key, ...fields }))
  await adapter.publish(sent, live)
  return { queue, sent }
}

function open(queue: string, mode: 'browse' | 'pull', after?: string): Promise<Receiver> {
  return adapter.open(source({ queue }, { mode, ordered: true, after }), () => undefined)
}

async function all(browsing: Receiver, page = 100): Promise<Delivery[]> {
  const shown: Delivery[] = []
  for (;;) {
    const got = await browsing.receive(page, live, 0)
    if (got.length === 0) return shown
    shown.push(...got)
  }
}

async function drain(queue: string): Promise<string[]> {
  const receiver = await open(queue, 'pull')
  const out: string[] = []
  for (;;) {
    const got = await receiver.receive(1, live, 0)
    if (got.length === 0) return out
    out.push(...ids(got))
    expect(await receiver.ack(got)).toEqual(['settled'])
  }
}

describe('a browse of an ordered queue', () => {
  it('shows first what may be received, then what waits behind each key, by pages of any size', async () => {
    const { queue, sent } = await filled(['b', 'a', 'b', 'ü:1', 'a', 'b', 'ü:1'])
    const order = [0, 1, 3, 4, 2, 5, 6].map((i) => sent[i]?.id)
    for (const page of [1, 2, 3, 100]) {
      expect(ids(await all(await open(queue.queue, 'browse'), page))).toEqual(order)
    }
    const shown = await all(await open(queue.queue, 'browse'))
    for (const [i, { position }] of shown.entries()) {
      expect(ids(await all(await open(queue.queue, 'browse', position), 2))).toEqual(order.slice(i + 1))
    }
  })

  it('removes what waits behind its key, whatever went before it meanwhile', async () => {
    const { queue, sent } = await filled(['a', 'a', 'a', 'a', 'a'])
    const browsing = await open(queue.queue, 'browse')
    const shown = await all(browsing)
    // The first two go: the third stands for the key, and what is behind it moves up.
    const receiver = await open(queue.queue, 'pull')
    for (const expected of sent.slice(0, 2)) {
      const got = await receiver.receive(1, live)
      expect(ids(got)).toEqual([expected.id])
      expect(await receiver.ack(got)).toEqual(['settled'])
    }
    const of = (i: number): Delivery => shown.find(({ id }) => id === sent[i]?.id) as Delivery
    expect(await browsing.ack([of(0), of(1), of(2), of(4), of(4)])).toEqual([
      'lost',
      'lost',
      'settled',
      'settled',
      'lost',
    ])
    expect(await adapter.size(queue)).toBe(1)
    expect(await drain(queue.queue)).toEqual([sent[3]?.id])
  })

  it('does not remove what somebody has leased since', async () => {
    const { queue, sent } = await filled(['a', 'a'])
    const browsing = await open(queue.queue, 'browse')
    const shown = await all(browsing)
    const receiver = await open(queue.queue, 'pull')
    expect(await receiver.ack(await receiver.receive(1, live))).toEqual(['settled'])
    const held = await receiver.receive(1, live)
    expect(ids(held)).toEqual([sent[1]?.id])
    expect(await browsing.ack(shown.slice(1))).toEqual(['lost'])
    expect(await receiver.ack(held)).toEqual(['settled'])
  })

  it('gives the room of what it removes free', async () => {
    const body = Buffer.alloc(40)
    const { queue, sent } = await filled(['a', 'a'], { body }, { maxLength: 2, maxLengthBytes: 80 })
    const more = () => adapter.publish([outbound(queue, { key: 'a', body })], live)
    expect((await more())[0]?.ok).toBe(false)
    const browsing = await open(queue.queue, 'browse')
    expect(await browsing.ack((await all(browsing)).slice(1))).toEqual(['settled'])
    expect((await more())[0]?.ok).toBe(true)
    expect((await more())[0]?.ok).toBe(false)
    expect((await drain(queue.queue))[0]).toBe(sent[0]?.id)
  })

  it('shows nothing that expired behind its key', async () => {
    const { queue, sent } = await filled(['a'])
    const late = [outbound(queue, { key: 'a', expiresAt: Date.now() + 50 }), outbound(queue, { key: 'a' })]
    await adapter.publish(late, live)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(ids(await all(await open(queue.queue, 'browse'), 1))).toEqual([sent[0]?.id, late[1]?.id])
  })

  it('refuses a cursor that it did not answer', async () => {
    const { queue } = await filled(['a'])
    await expect(open(queue.queue, 'browse', 'k:a:1')).rejects.toMatchObject({ code: 'MQ_VALIDATION' })
  })
})
