import { describe, expect, it } from '@jest/globals'
import { Type } from 'typebox'
import { ErrorCode } from '../../src/adapter/index.ts'
import { messageHandler } from '../../src/decorators.ts'
import { Message } from '../../src/message/message.ts'
import { MessageQueueManager } from '../../src/manage/manager.ts'
import { defineQueue, defineTopic, subscription } from '../../src/message/typed.ts'
import { deferred, lastOf, queueBench, refusal, settled, until } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

const numbers = { schema: Type.Number() }

describe('the schema of a handler’s queue', () => {
  it.each([
    ['typed queue', defineQueue('orders', numbers), 'orders'],
    ['subscription', subscription(defineTopic('orders', numbers), 'billing'), 'orders/billing'],
  ])('holds for a %s that is started by its name', async (_name, typed, label) => {
    const { queue, adapter } = queueBench()
    queue.registerFunctionHandler(typed, () => undefined)
    const manager = new MessageQueueManager()
    manager.addQueue('main', queue)
    await manager.start()
    expect(queue.getStats().activeQueues).toEqual([label])
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('no number'))
    await until(() => receiver.settled.length > 0)
    expect(receiver.settled).toMatchObject([{ kind: 'deadLetter', reasons: ['invalid'] }])
    await manager.stop()
  })
})

describe('startConsuming', () => {
  it('takes an option that is undefined for none: the handler’s own counts', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    queue.registerFunctionHandler('q', () => undefined, { acknowledgmentMode: 'manual' })
    const consumer = await queue.startConsuming('q', { acknowledgmentMode: undefined })
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'))
    await until(() => consumer.stats().handled === 1)
    await settled()
    expect(receiver.settled).toEqual([])
    await queue.disconnect({ timeoutMs: 0 })
  })
})

describe('a concurrency', () => {
  it.each([
    [2, 0],
    [3, 1],
  ])('of %d where 2 handlers may run at once over all: %d warnings', async (concurrency, warnings) => {
    const { queue, log } = queueBench({ maxConcurrentMessages: 2 })
    await queue.connect()
    await queue.consume('q', () => undefined, { concurrency })
    const said = log.filter(({ level }) => level === 'warn')
    expect(said).toHaveLength(warnings)
    for (const { fields } of said)
      expect(fields).toEqual({ queue: 'q', concurrency, maxConcurrentMessages: 2 })
    await queue.disconnect()
  })
})

describe('the retry options of a start', () => {
  it('leave alone what they do not name of those of the handler', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const retry = { maxRetries: 5, delayMs: 7, backoff: 'fixed', jitter: 0 } as const
    queue.registerFunctionHandler('q', () => Promise.reject(new Error('down')), { retry })
    await queue.startConsuming('q', { retry: { maxRetries: 1, delayMs: undefined } })
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'), delivery('b', { deliveryCount: 1 }))
    await until(() => receiver.settled.length === 2)
    expect(receiver.settled).toMatchObject([
      { kind: 'retry', ids: ['a'], delayMs: 7 },
      { kind: 'deadLetter', ids: ['b'] },
    ])
    await queue.disconnect()
  })
})

describe('a consumer that is stopped while its handler hangs', () => {
  it('leaves its slot to the next one', async () => {
    const { queue, adapter } = queueBench({ maxConcurrentMessages: 1 })
    await queue.connect()
    const runs: string[] = []
    queue.registerFunctionHandler('q', ({ id }) => {
      runs.push(id)
      return new Promise(() => undefined)
    })
    const first = await queue.startConsuming('q', { timeoutMs: 60_000 })
    lastOf(adapter.receivers).give(delivery('a'))
    await until(() => runs.length === 1)
    expect(await first.stop({ timeoutMs: 0 })).toEqual({ drained: false, abandoned: ['a'] })
    const second = await queue.startConsuming('q')
    lastOf(adapter.receivers).give(delivery('b'))
    await until(() => runs.length === 2)
    expect(runs).toEqual(['a', 'b'])
    await second.stop({ timeoutMs: 0 })
    await queue.disconnect({ timeoutMs: 0 })
  })
})

