import { describe, expect, it } from '@jest/globals'
import { createMemoryBroker, memoryAdapter, MessageQueue, type Tracer } from '../src/index.ts'
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
