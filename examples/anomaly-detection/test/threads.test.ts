import { afterEach, expect, it } from '@jest/globals'
import { MessageQueueFactory, type MessageQueue } from '@mq/core'
import { threadId } from 'node:worker_threads'
import { runPipeline } from '../src/pipeline.ts'
import { loadReadings } from '../src/readings.ts'

const readings = loadReadings().slice(0, 300)
const plan = { corrupted: new Map(), transient: new Map() }
const connected: MessageQueue[] = []
afterEach(async () => {
  for (const queue of connected.splice(0)) await queue.disconnect()
})

async function threadsOf(workerPoolSize: number): Promise<readonly number[]> {
  const queue = MessageQueueFactory.createQueue({ broker: 'memory', workerPoolSize })
  connected.push(queue)
  await queue.connect()
  const { signal } = new AbortController()
  const { judged, threads } = await runPipeline(queue, {
    readings,
    plan,
    signal,
    onProgress: () => undefined,
  })
  expect(judged).toBe(readings.length)
  return [...threads]
}

it('judges on as many worker threads as the pool has, and none on its own', async () => {
  const one = await threadsOf(1)
  const three = await threadsOf(3)
  expect(one).toHaveLength(1)
  expect(three.length).toBeGreaterThan(1)
  expect(three.length).toBeLessThanOrEqual(3)
  for (const thread of [...one, ...three]) expect([0, threadId]).not.toContain(thread)
}, 120_000)
