import { describe, expect, it } from '@jest/globals'
import { messageHandler } from '../src/decorators.ts'
import { Message } from '../src/message/message.ts'
import { MessageQueue } from '../src/message-queue.ts'
import { MessageQueueError } from '../src/errors.ts'
import { deferred, lastOf, queueBench, refusal, settled, until } from './engine-bench.ts'
import { delivery, fakeAdapter } from './fake-adapter.ts'

/** What a call is refused with, thrown or rejected; anything but an error of this library fails the test. */
async function refused(call: () => unknown): Promise<string> {
  try {
    const value = await call()
    throw new Error(`it answered ${String(value)}`)
  } catch (error) {
    if (!MessageQueueError.is(error)) throw error
    return error.code
  }
}

const bad = undefined as never
const NOTHING = () => undefined

type Call = [name: string, call: (queue: MessageQueue) => unknown]

const BAD_INPUT: Call[] = [
  ['send()', (queue) => queue.send(bad)],
  ['send(null)', (queue) => queue.send(null as never)],
  ['send(7)', (queue) => queue.send(7 as never)],
  ['send without a queue', (queue) => queue.send({ body: 1 })],
  ['send with an unknown field', (queue) => queue.send({ body: 1, queueName: 'q', nope: 1 } as never)],
  ['send with an unknown option', (queue) => queue.send({ body: 1, queueName: 'q' }, { ttl: 5 } as never)],
  ['send to a bad name', (queue) => queue.send('a b', 1)],
  ['send to a library queue', (queue) => queue.send('q.retry', 1)],
  ['send with a bad header', (queue) => queue.send('q', 1, { headers: { a: 1 } as never })],
  ['send with a __proto__', (queue) => queue.send('q', 1, { headers: JSON.parse('{"__proto__":"a"}') })],
  ['send with a bad priority', (queue) => queue.send('q', 1, { priority: 256 })],
  ['send of a circular body', (queue) => queue.send('q', circular())],
  ['send of a bigint', (queue) => queue.send('q', 1n)],
  ['send of too much', (queue) => queue.send('q', 'x'.repeat(1_000_001))],
  ['send with too long a delay', (queue) => queue.send('q', 1, { delay: 1_000_001 })],
  [
    'send with a controller for a signal',
    (queue) => queue.send({ body: 1, queueName: 'q' }, { signal: new AbortController() as never }),
  ],
  ['send with headers in a Map', (queue) => queue.send('q', 1, { headers: new Map([['a', 'b']]) as never })],
  ['send with a text for headers', (queue) => queue.send('q', 1, { headers: 'ab' as never })],
  ['sendBatch()', (queue) => queue.sendBatch(bad)],
  ['sendBatch of nonsense', (queue) => queue.sendBatch([null as never, { queueName: 'q', body: 1 }])],
  ['sendBatch of texts', (queue) => queue.sendBatch(['hello', 'q'] as never, { queueName: 'q' })],
  ['sendJson()', (queue) => queue.sendJson(1, bad)],
  ['sendText(7)', (queue) => queue.sendText(7 as never, { queueName: 'q' })],
  ['publish()', (queue) => queue.publish(bad, 1)],
  ['send with a queueName among its fields', (queue) => queue.send('q', 1, { queueName: 'r' } as never)],
  ['send with a body among its fields', (queue) => queue.send('q', 1, { body: 2 } as never)],
  ['sendText with a body', (queue) => queue.sendText('x', { queueName: 'q', body: 'y' } as never)],
  ['sendJson with a body', (queue) => queue.sendJson(1, { queueName: 'q', body: 2 } as never)],
  ['sendBatch of nothing with an unknown option', (queue) => queue.sendBatch([], { quename: 'q' } as never)],
  ['publish with a queueName', (queue) => queue.publish('t', 1, { queueName: 'q' } as never)],
  ['publish with a body', (queue) => queue.publish('t', 1, { body: 2 } as never)],
  [
    'request with a queueName among its fields',
    (queue) => queue.request('q', 1, { timeoutMs: 10, queueName: 'r' } as never),
  ],
  ['send of a message as a body', (queue) => queue.send('q', new Message())],
  ['send with fields that are none', (queue) => queue.send('q', 1, null as never)],
  ['publish with an unknown field', (queue) => queue.publish('t', 1, { nope: 1 } as never)],
  ['request of a bad name', (queue) => queue.request('a b', 1, { timeoutMs: 10 })],
  ['request without a time-out', (queue) => queue.request('q', 1, bad)],
  ['request()', (queue) => queue.request(bad, { timeoutMs: 10 })],
  ['receive()', (queue) => queue.receive(bad)],
  ['receive with a bad time-out', (queue) => queue.receive('q', { timeoutMs: NaN })],
  ['receive with a bad lease', (queue) => queue.receive('q', { leaseMs: 0 })],
  ['messages()', (queue) => queue.messages(bad).next()],
  ['messages with a bad prefetch', (queue) => queue.messages('q', { prefetch: 0 }).next()],
  ['acknowledge()', (queue) => queue.acknowledge(bad)],
  ['acknowledge of a message of one’s own', (queue) => queue.acknowledge(new Message())],
  ['reject()', (queue) => queue.reject(bad)],
  ['reject with a delay and no requeue', (queue) => queue.reject(new Message(), { delayMs: 5 })],
  ['extend()', (queue) => queue.extend(bad, 5)],
  ['extend by nothing', (queue) => queue.extend(new Message(), 0)],
  ['createQueue()', (queue) => queue.createQueue(bad)],
  ['createQueue with an unknown field', (queue) => queue.createQueue({ name: 'q', size: 1 } as never)],
  ['createQueue of a library name', (queue) => queue.createQueue({ name: 'q.retry' })],
  ['deleteQueue()', (queue) => queue.deleteQueue(bad)],
  ['purgeQueue(7)', (queue) => queue.purgeQueue(7 as never)],
  ['getQueueSize(null)', (queue) => queue.getQueueSize(null as never)],
  ['createSubscription()', (queue) => queue.createSubscription('t', bad)],
  ['deleteSubscription()', (queue) => queue.deleteSubscription(bad, 's')],
  ['deleteTopic(7)', (queue) => queue.deleteTopic(7 as never)],
  ['deadLetters()', (queue) => queue.deadLetters(bad)],
  ['registerHandler()', (queue) => queue.registerHandler('q', bad)],
  ['registerHandler without handle', (queue) => queue.registerHandler('q', {} as never)],
  ['registerFunctionHandler without a function', (queue) => queue.registerFunctionHandler('q', bad)],
  ['registerFunctionHandler of a bad queue', (queue) => queue.registerFunctionHandler(bad, NOTHING)],
  [
    'registerFunctionHandler with an unknown option',
    (queue) => queue.registerFunctionHandler('q', NOTHING, { nope: 1 } as never),
  ],
  [
    'registerFunctionHandler with a bad option',
    (queue) => queue.registerFunctionHandler('q', NOTHING, { concurrency: 0 }),
  ],
  [
    'registerFunctionHandler with null options',
    (queue) => queue.registerFunctionHandler('q', NOTHING, null as never),
  ],
  ['registerHandlers of what has none', (queue) => queue.registerHandlers({})],
  ['addMiddleware()', (queue) => queue.addMiddleware(bad)],
  [
    'consume at a rate beyond the limit',
    (queue) => queue.consume('q', NOTHING, { rateLimit: { max: 1e10, perMs: 1 } }),
  ],
  ['consume without a handler', (queue) => queue.consume('q', bad)],
  ['startConsuming without a handler', (queue) => queue.startConsuming('q')],
  ['subscribe()', (queue) => queue.subscribe('t', bad, NOTHING)],
  ['processMessage()', (queue) => queue.processMessage(bad)],
  ['processMessage without a queue', (queue) => queue.processMessage(new Message())],
  ['processMessage without a handler', (queue) => queue.processMessage(new Message({ queueName: 'q' }))],
]

