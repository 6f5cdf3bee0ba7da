import { describe, expect, it } from '@jest/globals'
import {
  createMemoryBroker,
  memoryAdapter,
  Message,
  MessageQueue,
  MessageQueueFactory,
  type Tracer,
} from '../src/index.ts'
import type { MessageQueueOptions } from '../src/assembly.ts'
import { until } from './engine-bench.ts'
import { recordingLogger } from './middleware/recording-logger.ts'

/** A connected queue with tracing. */
async function tracing(options: MessageQueueOptions): Promise<MessageQueue> {
  const queue = new MessageQueue(
    memoryAdapter({ broker: createMemoryBroker() }),
    { enableTracing: true },
    options,
  )
  await queue.connect()
  return queue
}

describe('a tracer that throws', () => {
  it.each<[string, Tracer['start']]>([
    [
      'when a span starts',
      () => {
        throw new Error('exporter down')
      },
    ],
    [
      'when a span ends',
      () => ({
        traceId: 'a'.repeat(32),
        spanId: 'b'.repeat(16),
        end: () => {
          throw new Error('exporter down')
        },
      }),
    ],
  ])('%s changes nothing, and is logged', async (_name, start) => {
    const { logger, lines } = recordingLogger()
    const queue = await tracing({ tracer: { start }, logger })
    await queue.send('q', 1)
    let runs = 0
    await queue.consume('q', () => void runs++)
    await queue.send('q', 2)
    await until(() => runs === 2)
    await queue.disconnect()
    expect([runs, queue.getStats().messagesFailed]).toEqual([2, 0])
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(4)
  })
})

it('a tracer that answers a promise of its own leaves nobody without what the handler throws', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', note)
  try {
    const run = async (fn: () => unknown) => {
      const result = await fn()
      return result
    }
    const start = () => ({
      traceId: 'a'.repeat(32),
      spanId: 'b'.repeat(16),
      end: () => undefined,
      run: run as never,
    })
    const queue = await tracing({ tracer: { start }, logger: recordingLogger().logger })
    let runs = 0
    await queue.consume(
      'q',
      async () => {
        runs++
        throw new Error('no')
      },
      { retry: { maxRetries: 0 } },
    )
    await queue.send('q', 1)
    await until(() => queue.getStats().messagesDeadLettered === 1)
    await queue.disconnect()
    expect([runs, unhandled]).toEqual([1, []])
  } finally {
    process.off('unhandledRejection', note)
  }
})

interface Span {
  readonly kind: string
  readonly span: string
  readonly parent: string | null
  ends: unknown[]
}

/** A tracer that keeps its spans; they are named by their number. */
function recordingTracer() {
  const spans: Span[] = []
  const tracer: Tracer = {
    start(kind, _destination, parent) {
      const span = String(spans.length + 1).padStart(16, '0')
      const ends: unknown[] = []
      spans.push({ kind, span, parent: parent?.spanId ?? null, ends })
      return {
        traceId: parent?.traceId ?? 'a'.repeat(32),
        spanId: span,
        end: (error) => void ends.push(error),
      }
    },
  }
  const of = (kind: string) => spans.filter((span) => span.kind === kind)
  return {
    tracer,
    spans,
    of,
    ended: (count: number) => of('process').filter(({ ends }) => ends.length === 1).length === count,
  }
}

describe('the span of a run is the child of its send', () => {
  it('for each message of a batch', async () => {
    const { tracer, of, ended } = recordingTracer()
    const queue = await tracing({ tracer })
    const failure = new Error('no')
    await queue.consume(
      'q',
      async (messages: Message[]) => messages.map(({ body }) => (body === 1 ? failure : 0)),
      {
        batch: { size: 2, waitMs: 5 },
        retry: { maxRetries: 0 },
      },
    )
    await Promise.all([queue.send('q', 1), queue.send('q', 2)])
    await until(() => ended(2))
    expect(of('process').map(({ parent }) => parent)).toEqual(of('send').map(({ span }) => span))
    expect(of('process').map(({ ends }) => ends)).toEqual([[failure], [undefined]])
    await queue.disconnect()
  })

  it('for processMessage', async () => {
    const { tracer, of, ended } = recordingTracer()
    const queue = await tracing({ tracer })
    queue.registerFunctionHandler('q', () => 7)
    await queue.send('q', 1)
    expect(await queue.processMessage((await queue.receive('q')) as Message)).toBe(7)
    expect(ended(1)).toBe(true)
    expect(of('process')[0]?.parent).toBe(of('send')[0]?.span)
    await queue.disconnect()
  })

  it('whose parent is the traceparent of the user’s', async () => {
    const { tracer, of } = recordingTracer()
    const queue = await tracing({ tracer })
    const parent = 'b'.repeat(16)
    const traceparent = (span: string) => `00-${'c'.repeat(32)}-${span}-01`
    await queue.send('q', 1, { headers: { traceparent: traceparent(parent) } })
    await queue.send('q', 2, { headers: { traceparent: 'none' } })
    const [first, second] = of('send')
    expect(first?.parent).toBe(parent)
    const received = (await queue.receive('q')) as Message
    expect([received.traceId, received.spanId]).toEqual(['c'.repeat(32), first?.span])
    expect(received.headers).toEqual({ traceparent: traceparent(first?.span ?? '') })
    expect(second?.parent).toBeNull()
    expect((await queue.receive('q'))?.headers).toEqual({ traceparent: 'none' })
    await queue.disconnect()
  })
})

it('ids that others could not read are no reason to refuse a message, and do not travel', async () => {
  await using queue = MessageQueueFactory.createForTesting()
  await queue.connect()
  await queue.send('q', 1, { traceId: 'trace-1', spanId: 'span-1' })
  await queue.send('q', 2, { traceId: 'a'.repeat(32), spanId: 'span-2' })
  const first = (await queue.receive('q')) as Message
  expect([first.traceId, first.spanId, first.headers]).toEqual([undefined, undefined, {}])
  const second = (await queue.receive('q')) as Message
  expect(second.traceId).toBe('a'.repeat(32))
  expect(second.spanId).toMatch(/^[0-9a-f]{16}$/)
})

it('the message that was given stays as it is: a second send of it is no child of the first', async () => {
  const { tracer, of } = recordingTracer()
  const queue = await tracing({ tracer })
  const message = new Message({ body: 1, queueName: 'q' })
  await queue.send(message)
  await queue.send(message)
  expect(of('send').map(({ parent }) => parent)).toEqual([null, null])
  expect([message.traceId, message.spanId]).toEqual([undefined, undefined])
  await queue.disconnect()
})