describe('a dead-letter queue of a start', () => {
  it('is not that of the next start, which names none', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    queue.registerFunctionHandler('q', () => undefined)
    const first = await queue.startConsuming('q', { deadLetterQueue: 'other' })
    await first.stop()
    const second = await queue.startConsuming('q')
    const receiving = queue.receive('q', { timeoutMs: 5_000 })
    await until(() => adapter.receivers.length === 3)
    lastOf(adapter.receivers).give(delivery('a'))
    await queue.reject((await receiving) as Message)
    const declared = adapter.declared.map(({ target }) => target)
    expect(declared).toContainEqual({ queue: 'q.dlq' })
    expect(declared).not.toContainEqual({ queue: 'other' })
    await second.stop()
    await queue.disconnect()
  })
})

describe('the dead-letter queue of a handler', () => {
  it('is not the queue that it handles', async () => {
    const { queue } = queueBench()
    await queue.connect()
    const options = { deadLetterQueue: 'q' }
    expect(() => queue.registerFunctionHandler('q', () => undefined, options)).toThrow('another queue than q')
    queue.registerFunctionHandler('q', () => undefined)
    expect((await refusal(queue.startConsuming('q', options))).code).toBe(ErrorCode.VALIDATION)
    await queue.disconnect()
  })

  it('takes what a dead-letter queue’s own consumer runs out of attempts for', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const options = { deadLetterQueue: 'parked', retry: { maxRetries: 0 } }
    await queue.consume('q.dlq', () => Promise.reject(new Error('again')), options)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'))
    await until(() => receiver.settled.length === 1)
    expect(receiver.settled).toMatchObject([{ kind: 'deadLetter', reasons: ['max-retries'] }])
    await queue.disconnect()
  })
})

describe('registerHandlers', () => {
  it('leaves nothing of the others when one is refused', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const handler = (name: string) => messageHandler(name, { deadLetterQueue: 'other' })(() => undefined)
    queue.registerFunctionHandler('kept', () => undefined, { deadLetterQueue: 'other' })
    const dead = async (name: string) => {
      const receiving = queue.receive(name, { timeoutMs: 5_000 })
      const before = adapter.receivers.length
      await until(() => adapter.receivers.length === before + 1)
      lastOf(adapter.receivers).give(delivery('a'))
      adapter.declared.length = 0
      await queue.reject((await receiving) as Message)
      return adapter.declared.map(({ target }) => target)
    }
    expect(() => queue.registerHandlers(handler('q'), handler('kept'))).toThrow('already has a handler')
    expect(queue.getStats().registeredHandlers).toEqual(['kept'])
    expect(await dead('q')).toEqual([{ queue: 'q.dlq' }])
    expect(await dead('kept')).toEqual([{ queue: 'other' }])
    await queue.disconnect()
  })
})