/** Calls that were heeded in part: one option is misspelled, or belongs elsewhere. */
const UNKNOWN_OPTIONS: Call[] = [
  ['receive', (queue) => queue.receive('q', { timeout: 1000 } as never)],
  ['messages', (queue) => queue.messages('q', { prefetc: 1 } as never).next()],
  ['reject', (queue) => queue.reject(new Message(), { requeue: true, delay: 60_000 } as never)],
  ['publish', (queue) => queue.publish('t', 1, { headrs: {} } as never)],
  ['publish of a message', (queue) => queue.publish('t', new Message(), { headers: { a: '1' } })],
  ['createSubscription', (queue) => queue.createSubscription('t', 's', { patern: 'a' } as never)],
  [
    'createSubscription of no pattern',
    (queue) => queue.createSubscription('t', 's', { pattern: 5 as never }),
  ],
  ['subscribe of half a pattern', (queue) => queue.subscribe('t', 's', NOTHING, { pattern: 'or*' })],
  ['subscribe', (queue) => queue.subscribe('t', 's', NOTHING, { patern: 'a' } as never)],
  ['deadLetters.list', (queue) => queue.deadLetters('q').list({ limt: 1 } as never)],
  ['deadLetters.redrive', (queue) => queue.deadLetters('q').redrive({ dryrun: true } as never)],
  ['deadLetters.purge', (queue) => queue.deadLetters('q').purge({ fliter: () => false } as never)],
  ['disconnect', (queue) => queue.disconnect({ timeout: 1 } as never)],
  ['disconnect without a time', (queue) => queue.disconnect({ timeoutMs: NaN })],
  ['disconnect with a negative time', (queue) => queue.disconnect({ timeoutMs: -1 })],
  ['disconnect with a text', (queue) => queue.disconnect({ timeoutMs: '5' as never })],
]

