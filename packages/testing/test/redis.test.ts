import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { MessageQueue } from '@mq/core'
import { redisAdapter } from '@mq/redis'
import { FaultKind, idle, record, withFaults, type FaultPlan } from '../src/index.ts'

const MESSAGES = 60
const silent = { debug() {}, info() {}, warn() {}, error() {} }
/** A lease that a broken connection leaves behind is waited for in real time. */
const config = { consumer: { sessionTimeoutMs: 3000, heartbeatIntervalMs: 500 } }

let server: RunningBroker
beforeAll(async () => {
  server = await startBroker('redis')
}, 60_000)
afterAll(() => server.stop())

const open: MessageQueue[] = []
afterEach(async () => {
  for (const queue of open.splice(0)) await queue.disconnect({ timeoutMs: 5000 })
})

/** Sends and consumes in a queue of its own until everything was handled and nothing is left. */
async function play(plan: FaultPlan, seed: number) {
  const adapter = withFaults(redisAdapter({ url: server.url }), { stallMs: 20, ...plan }, seed)
  const queue = new MessageQueue(adapter, config, { logger: silent })
  open.push(queue)
  queue.on('error', () => undefined)
  const seen = record(queue)
  await queue.connect()
  const name = `faults.${randomUUID()}`
  const runs = new Map<number, number>()
  let handled = () => {}
  const all = new Promise<void>((resolve) => (handled = resolve))
  await queue.consume<number>(name, ({ body }) => {
    runs.set(body, (runs.get(body) ?? 0) + 1)
    if (runs.size === MESSAGES) handled()
  })
  await Promise.all(Array.from({ length: MESSAGES }, (_, body) => queue.send(name, body)))
  await all
  await idle(queue, { timeoutMs: 30_000 })
  // Faults are no failures of a handler.
  expect(seen.handled.map(({ deliveryCount }) => deliveryCount)).toEqual(seen.handled.map(() => 0))
  expect(seen.deadLettered).toEqual([])
  const kinds = new Set(adapter.injected.map(({ kind }) => kind))
  return { kinds, most: Math.max(...runs.values()), injected: adapter.injected }
}

describe('faults around a real server', () => {
  it('change nothing with an empty plan', async () => {
    expect(await play({}, 1)).toMatchObject({ most: 1, injected: [] })
  }, 60_000)

  it.each(Object.values(FaultKind))(
    'of the kind %s lose nothing',
    async (kind) => {
      const { kinds, most } = await play({ [kind]: [1, 3] }, 1)
      expect(kinds).toEqual(new Set([kind]))
      const repeating: readonly FaultKind[] = [
        'loseAcknowledgement',
        'loseConfirmation',
        'deliverTwice',
        'crashAfterHandler',
      ]
      if (repeating.includes(kind)) expect(most).toBeGreaterThan(1)
    },
    60_000,
  )

  it.each([1, 2, 3])(
    'of all kinds at once lose nothing, with the seed %d',
    async (seed) => {
      const plan = Object.fromEntries(Object.values(FaultKind).map((kind) => [kind, 0.1]))
      const { kinds } = await play({ ...plan, limit: 25 }, seed)
      expect(kinds.size).toBeGreaterThan(3)
    },
    90_000,
  )
})
