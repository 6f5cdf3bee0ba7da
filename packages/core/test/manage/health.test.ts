import { describe, expect, it } from '@jest/globals'
import { lastOf, queueBench, refusal, settled, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

describe('healthCheck', () => {
  it('tells of the connection, and never opens one', async () => {
    const { queue, adapter } = queueBench()
    expect(await queue.healthCheck()).toMatchObject({
      healthy: false,
      connection: 'disconnected',
      latencyMs: null,
      broker: 'memory',
    })
    expect(adapter.connections).toEqual([])
    await queue.connect()
    const health = await queue.healthCheck()
    expect(health).toMatchObject({ healthy: true, connection: 'connected', consumers: [] })
    expect(health.latencyMs).toBeGreaterThanOrEqual(0)
    expect('error' in health).toBe(false)
    await queue.disconnect()
  })

  it('is unhealthy, with the reason, while the connection is down, the broker blocked, or silent', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    adapter.onPing = () => Promise.reject(new Error('loading'))
    expect(await queue.healthCheck()).toMatchObject({
      healthy: false,
      error: expect.stringContaining('loading'),
    })
    adapter.onPing = () => new Promise(() => undefined)
    const silent = queue.healthCheck()
    await clock.advance(5000)
    expect(await silent).toMatchObject({
      healthy: false,
      error: expect.stringContaining('5000 ms'),
    })
    adapter.onPing = () => Promise.resolve()
    lastOf(adapter.connections).blocked('memory')
    expect(await queue.healthCheck()).toMatchObject({
      healthy: false,
      error: 'the broker accepts no messages: memory',
    })
    adapter.onConnect = () => Promise.reject(new Error('refused'))
    lastOf(adapter.connections).lost(new Error('cut'))
    expect(await queue.healthCheck()).toMatchObject({ healthy: false, connection: 'reconnecting' })
    await clock.advance(100)
    expect(await queue.healthCheck()).toMatchObject({ error: expect.stringContaining('refused') })
    await queue.disconnect()
  })

  it('knows a consumer that makes no progress', async () => {
    const { queue, adapter, clock } = queueBench({ consumer: { maxPollIntervalMs: 1000 } })
    await queue.connect()
    const consumer = await queue.consume('q', () => new Promise(() => undefined))
    lastOf(adapter.receivers).give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    await clock.advance(1000)
    expect(await queue.healthCheck()).toMatchObject({ healthy: true })
    await clock.advance(1)
    const health = await queue.healthCheck()
    expect(health).toMatchObject({
      healthy: false,
      error: expect.stringContaining('no progress on q'),
    })
    expect(health.consumers[0]).toMatchObject({ queue: 'q', stuck: true, running: 1 })
    await queue.disconnect({ timeoutMs: 0 })
  })
})

describe('getStats', () => {
  it('counts what happened', async () => {
    const { queue, adapter, clock } = queueBench({ retryJitter: 0 })
    expect(queue.getStats()).toMatchObject({
      isConnected: false,
      messagesSent: 0,
      activeQueues: [],
      registeredHandlers: [],
    })
    await queue.connect()
    await queue.send('out', 1)
    adapter.onPublish = async (batch) =>
      batch.map(() => ({ ok: false, error: new Error('no'), certainty: 'not-stored' }))
    const aborted = new AbortController()
    const failed = refusal(queue.send({ body: 1 }, { queueName: 'out', signal: aborted.signal }))
    await settled()
    aborted.abort()
    await failed
    await clock.advance(1000)
    let broken = true
    const consumer = await queue.consume('q', () => {
      if (broken) throw new Error('no')
    })
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'), delivery('b', { deliveryCount: 3 }))
    await until(() => consumer.stats().failed === 2)
    broken = false
    receiver.give(delivery('c'))
    await until(() => consumer.stats().handled === 1)
    await settled()
    expect(queue.getStats()).toMatchObject({
      isConnected: true,
      messagesSent: 1,
      messagesReceived: 3,
      messagesProcessed: 1,
      messagesFailed: 2,
      messagesRetried: 1,
      messagesDeadLettered: 1,
      inFlight: 0,
      activeQueues: ['q'],
      registeredHandlers: ['q'],
      consumerCount: 1,
      reconnects: 0,
    })
    await consumer.stop()
    expect(queue.getStats()).toMatchObject({ activeQueues: [], consumerCount: 0, registeredHandlers: ['q'] })
    await queue.disconnect()
  })

  it('names a queue once, however many consumers it has', async () => {
    const { queue } = queueBench()
    await queue.connect()
    queue.registerFunctionHandler('q', () => undefined)
    for (let i = 0; i < 2; i++) await queue.startConsuming('q')
    expect(queue.getStats()).toMatchObject({ activeQueues: ['q'], consumerCount: 2 })
    await queue.disconnect()
  })

  it('counts connections that replaced a lost one', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    lastOf(adapter.connections).lost(new Error('cut'))
    await clock.advance(100)
    expect(queue.getStats()).toMatchObject({ reconnects: 1, isConnected: true })
    await queue.disconnect()
    // One that was asked for replaces none.
    await queue.connect()
    expect(queue.getStats()).toMatchObject({ reconnects: 1, isConnected: true })
    await queue.disconnect()
  })
})
