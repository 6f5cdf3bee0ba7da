import { afterEach, describe, expect, it } from '@jest/globals'
import { ErrorCode } from '../../src/error-codes.ts'
import { ConnectionError } from '../../src/errors.ts'
import { MessageQueueManager, type ManagerOptions } from '../../src/manage/manager.ts'
import {
  getMessageQueueManager,
  initMessageQueueManager,
  shutdownMessageQueueManager,
} from '../../src/manage/manager-instance.ts'
import { Message } from '../../src/message/message.ts'
import { fakeQueue, type FakeQueue } from '../fake-queue.ts'
import { recordingLogger } from '../middleware/recording-logger.ts'

function manage(queues: Record<string, FakeQueue>, options: ManagerOptions = {}) {
  const manager = new MessageQueueManager(
    { healthCheckInterval: 0 },
    { logger: recordingLogger().logger, ...options },
  )
  for (const [name, { queue }] of Object.entries(queues)) manager.addQueue(name, queue)
  return manager
}

/** A promise to open by hand. */
function gate() {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

const refusing = (code: ErrorCode = ErrorCode.CONNECTION, text = 'refused') => ({
  connect: async () => Promise.reject(new ConnectionError(text, { code })),
})

describe('addQueue and getQueue', () => {
  it('keeps queues by name and answers null for others', () => {
    const orders = fakeQueue()
    const manager = manage({ orders })
    expect(manager.getQueue('orders')).toBe(orders.queue)
    expect(manager.getQueue('other')).toBeNull()
  })

  it('refuses a name twice, a queue twice, no name, and what is no queue', () => {
    const orders = fakeQueue()
    const manager = manage({ orders })
    expect(() => manager.addQueue('again', orders.queue)).toThrow(
      'The queue "again" was added already, as "orders"',
    )
    expect(() => manager.addQueue('orders', fakeQueue().queue)).toThrow(/already has a queue named "orders"/)
    expect(() => manager.addQueue('', fakeQueue().queue)).toThrow(/needs a name/)
    expect(() => manager.addQueue('x', {} as never)).toThrow(/takes a MessageQueue/)
  })

  it('refuses options that nothing has, and stops nothing by them', async () => {
    expect(() => new MessageQueueManager({}, { loger: 1 } as never)).toThrow(/did you mean "logger"/)
    const orders = fakeQueue()
    const manager = manage({ orders })
    await manager.start()
    await expect(manager.stop({ timeout: 5 } as never)).rejects.toThrow('stop has no option "timeout"')
    await expect(shutdownMessageQueueManager({ timeoutMs: NaN })).rejects.toThrow(/timeoutMs must be/)
    expect(() => manager.stopOnSignals({ timeoutMs: -1 })).toThrow(/timeoutMs must be/)
    expect(manager.isRunning).toBe(true)
    await manager.stop()
  })
})

describe('start', () => {
  it('connects every queue before it consumes those that have a handler', async () => {
    const order: string[] = []
    const note = (text: string) => async () => void order.push(text)
    const a = fakeQueue(['a1', 'events/billing'], {
      connect: note('connect a'),
      startConsuming: note('consume a'),
    })
    const b = fakeQueue([], { connect: note('connect b'), startConsuming: note('consume b') })
    const manager = manage({ a, b })
    await manager.start()
    expect(order).toEqual(['connect a', 'connect b', 'consume a', 'consume a'])
    expect(a.calls).toEqual(['connect', 'consume a1', 'consume events/billing'])
    expect(b.calls).toEqual(['connect'])
    expect(manager.isRunning).toBe(true)
  })

  it('leaves alone what is consumed already', async () => {
    const a = fakeQueue(['a1', 'a2'])
    await a.queue.connect()
    await a.queue.startConsuming('a1')
    await manage({ a }).start()
    expect(a.calls.filter((call) => call === 'consume a1')).toHaveLength(1)
    expect(a.calls).toContain('consume a2')
  })

  it('undoes the rest when one cannot connect, and names each that failed', async () => {
    const [good, bad, worse] = [
      fakeQueue(['good']),
      fakeQueue([], refusing(ErrorCode.CONNECTION, 'down')),
      fakeQueue([], refusing(ErrorCode.AUTHENTICATION, 'who?')),
    ]
    const manager = manage({ good, bad, worse })
    const error = await manager.start().catch((thrown: unknown) => thrown as ConnectionError)
    expect(error).toMatchObject({ name: 'ConnectionError', code: ErrorCode.CONNECTION })
    expect((error as Error).message).toMatch(/bad: down; worse: who\?/)
    expect((error as Error).message).not.toContain('good')
    expect(good.calls).toEqual(['connect', 'disconnect {}'])
    expect(good.connected).toBe(false)
    expect(manager.isRunning).toBe(false)
  })

  it('says that credentials are refused when that is all there is', async () => {
    const manager = manage({ a: fakeQueue([], refusing(ErrorCode.AUTHENTICATION)) })
    await expect(manager.start()).rejects.toMatchObject({ code: ErrorCode.AUTHENTICATION })
  })

  it('undoes everything when one queue cannot be consumed', async () => {
    const good = fakeQueue(['good'])
    const bad = fakeQueue(['bad'], { startConsuming: async () => Promise.reject(new Error('no such queue')) })
    await expect(manage({ good, bad }).start()).rejects.toThrow(/bad: no such queue/)
    expect([good.connected, bad.connected]).toEqual([false, false])
  })

  it('keeps the connection of a queue that was connected before, and stops only its own consumers', async () => {
    const mine = fakeQueue(['mine'])
    await mine.queue.connect()
    const bad = fakeQueue(['bad'], { startConsuming: async () => Promise.reject(new Error('no')) })
    await expect(manage({ mine, bad }).start()).rejects.toThrow('no')
    expect(mine.connected).toBe(true)
    expect(mine.calls).toEqual(['connect', 'connect', 'consume mine', 'stop mine'])
  })

  it('can be tried again after a failure', async () => {
    const a = fakeQueue([], refusing())
    const manager = manage({ a })
    await expect(manager.start()).rejects.toThrow('refused')
    a.connect = async () => undefined
    await manager.start()
    expect(manager.isRunning).toBe(true)
  })

  it('shares one attempt between concurrent calls and does nothing when it is running', async () => {
    const a = fakeQueue(['a'])
    const manager = manage({ a })
    await Promise.all([manager.start(), manager.start()])
    await manager.start()
    expect(a.calls).toEqual(['connect', 'consume a'])
  })

  it('takes in what was added since', async () => {
    const [a, b] = [fakeQueue(['a']), fakeQueue(['b'])]
    const manager = manage({ a })
    await manager.start()
    manager.addQueue('b', b.queue)
    await manager.start()
    expect([a.calls, b.calls]).toEqual([
      ['connect', 'consume a'],
      ['connect', 'consume b'],
    ])
  })
})

describe('stop', () => {
  it('drains all at the same time and tells what was abandoned', async () => {
    const both = { waiting: 0, ...gate() }
    const disconnect = async () => {
      if (++both.waiting === 2) both.open()
      await both.opened
    }
    const manager = manage({
      a: fakeQueue([], { disconnect }),
      b: fakeQueue([], { disconnect, abandoned: ['m1'] }),
    })
    await manager.start()
    expect(await manager.stop({ timeoutMs: 5 })).toEqual({ drained: false, abandoned: ['m1'] })
    expect(manager.isRunning).toBe(false)
  })

  it('passes its timeout on, and works again afterwards', async () => {
    const a = fakeQueue(['a'])
    const manager = manage({ a })
    await manager.start()
    expect(await manager.stop({ timeoutMs: 7 })).toEqual({ drained: true, abandoned: [] })
    await manager.start()
    expect(a.calls).toEqual(['connect', 'consume a', 'disconnect {"timeoutMs":7}', 'connect', 'consume a'])
  })

  it('never rejects, and stops the others when one fails', async () => {
    const a = fakeQueue([], { disconnect: async () => Promise.reject(new Error('stuck')) })
    const b = fakeQueue()
    const { logger, lines } = recordingLogger()
    const manager = manage({ a, b }, { logger })
    await manager.start()
    expect(await manager.stop()).toEqual({ drained: false, abandoned: [] })
    expect(b.connected).toBe(false)
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'error', fields: expect.objectContaining({ queue: 'a' }) }),
    )
  })

  it('shares one attempt between concurrent calls', async () => {
    const a = fakeQueue()
    const manager = manage({ a })
    await manager.start()
    await Promise.all([manager.stop(), manager.stop()])
    expect(a.calls).toEqual(['connect', 'disconnect {}'])
  })

  it('tells the queues of a later call with a time of its own, of which the shortest counts', async () => {
    const closing = gate()
    const a = fakeQueue([], { disconnect: () => closing.opened })
    const manager = manage({ a })
    await manager.start()
    const stopped = [manager.stop(), manager.stop({ timeoutMs: 5 })]
    closing.open()
    await Promise.all(stopped)
    expect(a.calls).toEqual(['connect', 'disconnect {}', 'disconnect {"timeoutMs":5}'])
  })

  it('ends a start that is under way, which rejects', async () => {
    const connecting = gate()
    const a = fakeQueue(['a'], { connect: () => connecting.opened })
    const manager = manage({ a })
    const started = manager.start().catch((error: unknown) => error)
    const stopped = manager.stop()
    connecting.open()
    expect(await started).toMatchObject({ code: ErrorCode.ABORTED })
    await stopped
    expect(a.calls).not.toContain('consume a')
    expect([a.connected, manager.isRunning]).toEqual([false, false])
  })

  it('is what holds when it came last: a start that still waits for an earlier stop gives up', async () => {
    const closing = gate()
    const a = fakeQueue([], { disconnect: () => closing.opened })
    const manager = manage({ a })
    await manager.start()
    const first = manager.stop()
    const started = manager.start().catch((error: unknown) => error)
    const last = manager.stop()
    closing.open()
    await Promise.all([first, last])
    expect(await started).toMatchObject({ code: ErrorCode.ABORTED })
    expect([a.connected, manager.isRunning]).toEqual([false, false])
  })

  it('is followed by a start that was asked for meanwhile', async () => {
    const a = fakeQueue()
    const manager = manage({ a })
    await manager.start()
    await Promise.all([manager.stop(), manager.start()])
    expect([a.connected, manager.isRunning]).toEqual([true, true])
  })
})

