import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connected, declare, fresh, live, outbound, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { makeHarness } from './harness.ts'

let made: Awaited<ReturnType<typeof makeHarness>>
const open: BrokerAdapter[] = []

beforeAll(async () => {
  made = await makeHarness('rabbitmq')
}, 120_000)
afterAll(async () => {
  await Promise.all(open.map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
  await made.stop()
}, 60_000)

async function adapterOf(): Promise<BrokerAdapter> {
  const adapter = made.harness.createAdapter()
  open.push(adapter)
  await connected(adapter)
  return adapter
}

describe('a server that starts again', () => {
  it('moves what is due once somebody consumes, although more is due for a queue that is gone than it keeps', async () => {
    const before = await adapterOf()
    const [gone, kept] = [await declare(before, fresh()), await declare(before, fresh())]
    const delayed = (queue: string, n: number) =>
      before.publish(
        Array.from({ length: n }, () => outbound({ queue }, { delayMs: 4_900 })),
        live,
      )
    await delayed(gone.queue, 40)
    expect(await delayed(kept.queue, 1)).toEqual([{ ok: true }])
    await before.remove(gone)
    await made.harness.faults?.restartBroker?.()
    const after = await adapterOf()
    await declare(after, kept.queue)
    await until(async () => (await after.size(kept)) === 1, 60_000)
  }, 180_000)
})