function circular(): object {
  const body: { self?: object } = {}
  body.self = body
  return body
}

describe('bad input', () => {
  it.each(BAD_INPUT)('%s is refused with a coded error', async (_name, call) => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    expect(await refused(() => call(queue))).toMatch(/^MQ_/)
    expect(adapter.published.flat().map(({ id }) => id)).toHaveLength(
      _name === 'sendBatch of nonsense' ? 1 : 0,
    )
    await queue.disconnect()
  })

  it.each(UNKNOWN_OPTIONS)('%s refuses a wrong option, and does nothing', async (_name, call) => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    expect(await refused(() => call(queue))).toBe('MQ_VALIDATION')
    expect([adapter.published, adapter.declared, adapter.receivers]).toEqual([[], [], []])
    expect(queue.isConnected).toBe(true)
    await queue.disconnect({ timeoutMs: Infinity })
  })

  it('to the constructor is refused', () => {
    for (const [config, options] of [[{ nope: 1 }], [{}, { loger: console }]] as never[][])
      expect(() => new MessageQueue(fakeAdapter(), config, options)).toThrow(
        expect.objectContaining({ code: 'MQ_CONFIGURATION' }),
      )
  })

  it('says of every send whether the message may be stored', async () => {
    const { queue } = queueBench()
    const calls: Promise<unknown>[] = [
      queue.send('q', 1),
      queue.publish('t', 1),
      queue.request('q', 1, { timeoutMs: 10 }),
    ]
    for (const sent of calls)
      expect(await refusal(sent)).toMatchObject({ code: 'MQ_NOT_CONNECTED', certainty: 'not-stored' })
    await queue.connect()
    for (const [name, call] of BAD_INPUT.filter(([text]) => /^(send|publish|request)/.test(text))) {
      const error: unknown = await Promise.resolve(call(queue)).catch((reason: unknown) => reason)
      expect([name, (error as MessageQueueError).certainty]).toEqual([name, 'not-stored'])
    }
    await queue.disconnect()
  })
})

