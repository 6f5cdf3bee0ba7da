import { describe, expect, it } from '@jest/globals'
import { lastOf, queueBench, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

describe('a queue whose consumer has stopped', () => {
  it('may be given another handler, which alone runs from then on', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const ran: string[] = []
    const run = (name: string) => () => void ran.push(name)
    const first = await queue.consume('q', run('first'))
    await expect(queue.consume('q', run('too early'))).rejects.toThrow('already has a handler')
    await first.stop()
    const second = await queue.consume('q', run('second'))
    lastOf(adapter.receivers).give(delivery('a'))
    await until(() => second.stats().handled === 1)
    expect(ran).toEqual(['second'])
    expect(() => queue.registerFunctionHandler('q', run('too early'))).toThrow('already has a handler')
    await second.stop()
    await queue.startConsuming('q')
    lastOf(adapter.receivers).give(delivery('b'))
    await until(() => ran.length === 2)
    expect(ran).toEqual(['second', 'second'])
    await expect(queue.consume('q', run('too early'))).rejects.toThrow('already has a handler')
    await queue.disconnect({ timeoutMs: 0 })
    expect(queue.getStats().registeredHandlers).toEqual(['q'])
  })

  it('may be after a disconnect too', async () => {
    const { queue } = queueBench()
    for (let time = 0; time < 2; time++) {
      await queue.connect()
      await queue.consume('q', () => undefined)
      await queue.disconnect({ timeoutMs: 0 })
    }
  })

  it('keeps the handler that it had where another cannot start', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const ran: string[] = []
    const first = await queue.consume('q', () => void ran.push('first'))
    await first.stop()
    await expect(queue.consume('q', () => undefined, { concurrency: 0 })).rejects.toThrow()
    adapter.onOpen = () => Promise.reject(new Error('refused'))
    await expect(queue.consume('q', () => undefined)).rejects.toThrow('refused')
    adapter.onOpen = () => Promise.resolve()
    await queue.startConsuming('q')
    lastOf(adapter.receivers).give(delivery('a'))
    await until(() => ran.length === 1)
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('keeps its dead-letter queue where another handler cannot start', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    const first = await queue.consume('q', () => undefined, { deadLetterQueue: 'elsewhere' })
    await first.stop()
    adapter.onOpen = () => Promise.reject(new Error('refused'))
    await expect(queue.consume('q', () => undefined)).rejects.toThrow('refused')
    adapter.onOpen = () => Promise.resolve()
    const listed = queue.deadLetters('q').list()
    await until(() => adapter.receivers.length === 2)
    expect(lastOf(adapter.receivers).source.target).toEqual({ queue: 'elsewhere' })
    await clock.advance(1000)
    expect(await listed).toEqual({ messages: [], cursor: null })
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('may be given another also after a start that failed', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const first = await queue.consume('q', () => undefined)
    await queue.deleteQueue('q')
    await first.stop()
    adapter.onDeclare = () => Promise.reject(new Error('refused'))
    await expect(queue.startConsuming('q')).rejects.toThrow('refused')
    adapter.onDeclare = () => Promise.resolve({})
    await queue.consume('q', () => undefined)
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('has no handler any more once it is deleted', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const deadLetterQueue = 'parked'
    queue.registerFunctionHandler('kept', () => undefined)
    for (const name of ['q', 'other'])
      await (await queue.consume(name, () => undefined, { deadLetterQueue })).stop()
    for (const name of ['a', 'b'])
      await (await queue.subscribe('topic', name, () => undefined, { deadLetterQueue })).stop()
    const handlers = (): string[] => queue.getStats().registeredHandlers
    await queue.deleteQueue('kept')
    await queue.deleteQueue('q')
    expect(handlers()).toEqual(['kept', 'other', 'topic/a', 'topic/b'])
    await queue.deleteSubscription('topic', 'a')
    expect(handlers()).toEqual(['kept', 'other', 'topic/b'])
    await queue.deleteTopic('topic')
    await queue.deleteQueue('other')
    expect(handlers()).toEqual(['kept'])
    // Nobody's dead letters go there any more: it is a queue like others.
    adapter.declared.length = 0
    await queue.send(deadLetterQueue, {})
    expect(adapter.declared.map(({ declaration }) => declaration.settings.deadLetterQueue)).toEqual([
      'parked.dlq',
    ])
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('keeps its handler where it is deleted while that runs', async () => {
    const { queue } = queueBench()
    await queue.connect()
    const consumer = await queue.consume('q', () => undefined)
    await queue.deleteQueue('q')
    expect(queue.getStats().registeredHandlers).toEqual(['q'])
    await consumer.stop()
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('is made again by who uses it, and by no reconnection before, where it ends with its last consumer', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    const consumers = []
    for (const name of ['gone', 'used', 'kept']) {
      await queue.createQueue({ name, autoDelete: name !== 'kept', maxPriority: 5 })
      consumers.push(await queue.consume(name, () => undefined))
    }
    consumers.push(await queue.startConsuming('used'))
    for (const n of [0, 1, 2]) await consumers[n]?.stop()
    adapter.declared.length = 0
    lastOf(adapter.connections).lost(new Error('cut'))
    await until(async () => {
      await clock.advance(100)
      return queue.getStats().reconnects === 1 && queue.getStats().isConnected
    })
    expect(adapter.declared.map(({ target }) => target)).toEqual([{ queue: 'used' }, { queue: 'kept' }])
    await queue.send('gone', {})
    expect(lastOf(adapter.declared)).toMatchObject({
      target: { queue: 'gone' },
      declaration: { settings: { autoDelete: true, maxPriority: 5 }, ifExists: 'take' },
    })
    await queue.disconnect({ timeoutMs: 0 })
  })

  it('is none of one that was registered by itself', async () => {
    const { queue } = queueBench()
    await queue.connect()
    queue.registerFunctionHandler('q', () => undefined)
    const consumer = await queue.startConsuming('q')
    await consumer.stop()
    await expect(queue.consume('q', () => undefined)).rejects.toThrow('already has a handler')
    await queue.disconnect({ timeoutMs: 0 })
  })
})
