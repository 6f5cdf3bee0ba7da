import { afterEach, describe, expect, it } from '@jest/globals'
import { RejectError, RetryError } from '../../src/errors.ts'
import { MessageQueue } from '../../src/message-queue.ts'
import { createMemoryBroker, memoryAdapter } from '../../src/memory/index.ts'
import type { Message } from '../../src/message/message.ts'
import { recordingLogger } from '../middleware/recording-logger.ts'
import { until } from '../engine-bench.ts'

const open: MessageQueue[] = []

afterEach(async () => {
  for (const queue of open.splice(0)) await queue.disconnect({ timeoutMs: 0 })
})

describe('debug lines', () => {
  it('say how the connection, queues and messages fare, and nothing that was in them', async () => {
    const { logger, lines } = recordingLogger()
    const queue = new MessageQueue(memoryAdapter({ broker: createMemoryBroker() }), {}, { logger })
    open.push(queue)
    await queue.connect()
    const handle = ({ body, deliveryCount }: Message) => {
      if (body === 'retried' && deliveryCount === 0) throw new RetryError('secret', { delayMs: 0 })
      if (body === 'rejected') throw new RejectError('secret')
    }
    await queue.consume('q', handle)
    for (const body of ['done', 'retried', 'rejected']) await queue.send('q', body, { id: body })
    await until(() => queue.getStats().messagesDeadLettered === 1 && queue.getStats().messagesProcessed === 2)
    await queue.send('hand', 'x', { id: 'hand' })
    await queue.receive('hand')
    await queue.disconnect()
    const shown = lines.map(({ text, fields }) => [
      text,
      fields['ids'] ?? fields['queue'] ?? fields['broker'],
    ])
    expect(shown.filter(([text]) => text !== 'a handler failed')).toEqual(
      expect.arrayContaining([
        ['connected', 'memory'],
        ['declared', 'q'],
        ['acknowledged', ['done']],
        ['to be retried', ['retried']],
        ['acknowledged', ['retried']],
        ['dead-lettered', ['rejected']],
        ['given back', ['hand']],
        ['disconnected', 'memory'],
      ]),
    )
    expect(lines.every(({ level }) => level === 'debug')).toBe(true)
    expect(lines.find(({ text }) => text === 'dead-lettered')?.fields).toEqual({
      queue: 'q',
      ids: ['rejected'],
      reason: 'rejected',
    })
  })
})