describe('healthCheck', () => {
  it('is unhealthy before start although every queue is fine', async () => {
    const a = fakeQueue()
    await a.queue.connect()
    expect(await manage({ a }).healthCheck()).toMatchObject({
      isRunning: false,
      overallHealthy: false,
      queues: { a: { healthy: true, stats: { isConnected: true } } },
    })
  })

  it('is healthy when every queue is, and names what is wrong otherwise', async () => {
    const [a, b] = [fakeQueue(), fakeQueue()]
    const manager = manage({ a, b })
    await manager.start()
    expect((await manager.healthCheck()).overallHealthy).toBe(true)
    b.health = async () => ({ healthy: false, error: 'no answer' })
    const health = await manager.healthCheck()
    expect(health.overallHealthy).toBe(false)
    expect(health.queues['a']?.healthy).toBe(true)
    expect(health.queues['b']).toMatchObject({ healthy: false, error: 'no answer' })
  })

  it('never rejects', async () => {
    const a = fakeQueue([], { health: async () => Promise.reject(new Error('broken')) })
    expect((await manage({ a }).healthCheck()).queues['a']).toMatchObject({ healthy: false, error: 'broken' })
  })
})

describe('sendToQueue', () => {
  const sent = async (
    message: ConstructorParameters<typeof Message>[0],
    options?: { queueName?: string },
  ) => {
    const a = fakeQueue()
    const id = await manage({ a }).sendToQueue('a', new Message({ id: 'm1', ...message }), options)
    return [id, a.calls[0]]
  }

  it.each([
    ['the name', {}, undefined, 'a'],
    ["the message's queue before the name", { queueName: 'b' }, undefined, 'b'],
    ['the option before both', { queueName: 'b' }, { queueName: 'c' }, 'c'],
  ])('sends to %s', async (_what, message, options, destination) => {
    expect(await sent(message, options)).toEqual(['m1', `send {"queueName":"${destination}"}`])
  })

  it('takes no text for a message, which a queue would take for its name', async () => {
    const a = fakeQueue()
    await expect(manage({ a }).sendToQueue('a', 'hello' as never)).rejects.toMatchObject({
      code: ErrorCode.VALIDATION,
      certainty: 'not-stored',
    })
    expect(a.calls).toEqual([])
  })

  it('rejects for a name that was not added, saying what there is', async () => {
    await expect(manage({ a: fakeQueue() }).sendToQueue('x', new Message())).rejects.toMatchObject({
      code: ErrorCode.QUEUE_NOT_FOUND,
      certainty: 'not-stored',
      message: expect.stringContaining('it has a'),
    })
  })
})

