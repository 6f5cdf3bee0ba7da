import { describe, expect, it } from '@jest/globals'
import { Type } from 'typebox'
import { AdapterError, ErrorCode } from '../../src/adapter/index.ts'
import { defineQueue } from '../../src/message/typed.ts'
import type { QueueConfigInput } from '../../src/config/queue-config.ts'
import { queueBench } from '../engine-bench.ts'

const NOTHING = () => undefined

function typed(config: Omit<QueueConfigInput, 'name'>) {
  return defineQueue('q', { schema: Type.Unknown(), ...config })
}

async function connected(...args: Parameters<typeof queueBench>) {
  const bench = queueBench(...args)
  await bench.queue.connect()
  const warnings = () => bench.log.filter(({ level }) => level === 'warn').map(({ message }) => message)
  return { ...bench, warnings }
}

describe('a queue that was in use before its user’s configuration came', () => {
  it('is taken as it is, and every difference told once', async () => {
    const { queue, warnings, log } = await connected()
    await queue.send('q', 1)
    const ordered = typed({ ordered: true, maxPriority: 5, durable: true, arguments: { 'x-expires': 9000 } })
    await queue.purgeQueue(ordered)
    expect(warnings()).toEqual([
      expect.stringMatching(
        /: expires is null, not 9000; maxPriority is null, not 5; ordered is false, not true$/,
      ),
    ])
    expect(log.find(({ level }) => level === 'warn')?.fields).toEqual({ queue: 'q' })
    await queue.consume(ordered, NOTHING)
    expect(warnings()).toHaveLength(1)
    await queue.deleteQueue('q')
    await queue.send('q', 1)
    await queue.purgeQueue(ordered)
    expect(warnings()).toHaveLength(2)
    await queue.disconnect()
  })

  it('in the same moment', async () => {
    const { queue, warnings } = await connected()
    await Promise.all([queue.send('q', 1), queue.consume(typed({ maxLength: 5 }), NOTHING)])
    expect(warnings()).toEqual([expect.stringContaining('maxLength is null, not 5')])
    await queue.disconnect()
  })

  it('on the broker, as far as that tells', async () => {
    const { queue, adapter, warnings } = await connected()
    adapter.onDeclare = async () => ({ ordered: false })
    await queue.consume(typed({ ordered: true, maxLength: 5 }), NOTHING)
    expect(warnings()).toEqual([expect.stringMatching(/: ordered is false, not true$/)])
    await queue.disconnect()
  })

  it('says nothing where what was chosen is in force', async () => {
    const { queue, warnings } = await connected({ defaultQueueConfig: { maxLength: 5 } })
    await queue.send('q', 1)
    await queue.consume(typed({ ordered: false, maxLength: 5 }), NOTHING)
    await queue.createQueue({ name: 'r', ordered: true })
    await queue.send(defineQueue('r', { schema: Type.Unknown(), ordered: true }), 1)
    expect(warnings()).toEqual([])
    await queue.disconnect()
  })
})

describe('getQueueSize makes no queue', () => {
  const missing = () => Promise.reject(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'there is no q'))

  it('and counts none in one that is not there', async () => {
    const { queue, adapter } = await connected()
    adapter.size = missing
    expect(await queue.getQueueSize(typed({ ordered: true }))).toBe(0)
    expect(adapter.declared).toEqual([])
    adapter.size = () => Promise.reject(new Error('busy'))
    await expect(queue.getQueueSize('q')).rejects.toThrow('busy')
    await queue.disconnect()
  })

  it('and rejects for it where queues are not declared on first use', async () => {
    const { queue, adapter } = await connected({ autoDeclare: false })
    adapter.size = missing
    await expect(queue.getQueueSize('q')).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
    await queue.disconnect()
  })
})
