import { describe, expect, it } from '@jest/globals'
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  createMemoryBroker,
  memoryAdapter,
  MessageQueue,
  type Message,
  type TraceIds,
  type Tracer,
  type TraceSpan,
} from '../src/index.ts'
import type { MessageQueueOptions } from '../src/assembly.ts'
import { until } from './engine-bench.ts'
import { recordingLogger } from './middleware/recording-logger.ts'

async function connected(enableTracing: boolean, options: MessageQueueOptions = {}): Promise<MessageQueue> {
  const queue = new MessageQueue(memoryAdapter({ broker: createMemoryBroker() }), { enableTracing }, options)
  await queue.connect()
  return queue
}

interface Span {
  readonly name: string
  readonly ids: TraceIds
  readonly parent: TraceIds | null
}

/** Keeps its spans; with `run` it knows the current one itself, as OpenTelemetry does. */
function recording(run: 'run' | 'no run', flags?: number) {
  const spans: Span[] = []
  const active = new AsyncLocalStorage<TraceIds>()
  const tracer: Tracer = {
    start(kind, destination, asked) {
      const parent = asked ?? active.getStore() ?? null
      const number = (spans.length + 1).toString(16)
      const ids: TraceIds = {
        traceId: parent?.traceId ?? number.padStart(32, '0'),
        spanId: number.padStart(16, '0'),
        ...(flags !== undefined && { traceFlags: parent?.traceFlags ?? flags }),
      }
      spans.push({ name: `${kind} ${destination}`, ids, parent })
      const span: TraceSpan = { ...ids, end: () => undefined }
      return run === 'run' ? { ...span, run: (fn) => active.run(ids, fn) } : span
    },
  }
  return { tracer, active, named: (name: string) => spans.find((span) => span.name === name) }
}

/** Sends to `a`, whose handler sends to `b`; answers what arrives there. */
async function throughTwo(queue: MessageQueue, first: object = {}): Promise<Message> {
  let arrived: Message | null = null
  await queue.consume('b', (message) => void (arrived = message))
  await queue.consume('a', async () => {
    // A turn of its own: the trace is not that of the call alone.
    await new Promise((resolve) => setImmediate(resolve))
    await queue.send('b', 2)
  })
  await queue.send('a', 1, first)
  await until(() => arrived !== null)
  return arrived as unknown as Message
}

describe('what a handler sends', () => {
  it.each(['run', 'no run'] as const)('is a child of its run: a tracer with %s', async (run) => {
    const { tracer, named } = recording(run)
    const queue = await connected(true, { tracer })
    await throughTwo(queue)
    expect(named('send b')?.parent).toMatchObject(named('process a')?.ids as TraceIds)
    expect(named('process a')?.parent).toMatchObject(named('send a')?.ids as TraceIds)
    expect(named('process b')?.ids.traceId).toBe(named('send a')?.ids.traceId)
    await queue.disconnect()
  })

  it('is in the trace of its message without a tracer', async () => {
    const queue = await connected(true)
    const traceId = 'c'.repeat(32)
    expect((await throughTwo(queue, { traceId, spanId: 'd'.repeat(16) })).traceId).toBe(traceId)
    await queue.disconnect()
  })

  it('has no trace without enableTracing', async () => {
    const queue = await connected(false)
    const traceId = 'c'.repeat(32)
    expect((await throughTwo(queue, { traceId, spanId: 'd'.repeat(16) })).traceId).toBeUndefined()
    await queue.disconnect()
  })

  it('is a child of what its message names', async () => {
    const { tracer, named } = recording('no run')
    const queue = await connected(true, { tracer })
    const named5 = { traceId: 'e'.repeat(32), spanId: 'f'.repeat(16) }
    await queue.consume('a', async () => void (await queue.send('b', 2, named5)))
    await queue.send('a', 1)
    await until(() => named('send b') !== undefined)
    expect(named('send b')?.parent).toMatchObject(named5)
    await queue.disconnect()
  })
})

describe('a handler runs inside its span', () => {
  it('and answers through it, each run through its own', async () => {
    const { tracer, active, named } = recording('run')
    const queue = await connected(true, { tracer })
    await queue.consume('a', async () => active.getStore()?.spanId)
    const reply = await queue.request('a', 1, { timeoutMs: 5000 })
    expect(reply.body).toBe(named('process a')?.ids.spanId)
    expect(active.getStore()).toBeUndefined()
    await queue.disconnect()
  })

  it.each<[string, NonNullable<TraceSpan['run']>]>([
    [
      'before it calls it',
      () => {
        throw new Error('no context')
      },
    ],
    [
      'after it has called it',
      (fn) => {
        fn()
        throw new Error('no context')
      },
    ],
    ['in that it never calls it', () => undefined as never],
  ])('once, where the tracer fails %s', async (_when, run) => {
    const { logger } = recordingLogger()
    const start = () => ({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), end: () => undefined, run })
    const queue = await connected(true, { tracer: { start }, logger })
    let runs = 0
    queue.registerFunctionHandler('a', () => ++runs)
    await queue.send('a', 1)
    expect(await queue.processMessage((await queue.receive('a')) as Message)).toBe(1)
    expect([runs, queue.getStats().messagesFailed]).toEqual([1, 0])
    await queue.disconnect()
  })
})

describe('a trace that is not recorded', () => {
  const traceparent = (flags: string) => `00-${'c'.repeat(32)}-${'d'.repeat(16)}-${flags}`

  it.each(['run', 'no run'] as const)('stays so through two queues: a tracer with %s', async (run) => {
    const { tracer, named } = recording(run, 1)
    const queue = await connected(true, { tracer })
    const last = await throughTwo(queue, { headers: { traceparent: traceparent('00') } })
    for (const name of ['send a', 'process a', 'send b', 'process b'])
      expect(named(name)?.parent?.traceFlags).toBe(0)
    expect(last.headers).toEqual({
      traceparent: `00-${'c'.repeat(32)}-${named('send b')?.ids.spanId}-00`,
    })
    await queue.disconnect()
  })

  it('by the tracer’s own choice is told to others, and one that it records after all, too', async () => {
    const sampledBy = (traceFlags: number): Tracer => ({
      start: () => ({
        traceId: 'a'.repeat(32),
        spanId: 'b'.repeat(16),
        traceFlags,
        end: () => undefined,
      }),
    })
    const off = await connected(true, { tracer: sampledBy(0) })
    await off.send('q', 1)
    expect((await off.receive('q'))?.headers['traceparent']).toBe(`00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`)
    await off.disconnect()
    const on = await connected(true, { tracer: sampledBy(1) })
    await on.send('q', 1, { headers: { traceparent: traceparent('00') } })
    expect((await on.receive('q'))?.headers['traceparent']).toBe(`00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`)
    await on.disconnect()
  })

  it('stays so without a tracer', async () => {
    const queue = await connected(true)
    const last = await throughTwo(queue, { headers: { traceparent: traceparent('00') } })
    expect(last.headers['traceparent']).toMatch(new RegExp(`^00-${'c'.repeat(32)}-(?!d{16})[0-9a-f]{16}-00$`))
    await queue.disconnect()
  })
})
