import { afterEach, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import { redisAdapter } from '../src/index.ts'

const KILLS = 20
let broker: RunningBroker | undefined

afterEach(async () => {
  await broker?.stop()
  broker = undefined
}, 30_000)

/** Kills the server amid publishes, again and again; answers how many were confirmed and how many of those are gone. */
async function killAgainAndAgain(
  appendfsync: 'always' | 'everysec' | 'no',
): Promise<{ confirmed: number; lost: number }> {
  const server = await startBroker('redis', { fresh: true, appendfsync })
  broker = server
  const adapter = redisAdapter({ url: server.url })
  const confirmed = new Set<string>()
  const name = fresh()
  for (let kill = 0; kill < KILLS; kill++) {
    const events = await connected(adapter)
    const queue = await declare(adapter, name)
    let down = false
    const before = confirmed.size
    const publishers = Array.from({ length: 20 }, async () => {
      while (!down) {
        const batch = Array.from({ length: 50 }, () => outbound(queue))
        const outcomes = await adapter.publish(batch, live).catch(() => [])
        batch.forEach((m, i) => outcomes[i]?.ok === true && confirmed.add(m.id))
        if (outcomes.length === 0 || outcomes[0]?.ok === false) return
      }
    })
    await until(() => confirmed.size > before + 1_000)
    await server.kill()
    await events.gone
    down = true
    await Promise.all(publishers)
    await server.start()
  }
  await connected(adapter)
  const receiver = await adapter.open(source({ queue: name }, { prefetch: 100_000 }), () => undefined)
  const lost = new Set(confirmed)
  await until(async () => {
    const deliveries = await receiver.receive(1_000, live, 0)
    for (const d of deliveries) lost.delete(d.id)
    return deliveries.length === 0
  }, 60_000)
  await adapter.disconnect(AbortSignal.timeout(5_000))
  return { confirmed: confirmed.size, lost: lost.size }
}

describe(`${KILLS} kills of the server amid publishes`, () => {
  it('lose no confirmed message with appendfsync always', async () => {
    expect(await killAgainAndAgain('always')).toMatchObject({ lost: 0 })
  }, 180_000)

  // With `no` each write goes to the kernel before its answer; `everysec` keeps it back while a sync of the file is under way.
  it('lose none with appendfsync no either, since the kernel lives on', async () => {
    expect(await killAgainAndAgain('no')).toMatchObject({ lost: 0 })
  }, 180_000)

  it('are counted with appendfsync everysec, which a machine that dies could lose more of', async () => {
    const { confirmed, lost } = await killAgainAndAgain('everysec')
    console.log(
      `appendfsync everysec: ${lost} of ${confirmed} confirmed messages lost in ${KILLS} kills of the process`,
    )
    expect(confirmed).toBeGreaterThan(KILLS * 1_000)
  }, 180_000)
})
