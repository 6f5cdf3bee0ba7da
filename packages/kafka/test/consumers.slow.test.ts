import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { live, outbound } from '@mq/conformance/fixtures'
import { RejectError } from '@mq/core'
import { adapters, connections, consuming, declaration, take } from './support.ts'
import { patientBroker, SESSION_MS } from './harness.ts'

let broker: RunningBroker
const children: ChildProcess[] = []
const { connect, closeAll } = connections(() => broker.url)
const { connect: connectAdapter, closeAll: closeAdapters } = adapters(() => broker.url)

beforeAll(async () => {
  broker = await startBroker('kafka', patientBroker)
}, 180_000)
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await closeAll()
  await closeAdapters()
})
afterAll(() => broker.stop())

const name = (hint: string) => `${hint}-${Math.random().toString(36).slice(2)}`
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** A process that consumes, says what it handles, and keeps its handlers from ending. */
function hanging(queue: string): { child: ChildProcess; lines: string[] } {
  const program = fileURLToPath(new URL('programs/hanging-consumer.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    ['--conditions=@mq/source', '--import', 'tsx', program, broker.url, queue],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } },
  )
  children.push(child)
  const lines: string[] = []
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => lines.push(line))
  return { child, lines }
}

describe('consumers', () => {
  it('one that is killed in the middle of a handler loses nothing, and what it held comes again, uncounted', async () => {
    const queue = await connect()
    const to = name('killed')
    await queue.createQueue({ name: to, partitions: 2 })
    const sent = await queue.sendBatch(Array.from({ length: 20 }, (_, body) => ({ queueName: to, body })))
    const { child, lines } = hanging(to)
    await until(() => lines.length >= 3)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const seen: { id: string; deliveryCount: number }[] = []
    await queue.consume(to, ({ id, deliveryCount }) => void seen.push({ id, deliveryCount }))
    await until(() => seen.length >= 20)
    expect(seen.map(({ id }) => id).sort()).toEqual([...sent].sort())
    expect(seen.every(({ deliveryCount }) => deliveryCount === 0)).toBe(true)
  }, 90_000)

  it('one whose handlers outlast the session keeps its messages while others come, each handled once', async () => {
    const [slow, other] = [await connect(), await connect()]
    const to = name('slow')
    await slow.createQueue({ name: to, partitions: 2 })
    const seen: unknown[] = []
    const lost: string[] = []
    slow.on('leaseLost', ({ id }: { id: string }) => lost.push(id))
    let leave = (): void => undefined
    const door = new Promise<void>((resolve) => (leave = resolve))
    const handle = async ({ body }: { body: unknown }): Promise<void> => {
      seen.push(body)
      await door
    }
    await slow.sendBatch([1, 2, 3, 4].map((body) => ({ queueName: to, body })))
    await slow.consume(to, handle, { concurrency: 2, prefetch: 4 })
    await until(() => seen.length === 2)
    const since = performance.now()
    await other.consume(to, ({ body }) => void seen.push(body))
    await until(() => performance.now() - since > 2 * SESSION_MS)
    leave()
    await until(() => seen.length >= 4)
    await until(() => slow.getStats().inFlight + other.getStats().inFlight === 0)
    expect([...seen].sort()).toEqual([1, 2, 3, 4])
    expect(lost).toEqual([])
  }, 90_000)

  it('what is ready behind a message that somebody holds comes to whoever asks', async () => {
    const [holder, asker] = [await connect(), await connect()]
    const to = name('behind')
    await holder.createQueue({ name: to, partitions: 1 })
    await holder.sendBatch(['first', 'second'].map((body) => ({ queueName: to, body })))
    const first = await holder.receive(to, { timeoutMs: 20_000 })
    const second = await asker.receive(to, { timeoutMs: 20_000 })
    expect([first?.body, second?.body]).toEqual(['first', 'second'])
    if (first !== null) await holder.acknowledge(first)
    if (second !== null) await asker.acknowledge(second)
    expect(await asker.receive(to)).toBeNull()
  }, 60_000)

  it('one of a dead-letter queue gets more letters than are read at once, and so does a look at it', async () => {
    const queue = await connect()
    const to = name('large')
    await queue.createQueue({ name: to, partitions: 1 })
    const sent = [0, 1, 2, 3, 4].map((n) => ({ n, text: 'x'.repeat(900_000) }))
    for (const body of sent) await queue.send(to, body)
    const failing = await queue.consume(to, () => Promise.reject(new RejectError('no')))
    await until(() => queue.getStats().messagesDeadLettered === sent.length)
    await failing.stop()
    const first = await queue.receive(`${to}.dlq`)
    const seen = new Set([(first?.body as (typeof sent)[0]).n])
    if (first !== null) await queue.acknowledge(first)
    await queue.consume(`${to}.dlq`, ({ body }) => void seen.add((body as (typeof sent)[0]).n))
    await until(() => seen.size === sent.length)
  }, 60_000)

  it('a process that stood still for longer than its session goes on, whatever is ready', async () => {
    const topic = name('still')
    const target = { topic, subscription: 's' }
    const adapter = await connectAdapter()
    await adapter.declare({ topic }, declaration)
    await adapter.declare(target, { ...declaration, pattern: 'a.*' })
    const receiver = await consuming(adapter, target)
    const keys = ['a.1', 'b.1', 'b.2', 'a.2']
    await adapter.publish(
      keys.map((routingKey) => outbound({ topic }, { routingKey })),
      live,
    )
    const [first] = await take(receiver, 1)
    expect(first?.routingKey).toBe('a.1')
    // All were read at once: three are ready, and nobody heard of this process for a session.
    const until = performance.now() + SESSION_MS + 500
    while (performance.now() < until);
    const [again] = await receiver.receive(1, live, 0)
    expect(again?.routingKey).toMatch(/^a/)
  }, 60_000)
})
