import { describe, expect, it } from '@jest/globals'
import { MessageQueue } from '@mq/core'
import {
  FaultKind,
  quietMemory,
  seedRandom,
  virtualClock,
  withFaults,
  type FaultPlan,
  type Injected,
} from '../src/index.ts'

const plan: FaultPlan = Object.fromEntries(Object.values(FaultKind).map((kind) => [kind, 0.05]))
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const MESSAGES = 50

/** Two queues, retries and several handlers at once: what ran when, and what went wrong. */
async function play(seed: number): Promise<{ log: string[]; injected: readonly Injected[] }> {
  const restore = seedRandom(seed)
  const clock = virtualClock()
  const adapter = withFaults(quietMemory(clock), plan, seed, clock)
  const queue = new MessageQueue(adapter, {}, { clock, logger: silent })
  try {
    await queue.connect()
    const start = clock.now()
    const log: string[] = []
    const failed = new Set<number>()
    const done = new Set<number>()
    const first = async ({ body }: { body: number }) => {
      log.push(`first ${body} at ${clock.now() - start}`)
      if (body % 5 === 0 && !failed.has(body)) {
        failed.add(body)
        throw new Error('the first attempt fails')
      }
      await queue.send('second', body)
    }
    await queue.consume<number>('first', first, { concurrency: 4 })
    await queue.consume<number>('second', ({ body }) => {
      log.push(`second ${body} at ${clock.now() - start}`)
      done.add(body)
    })
    for (let i = 0; i < MESSAGES; i++) void queue.send('first', i).catch((error) => log.push(String(error)))
    await clock.advanceUntil(() => done.size === MESSAGES)
    return { log, injected: [...adapter.injected] }
  } finally {
    const left = queue.disconnect()
    await clock.advance(60_000)
    await left
    restore()
  }
}

describe('a seed', () => {
  it('replays a run of consumers with retries and faults to the millisecond', async () => {
    const runs = new Set<string>()
    for (let seed = 1; seed <= 20; seed++) {
      const run = await play(seed)
      expect(run.injected.length).toBeGreaterThan(3)
      expect(await play(seed)).toEqual(run)
      runs.add(JSON.stringify(run))
    }
    expect(runs.size).toBe(20)
    // Forty runs, which a machine busy with other things takes a while for.
  }, 120_000)
})