describe('without a connection', () => {
  it.each<Call>([
    ['send', (queue) => queue.send('q', 1)],
    ['sendBatch', (queue) => queue.sendBatch([{ queueName: 'q' }, { queueName: 'q' }])],
    ['receive', (queue) => queue.receive('q')],
    ['messages', (queue) => queue.messages('q').next()],
    ['createQueue', (queue) => queue.createQueue({ name: 'q' })],
    ['deleteQueue', (queue) => queue.deleteQueue('q')],
    ['purgeQueue', (queue) => queue.purgeQueue('q')],
    ['getQueueSize', (queue) => queue.getQueueSize('q')],
    ['createSubscription', (queue) => queue.createSubscription('t', 's')],
    ['publish', (queue) => queue.publish('t', 1)],
    ['request', (queue) => queue.request('q', 1, { timeoutMs: 10 })],
    ['consume', (queue) => queue.consume('q', NOTHING)],
    ['deadLetters', (queue) => queue.deadLetters('q').count()],
    ['processMessage', (queue) => queue.processMessage(new Message({ queueName: 'q' }))],
  ])('%s says so, before connect and after disconnect', async (_name, call) => {
    const { queue, adapter } = queueBench()
    expect(await refused(() => call(queue))).toBe('MQ_NOT_CONNECTED')
    expect(adapter.connections).toEqual([])
    await queue.connect()
    await queue.disconnect()
    expect(await refused(() => call(queue))).toBe('MQ_NOT_CONNECTED')
  })

  it('consume leaves no handler behind', async () => {
    const { queue } = queueBench()
    await refused(() => queue.consume('q', NOTHING))
    await queue.connect()
    await queue.consume('q', NOTHING)
    await queue.disconnect()
  })
})

describe('handlers', () => {
  it('are none after a consume that could not start', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    adapter.onOpen = () => Promise.reject(new Error('no'))
    await refusal(queue.consume('q', NOTHING))
    expect(queue.getStats().registeredHandlers).toEqual([])
    adapter.onOpen = () => Promise.resolve()
    await queue.consume('q', NOTHING)
    await queue.disconnect()
  })

  it('are registered together, or none of them', async () => {
    const { queue } = queueBench()
    const [a, b, c] = (['a', 'b', 'c'] as const).map((name) => messageHandler(name)(() => undefined))
    queue.registerFunctionHandler('b', NOTHING)
    expect(await refused(() => queue.registerHandlers(a as object, b as object))).toBe('MQ_VALIDATION')
    expect(await refused(() => queue.registerHandlers(a as object, {}))).toBe('MQ_VALIDATION')
    expect(queue.getStats().registeredHandlers).toEqual(['b'])
    queue.registerHandlers(a as object, c as object)
    expect(queue.getStats().registeredHandlers).toEqual(['b', 'a', 'c'])
  })

  it('are one a queue', async () => {
    const { queue } = queueBench()
    queue.registerFunctionHandler('q', NOTHING)
    expect(await refused(() => queue.registerHandler('q', { handle: NOTHING }))).toBe('MQ_VALIDATION')
  })

  it('as objects keep their this, and hear of failures', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const heard: string[] = []
    const handler = {
      name: 'mine',
      handle(): void {
        throw new Error(this.name)
      },
      handleError(message: Message, error: Error): void {
        heard.push(`${message.id} ${error.message} ${this.name}`)
        throw new Error('and so did this')
      },
    }
    const consumer = await queue.consume('q', handler)
    lastOf(adapter.receivers).give(delivery('a'))
    await until(() => consumer.stats().failed === 1)
    expect(heard).toEqual(['a mine mine'])
    await queue.disconnect()
  })
})

