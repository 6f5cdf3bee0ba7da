import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { fresh } from '@mq/conformance/fixtures'
import { MessageQueue } from '@mq/core'
import { kafkaAdapter } from '@mq/kafka'
import { testOptions } from './harness.ts'
import { reached, until } from './support.ts'

/** Longer than closing takes where there is no more time. */
const AWAY_MS = 7_000

let broker: RunningBroker
beforeAll(async () => {
  broker = await startBroker('kafka', { fresh: true })
}, 180_000)
afterAll(() => broker.stop())

async function connect(): Promise<MessageQueue> {
  // What is settled is told as it stops, and no sooner.
  const options = { commitIntervalMs: 60_000, sessionTimeoutMs: 60_000, lostAfterMs: 60_000 }
  const queue = new MessageQueue(kafkaAdapter(testOptions(broker.url, options)))
  await queue.connect()
  return queue
}

async function comesAgain(name: string): Promise<unknown[]> {
  const queue = await connect()
  const seen: unknown[] = []
  await queue.send(name, 'last')
  for (;;) {
    const message = await queue.receive(name, { timeoutMs: 20_000 })
    if (message === null) throw new Error('what was sent last did not come')
    await queue.acknowledge(message)
    if (message.body === 'last') break
    seen.push(message.body)
  }
  await queue.disconnect()
  return seen
}

/** While the broker says nothing for a while. */
async function stopped(queue: MessageQueue): Promise<void> {
  broker.freeze()
  const stopping = queue.disconnect()
  await reached(performance.now() + AWAY_MS)
  broker.thaw()
  await stopping
}

describe('a stop while the coordinator is away', () => {
  it('tells what was handled when that is back, if the time to stop is long enough', async () => {
    const name = fresh()
    const queue = await connect()
    await queue.createQueue({ name, partitions: 1 })
    let handled = 0
    await queue.consume(name, () => void handled++)
    for (const body of [1, 2, 3]) await queue.send(name, body)
    await until(() => handled === 3)
    await stopped(queue)
    expect(await comesAgain(name)).toEqual([])
  }, 90_000)

  it('tells what was received and acknowledged, too', async () => {
    const name = fresh()
    const queue = await connect()
    await queue.createQueue({ name, partitions: 1 })
    for (const body of [1, 2, 3]) {
      await queue.send(name, body)
      const message = await queue.receive(name, { timeoutMs: 20_000 })
      if (message !== null) await queue.acknowledge(message)
    }
    await stopped(queue)
    expect(await comesAgain(name)).toEqual([])
  }, 90_000)
})