describe('processMessage', () => {
  it('counts a message that was not received, and tells handleError of its failure', async () => {
    const { queue } = queueBench()
    await queue.connect()
    const told: string[] = []
    queue.registerHandler('q', {
      handle: ({ body }) => {
        if (body === 'bad') throw new Error('no')
      },
      handleError: (_message, error) => void told.push(error.message),
    })
    await queue.processMessage(new Message({ queueName: 'q', body: 'good' }))
    await expect(queue.processMessage(new Message({ queueName: 'q', body: 'bad' }))).rejects.toThrow('no')
    expect(told).toEqual(['no'])
    expect(queue.getStats()).toMatchObject({ messagesProcessed: 1, messagesFailed: 1 })
    await queue.disconnect()
  })

  it('logs what handleError rejects with, be it no Promise of this realm', async () => {
    const { queue, log } = queueBench()
    await queue.connect()
    const foreign = { then: (_ok: unknown, no: (error: unknown) => void) => no(new Error('not told')) }
    queue.registerHandler('q', {
      handle: () => {
        throw new Error('no')
      },
      handleError: () => foreign,
    })
    await expect(queue.processMessage(new Message({ queueName: 'q', body: 1 }))).rejects.toThrow('no')
    const failed = log.filter(({ message }) => message === 'handleError failed')
    expect(failed).toMatchObject([{ level: 'error', fields: { error: { message: 'not told' } } }])
    await queue.disconnect()
  })

  it('gives the handler what the schema makes of a message that was not received, and refuses an invalid one', async () => {
    const { queue } = queueBench()
    await queue.connect()
    const schema = Type.Object({ n: Type.Number() })
    const seen: unknown[] = []
    queue.registerFunctionHandler(defineQueue('q', { schema }), ({ body }) => void seen.push(body))
    await queue.processMessage(new Message({ queueName: 'q', body: { n: 1 } }))
    const invalid = queue.processMessage(new Message({ queueName: 'q', body: { n: 'one' } }))
    expect((await refusal(invalid)).code).toBe('MQ_VALIDATION')
    expect(seen).toEqual([{ n: 1 }])
    await queue.disconnect()
  })

  it('gives a batch handler a batch of one, and unwraps its answer', async () => {
    const { queue } = queueBench()
    await queue.connect()
    queue.registerFunctionHandler(
      'q',
      (messages: Message[]) =>
        messages.map(({ body }) => (body === 'bad' ? new Error('no') : `${String(body)}!`)),
      { batch: { size: 5, waitMs: 10 } },
    )
    await expect(queue.processMessage(new Message({ queueName: 'q', body: 'good' }))).resolves.toBe('good!')
    await expect(queue.processMessage(new Message({ queueName: 'q', body: 'bad' }))).rejects.toThrow('no')
    await queue.disconnect()
  })

  it.each(['received', 'made here'] as const)('ends by timeoutMs the run of a message %s', async (which) => {
    const { queue, adapter, clock } = queueBench({ retryJitter: 0 })
    await queue.connect()
    const signals: AbortSignal[] = []
    queue.registerFunctionHandler(
      'q',
      (_message, { signal }) => {
        signals.push(signal)
        return new Promise(() => undefined)
      },
      { timeoutMs: 50 },
    )
    let message = new Message({ queueName: 'q', body: 1 }) as Message | null
    if (which === 'received') {
      const receiving = queue.receive('q', { timeoutMs: 1000 })
      await until(() => adapter.receivers.length === 1)
      lastOf(adapter.receivers).give(delivery('a'))
      message = await receiving
    }
    const failed = refusal(queue.processMessage(message as Message))
    await until(() => signals.length === 1)
    await clock.advance(50)
    expect(await failed).toMatchObject({ code: ErrorCode.HANDLER_TIMEOUT })
    expect(signals[0]?.aborted).toBe(true)
    const settlements = adapter.receivers.flatMap((receiver) => receiver.settled)
    expect(settlements).toMatchObject(which === 'received' ? [{ kind: 'retry', ids: ['a'] }] : [])
    await queue.disconnect()
  })

  it('acknowledges before the run where nobody is to settle (none)', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    queue.registerFunctionHandler(
      'q',
      () => {
        throw new Error('no')
      },
      { acknowledgmentMode: 'none' },
    )
    const receiving = queue.receive('q', { timeoutMs: 1000 })
    await until(() => adapter.receivers.length === 1)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'))
    await expect(queue.processMessage((await receiving) as Message)).rejects.toThrow('no')
    expect(receiver.settled).toMatchObject([{ kind: 'ack', ids: ['a'] }])
    await queue.disconnect()
  })

  it('says what it misses where a message names no queue', async () => {
    const { queue } = queueBench()
    await queue.connect()
    await expect(queue.processMessage(new Message({ body: 1 }))).rejects.toThrow('needs the queueName')
    await queue.disconnect()
  })

  it('settles what this queue received, and leaves what another one did to that', async () => {
    const adapter = fakeAdapter()
    const [one, other] = [queueBench({}, adapter).queue, queueBench().queue]
    await Promise.all([one.connect(), other.connect()])
    one.registerFunctionHandler('q', () => 'done')
    other.registerFunctionHandler('q', () => 'done elsewhere')
    const receiving = one.receive('q', { timeoutMs: 1000 })
    await until(() => adapter.receivers.length === 1)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'))
    const message = (await receiving) as Message
    expect(await other.processMessage(message)).toBe('done elsewhere')
    expect(receiver.settled).toEqual([])
    expect(await one.processMessage(message)).toBe('done')
    expect(receiver.settled).toMatchObject([{ kind: 'ack', ids: ['a'] }])
    expect((await refusal(one.acknowledge(message))).name).toBe('AlreadySettledError')
    await Promise.all([one.disconnect(), other.disconnect()])
  })
})