describe('getGlobalStats', () => {
  it('sums up its queues', async () => {
    const a = fakeQueue(['a1', 'a2'], { stats: { messagesSent: 1, messagesReceived: 2, messagesFailed: 3 } })
    const b = fakeQueue([], { stats: { messagesSent: 10, messagesReceived: 20, messagesFailed: 30 } })
    const manager = manage({ a, b })
    expect(manager.getGlobalStats()).toMatchObject({ isRunning: false, queueCount: 2, consumerCount: 0 })
    await manager.start()
    expect(manager.getGlobalStats()).toMatchObject({
      isRunning: true,
      queueCount: 2,
      consumerCount: 2,
      totalMessagesSent: 11,
      totalMessagesReceived: 22,
      totalMessagesFailed: 33,
      queues: { a: { messagesSent: 1 }, b: { messagesSent: 10 } },
    })
  })
})

describe('the manager of the process', () => {
  afterEach(() => shutdownMessageQueueManager())

  it('is null, then what was made, then null again', async () => {
    expect(getMessageQueueManager()).toBeNull()
    const manager = initMessageQueueManager({ broker: 'memory' })
    expect(getMessageQueueManager()).toBe(manager)
    const a = fakeQueue()
    manager.addQueue('a', a.queue)
    await manager.start()
    await shutdownMessageQueueManager({ timeoutMs: 1 })
    expect(a.calls).toEqual(['connect', 'disconnect {"timeoutMs":1}'])
    expect(getMessageQueueManager()).toBeNull()
    expect(await shutdownMessageQueueManager()).toEqual({ drained: true, abandoned: [] })
  })

  it('is waited for by every call that shuts it down', async () => {
    const closing = gate()
    const a = fakeQueue([], { disconnect: () => closing.opened, abandoned: ['m1'] })
    const manager = initMessageQueueManager()
    manager.addQueue('a', a.queue)
    await manager.start()
    const calls = [shutdownMessageQueueManager(), shutdownMessageQueueManager()]
    closing.open()
    const result = { drained: false, abandoned: ['m1'] }
    expect(await Promise.all(calls)).toEqual([result, result])
  })

  it('is not replaced while it starts or runs', async () => {
    const starting = initMessageQueueManager().start()
    expect(() => initMessageQueueManager()).toThrow(/shutdownMessageQueueManager/)
    await starting
    expect(() => initMessageQueueManager()).toThrow(/shutdownMessageQueueManager/)
    await shutdownMessageQueueManager()
    expect(initMessageQueueManager()).toBe(getMessageQueueManager())
  })

  it('refuses a wrong configuration', () => {
    expect(() => initMessageQueueManager({ broker: 'nats' } as never)).toThrow(
      expect.objectContaining({ code: ErrorCode.CONFIGURATION }),
    )
  })
})
