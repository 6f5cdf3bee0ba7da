import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import Connection from 'kafkajs/src/network/connection.js'
import { connect as connectTo } from '../src/connection.ts'
import { markUnsent, neverSent } from '../src/errors.ts'
import { encodeBatch } from '../src/log/batch-writer.ts'
import { produceRequest } from '../src/log/protocol.ts'
import { parseOptions } from '../src/options.ts'
import { testOptions } from './harness.ts'
import { adapters, declaration, fresh, live, message } from './support.ts'

let broker: RunningBroker
const { connect, closeAll } = adapters(() => broker.url)

beforeAll(async () => {
  broker = await startBroker('kafka')
}, 180_000)
afterEach(closeAll)
afterAll(() => broker.stop())

/** The next produce request of this client is refused as by a broker that leads no more. */
function refuseOnce(clientId: string): void {
  const { prototype } = Connection as {
    prototype: { clientId: string; send(protocol: { request: { apiKey: number } }): Promise<unknown> }
  }
  const send = prototype.send
  prototype.send = function (protocol) {
    if (this.clientId !== clientId || protocol.request.apiKey !== 0) return send.call(this, protocol)
    prototype.send = send
    return Promise.reject(Object.assign(new Error('no leader'), { type: 'NOT_LEADER_FOR_PARTITION' }))
  }
}

describe('what was written', () => {
  it('is never called unsent, whatever ended the connection', async () => {
    const queue = fresh()
    await (await connect()).declare({ queue }, declaration)
    for (const cause of [undefined, new Error('lost'), markUnsent(new Error('no way to any broker'))]) {
      const over = await connectTo(
        parseOptions(testOptions(broker.url)),
        { lost: () => undefined, blocked: () => undefined },
        live,
      )
      const link = await over.link((await over.topic(queue))?.leaders[0] ?? -1, 'main')
      const record = { timestamp: Date.now(), key: null, value: Buffer.from('x'), headers: [] }
      const batch = encodeBatch([record], 'none')
      const answer = link
        .custom(produceRequest([{ topic: queue, partition: 0, batch }], -1, 5_000))
        .catch((error: unknown) => neverSent(error))
      // Written within this turn of the loop: the answer cannot have come.
      for (let i = 0; i < 50 && link.pending === 0; i++) await Promise.resolve()
      expect(link.pending).toBe(1)
      over.close(cause)
      expect(await answer).toBe(false)
    }
  })
})

describe('a call of more than one request', () => {
  it('stores nothing of a key behind what was refused', async () => {
    const queue = fresh()
    const adapter = await connect({ clientId: queue })
    await adapter.declare({ queue }, declaration)
    const batch = [1, 2, 3].map(() => message({ queue }, { key: 'k', body: Buffer.alloc(400_000) }))
    refuseOnce(queue)
    const outcomes = await adapter.publish(batch, live)
    expect(outcomes.map((outcome) => outcome.ok || outcome.certainty)).toEqual(batch.map(() => 'not-stored'))
    expect(await adapter.size({ queue })).toBe(0)
    expect((await adapter.publish(batch, live)).every(({ ok }) => ok)).toBe(true)
  })

  it('stores what follows a message that is refused for good', async () => {
    const queue = fresh()
    const adapter = await connect({ maxBodyBytes: 4_000_000 })
    await adapter.declare({ queue }, declaration)
    const batch = [2_000_000, 10, 10].map((size) =>
      message({ queue }, { key: 'k', body: Buffer.alloc(size) }),
    )
    const outcomes = await adapter.publish(batch, live)
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, true, true])
  })
})
