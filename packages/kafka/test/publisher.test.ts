import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import type { BrokerAdapter } from '@mq/core/adapter'
import { kafkaAdapter } from '@mq/kafka'
import { connect as connectTo } from '../src/connection.ts'
import { markUnsent, neverSent } from '../src/errors.ts'
import { encodeBatch } from '../src/log/batch-writer.ts'
import { produceRequest } from '../src/log/protocol.ts'
import { parseOptions } from '../src/options.ts'
import { testOptions } from './harness.ts'
import { declaration, fresh, live } from './support.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []

beforeAll(async () => {
  broker = await startBroker('kafka')
}, 180_000)
afterEach(() => Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(1_000)))))
afterAll(() => broker.stop())

async function connect(): Promise<BrokerAdapter> {
  const adapter = kafkaAdapter(testOptions(broker.url))
  open.push(adapter)
  await adapter.connect({ lost: () => undefined, blocked: () => undefined }, AbortSignal.timeout(10_000))
  return adapter
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