describe('consume while disconnect is under way', () => {
  /** A queue that disconnects, held up by a handler that still runs. */
  async function draining() {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    const busy = deferred()
    let runs = false
    await queue.consume('busy', async () => {
      runs = true
      await busy.promise
    })
    lastOf(adapter.receivers).give(delivery('a'))
    await until(() => runs)
    return { queue, adapter, clock, busy, disconnect: () => queue.disconnect() }
  }

  async function endsAndWorksAgain({ queue, adapter, clock }: Awaited<ReturnType<typeof draining>>) {
    await until(() => adapter.receivers.every(({ closed }) => closed), 'every receiver closed')
    expect(queue.getStats().activeQueues).toEqual([])
    expect(clock.timers).toBe(0)
    await queue.connect()
    await queue.consume('q', () => undefined)
    expect(queue.getStats().activeQueues).toEqual(['q'])
    await queue.disconnect()
  }

  it('is refused when its queue was being declared', async () => {
    const bench = await draining()
    const declared = deferred()
    bench.adapter.onDeclare = async () => {
      await declared.promise
      return {}
    }
    const refused = refusal(bench.queue.consume('q', () => undefined))
    await settled()
    const disconnecting = bench.disconnect()
    await settled()
    declared.resolve()
    expect(await refused).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
    bench.busy.resolve()
    await disconnecting
    await endsAndWorksAgain(bench)
  })

  it('is refused when its receiver was being opened, which is closed', async () => {
    const bench = await draining()
    const opened = deferred()
    bench.adapter.onOpen = () => opened.promise
    const refused = refusal(bench.queue.consume('q', () => undefined))
    await settled()
    bench.busy.resolve()
    await bench.disconnect()
    opened.resolve()
    expect(await refused).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
    expect(bench.adapter.receivers).toHaveLength(2)
    await endsAndWorksAgain(bench)
  })

  it('is refused when it comes later', async () => {
    const bench = await draining()
    const disconnecting = bench.disconnect()
    await settled()
    expect(await refusal(bench.queue.consume('q', () => undefined))).toMatchObject({
      code: ErrorCode.NOT_CONNECTED,
    })
    bench.busy.resolve()
    await disconnecting
    await endsAndWorksAgain(bench)
  })
})

describe('subscribe', () => {
  it('makes nothing when its handler or its options are refused', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    for (const [handler, options] of [
      [undefined, {}],
      [() => undefined, { concurrency: 0 }],
    ] as const) {
      const failed = refusal(queue.subscribe('t', 's', handler as never, { pattern: 'a.*', ...options }))
      expect(await failed).toMatchObject({ code: 'MQ_VALIDATION' })
    }
    expect(adapter.declared).toEqual([])
    await queue.subscribe('t', 's', () => undefined, { pattern: 'a.*' })
    expect(adapter.declared.map(({ declaration }) => declaration.pattern)).toContain('a.*')
  })
})
