import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { fresh } from '@mq/conformance/fixtures'
import { patientBroker } from './harness.ts'
import { connections, reached, until } from './support.ts'

let broker: RunningBroker
const { connect, closeAll } = connections(() => broker.url)

beforeAll(async () => {
  broker = await startBroker('kafka', patientBroker)
}, 180_000)
afterAll(async () => {
  await closeAll()
  await broker.stop()
}, 60_000)

describe('a group that is rebalanced every second', () => {
  it('loses nothing, and repeats only what somebody left behind', async () => {
    const sender = await connect()
    const to = fresh('storm')
    await sender.createQueue({ name: to, partitions: 6 })
    const seen = new Map<string, number>()
    /** What was under way when its consumer was cut off, or lost its partition: the only cause of a second run. */
    const interrupted = new Set<string>()
    const join = async () => {
      const queue = await connect()
      const running = new Set<string>()
      queue.on('leaseLost', ({ id }: { id: string }) => interrupted.add(id))
      let handled = 0
      await queue.consume(
        to,
        async ({ id }) => {
          running.add(id)
          seen.set(id, (seen.get(id) ?? 0) + 1)
          // Longer than a turn, so that a member that leaves always has something under way.
          await new Promise((resolve) => setTimeout(resolve, 20))
          running.delete(id)
          handled++
        },
        { concurrency: 4 },
      )
      return { queue, running, handled: () => handled }
    }
    const stays = await join()
    const ids: string[] = []
    let sending = true
    const sent = (async () => {
      while (sending) {
        ids.push(
          ...(await sender.sendBatch(Array.from({ length: 50 }, (_, body) => ({ queueName: to, body })))),
        )
        await until(() => seen.size > ids.length - 200)
      }
    })()
    const rounds = 12
    let abandoned = 0
    for (let round = 0; round < rounds; round++) {
      const next = performance.now() + 1_000
      const guest = await join()
      await until(() => guest.handled() > 0)
      await reached(next)
      if (round % 3 === 2) {
        // Not allowed to finish: what runs is left behind.
        const left = guest.queue.disconnect({ timeoutMs: 0 })
        for (const id of guest.running) interrupted.add(id)
        abandoned += guest.running.size
        await left
      } else await guest.queue.disconnect()
    }
    sending = false
    await sent
    await until(() => seen.size === ids.length)
    await until(() => stays.queue.getStats().inFlight === 0)
    expect([...seen.keys()].sort()).toEqual([...ids].sort())
    const repeated = [...seen].filter(([, times]) => times > 1).map(([id]) => id)
    expect(repeated.filter((id) => !interrupted.has(id))).toEqual([])
    expect(abandoned).toBeGreaterThan(0)
  }, 180_000)
})
