import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connected, declare, fresh, live, outbound, plainSettings, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { makeHarness } from './harness.ts'
import { take } from './take.ts'

let made: Awaited<ReturnType<typeof makeHarness>>
let adapter: BrokerAdapter

beforeAll(async () => {
  made = await makeHarness('rabbitmq-4', { debian: 'trixie' })
  adapter = made.harness.createAdapter()
  await connected(adapter)
}, 120_000)
afterAll(async () => {
  await adapter.disconnect(AbortSignal.timeout(2_000))
  await made.stop()
}, 60_000)

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('what waits for its time where queues prefer some messages', () => {
  it.each(['a queue', 'a topic', 'a queue that refuses when it is full'])(
    '(%s) comes when it is due, although a later one is preferred',
    async (to) => {
      const topic = fresh('topic')
      const target = to === 'a topic' ? { topic, subscription: 's' } : { queue: fresh() }
      const settings = { ...plainSettings, maxPriority: 9, ...(to.includes('full') && { maxLength: 99 }) }
      if ('topic' in target) await adapter.declare(target, { settings, pattern: '#', ifExists: 'take' })
      else await declare(adapter, target.queue, settings)
      const delayed = (priority: number) =>
        outbound('topic' in target ? { topic } : target, { priority, delayMs: 8_000 })
      const [first, second] = [delayed(0), delayed(9)]
      expect(await adapter.publish([first], live)).toEqual([{ ok: true }])
      await pause(5_000)
      expect(await adapter.publish([second], live)).toEqual([{ ok: true }])
      const receiver = await adapter.open(source(target), () => undefined)
      expect((await take(receiver, 2)).map(({ id }) => id)).toEqual([first.id, second.id])
      await receiver.close(live)
    },
    60_000,
  )
})