describe('events', () => {
  it('of an error without a listener are logged, and never thrown', () => {
    const { queue, log } = queueBench()
    expect(queue.emit('error', new Error('nobody listens'))).toBe(false)
    expect(log).toMatchObject([{ level: 'error', fields: { error: { message: 'nobody listens' } } }])
    const heard: Error[] = []
    queue.on('error', (error) => heard.push(error))
    expect(queue.emit('error', new Error('heard'))).toBe(true)
    expect(heard).toHaveLength(1)
  })

  it('reach no one else when a listener throws, or rejects', async () => {
    const { queue, log } = queueBench()
    queue.on('connected', () => {
      throw new Error('thrown')
    })
    await queue.connect()
    queue.removeAllListeners('connected')
    queue.on('disconnected', () => Promise.reject(new Error('rejected')) as never)
    queue.emit('disconnected', undefined)
    await settled()
    const failures = log.filter(({ message }) => message === 'a listener failed')
    expect(failures.map(({ fields }) => [fields['event'], (fields['error'] as Error).message])).toEqual([
      ['connected', 'thrown'],
      ['disconnected', 'rejected'],
    ])
    await queue.disconnect()
  })

  it('tell of each connection, and of its end', async () => {
    const { queue, adapter, clock } = queueBench()
    const names: string[] = []
    for (const name of ['connected', 'disconnected', 'reconnecting'] as const)
      queue.on(name, () => names.push(name))
    await Promise.all([queue.connect(), queue.connect()])
    lastOf(adapter.connections).lost(new Error('cut'))
    await clock.advance(100)
    const lost = ['connected', 'disconnected', 'reconnecting', 'connected']
    expect(names).toEqual(lost)
    await Promise.all([queue.disconnect(), queue.disconnect()])
    await queue.disconnect()
    expect(names).toEqual([...lost, 'disconnected'])
  })

  it('tell once of a connection that was lost when it was to be closed', async () => {
    const { queue, adapter } = queueBench()
    const causes: unknown[] = []
    queue.on('disconnected', (cause) => causes.push(cause))
    await queue.connect()
    const cut = new Error('cut')
    lastOf(adapter.connections).lost(cut)
    await queue.disconnect()
    expect(causes).toEqual([cut])
  })
})

describe('disconnect', () => {
  it('drains handlers, flushes what was sent, and is shared', async () => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const gate = deferred()
    const consumer = await queue.consume('q', () => gate.promise)
    const receiver = lastOf(adapter.receivers)
    receiver.give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    const sent = queue.send('out', 1)
    const closing = [queue.disconnect(), queue.disconnect()]
    await settled()
    expect(adapter.disconnects).toBe(0)
    gate.resolve()
    await expect(Promise.all(closing)).resolves.toEqual([1, 2].map(() => ({ drained: true, abandoned: [] })))
    await sent
    expect(receiver.settled).toEqual([{ kind: 'ack', ids: ['a'] }])
    expect(adapter.disconnects).toBe(1)
    await expect(queue.disconnect()).resolves.toEqual({ drained: true, abandoned: [] })
  })

  it('settles in the middle of an outage, with consumers, sends and a receive under way', async () => {
    const { queue, adapter, clock } = queueBench()
    await queue.connect()
    await queue.consume('q', NOTHING)
    adapter.onConnect = () => Promise.reject(new Error('down'))
    lastOf(adapter.connections).lost(new Error('cut'))
    const sent = refusal(queue.send('out', 1))
    const received = refusal(queue.receive('r', { timeoutMs: 60_000 }))
    await clock.advance(200)
    await expect(queue.disconnect()).resolves.toEqual({ drained: true, abandoned: [] })
    expect(await sent).toMatchObject({ certainty: 'not-stored' })
    expect((await received).code).toMatch(/^MQ_/)
    adapter.onConnect = () => Promise.resolve()
    await queue.connect()
    expect(queue.isConnected).toBe(true)
    await queue.disconnect()
  })

  it('ends a connect of the same turn, before it or in between', async () => {
    const { queue, adapter } = queueBench()
    const first = refusal(queue.connect())
    await expect(queue.disconnect()).resolves.toEqual({ drained: true, abandoned: [] })
    expect((await first).code).toBe('MQ_ABORTED')
    expect(queue.isConnected).toBe(false)

    await queue.connect()
    const closing = queue.disconnect()
    const second = refusal(queue.connect())
    await Promise.all([closing, queue.disconnect()])
    expect((await second).code).toBe('MQ_ABORTED')
    expect(queue.isConnected).toBe(false)
    expect(adapter.disconnects).toBe(adapter.connections.length)

    const last = [queue.connect(), queue.disconnect(), queue.connect()]
    await Promise.all(last)
    expect(queue.isConnected).toBe(true)
    await queue.disconnect()
  })
})
