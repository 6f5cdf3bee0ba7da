import { getMaxListeners } from 'node:events'
import { afterEach, describe, expect, it } from '@jest/globals'
import { ConfigurationError, MessageQueueFactory, type HandlerOptions, type MessageQueue } from '@mq/core'
import { workerHandler, type WorkerHandler } from '../src/index.ts'

const program = (name: string) => new URL(`./programs/${name}.js`, import.meta.url)
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function setUp(
  poolSize: number,
  options: HandlerOptions = {},
): Promise<{ queue: MessageQueue; handler: WorkerHandler }> {
  const handler = workerHandler(program('handler'), { poolSize })
  closing.push(() => handler.close())
  const queue = MessageQueueFactory.createForTesting()
  await queue.connect()
  closing.push(() => queue.disconnect())
  await queue.consume('work', handler, { retry: { maxRetries: 0 }, concurrency: poolSize, ...options })
  return { queue, handler }
}

const ask = async (queue: MessageQueue, body: unknown) =>
  (await queue.request('work', body, { timeoutMs: 20_000, headers: { a: 'b' } })).body

/** False when it does not become true within seconds. */
async function waitFor(condition: () => boolean): Promise<boolean> {
  const giveUpAt = performance.now() + 4000
  while (!condition()) {
    if (performance.now() > giveUpAt) return false
    await new Promise((resolve) => setImmediate(resolve))
  }
  return true
}

describe('workerHandler', () => {
  it('runs the module in a thread and answers what it returns', async () => {
    const { queue } = await setUp(1)
    expect(await ask(queue, { do: 'describe' })).toMatchObject({
      isMainThread: false,
      header: 'b',
      attempt: 1,
    })
    // One thread is kept for the next message.
    expect(await ask(queue, { do: 'thread' })).toBe(await ask(queue, { do: 'thread' }))
  })

  it('runs a module in TypeScript where the program has a loader for it', async () => {
    const handler = workerHandler(new URL('./programs/typed.ts', import.meta.url), { poolSize: 1 })
    closing.push(() => handler.close())
    const signal = new AbortController().signal
    expect(await handler({ body: 1, headers: {} } as never, { attempt: 1, signal } as never)).toBe(
      'typed number true',
    )
  })

  it('runs as many messages at once as it has threads', async () => {
    const handler = workerHandler(program('handler'), { poolSize: 3 })
    closing.push(() => handler.close())
    const shared = new SharedArrayBuffer(4)
    const message = { body: { do: 'together', shared, count: 3 }, headers: {} } as never
    const context = { attempt: 1, signal: new AbortController().signal } as never
    const threads = await Promise.all([1, 2, 3].map(() => handler(message, context)))
    expect(new Set(threads).size).toBe(3)
  })

  it('lets timers of the module run between messages', async () => {
    const handler = workerHandler(program('handler'), { poolSize: 1 })
    closing.push(() => handler.close())
    const shared = new SharedArrayBuffer(4)
    const context = { attempt: 1, signal: new AbortController().signal } as never
    expect(await handler({ body: { do: 'tick', shared }, headers: {} } as never, context)).toBe('ticking')
    const word = new Int32Array(shared)
    const before = Atomics.load(word, 0)
    const ticked = await waitFor(() => Atomics.load(word, 0) > before + 2)
    expect(ticked).toBe(true)
  })

  it('ends the thread of a run that is aborted in an endless loop, and goes on', async () => {
    const handler = workerHandler(program('handler'), { poolSize: 1 })
    closing.push(() => handler.close())
    const shared = new SharedArrayBuffer(4)
    const run = (body: object, signal: AbortSignal) =>
      handler({ body, headers: {} } as never, { attempt: 1, signal } as never)
    const controller = new AbortController()
    const spinning = expect(run({ do: 'spin', shared }, controller.signal)).rejects.toThrow('took too long')
    while (Atomics.load(new Int32Array(shared), 0) === 0)
      await new Promise((resolve) => setImmediate(resolve))
    controller.abort(new Error('took too long'))
    await spinning
    expect(await run({ do: 'hello' }, new AbortController().signal)).toBe('hello')
  })

  it.each(['exit', 'crash'])('fails the message of a thread that ends by %s, and no other', async (how) => {
    const { queue } = await setUp(2)
    const bad = expect(ask(queue, { do: how })).rejects.toThrow(/worker thread ended/)
    expect(await Promise.all([1, 2, 3, 4].map((i) => ask(queue, { do: i })))).toEqual([1, 2, 3, 4])
    await bad
    expect(await ask(queue, { do: 'hello' })).toBe('hello')
  })

  it.each([
    ['throw', /did not start: the preload is broken/],
    ['exit', /did not start: it ended by itself/],
  ])('fails the messages of threads that %s before they are ready, and starts others', async (how, says) => {
    const { queue } = await setUp(2)
    const preload = ['--import', `${program('preload').href}?${how}`]
    process.execArgv.push(...preload)
    try {
      const bad = [1, 2].map((i) => expect(ask(queue, { do: i })).rejects.toThrow(says))
      await Promise.all(bad)
    } finally {
      process.execArgv.splice(-preload.length)
    }
    // Their slots are free again.
    expect(await Promise.all([1, 2, 3].map((i) => ask(queue, { do: i })))).toEqual([1, 2, 3])
  })

  it('throws what the module throws', async () => {
    const { queue } = await setUp(1)
    await expect(ask(queue, { do: 'throw' })).rejects.toThrow('too far')
    await expect(ask(queue, { do: 'text' })).rejects.toThrow('just text')
    await expect(ask(queue, { do: 'function' })).rejects.toThrow(/could not be cloned/)
    await expect(ask(queue, { do: 'symbol' })).rejects.toThrow(/could not be cloned/)
    await expect(ask(queue, { do: 'unreadable' })).rejects.toThrow(/cannot be read/)
  })

  it('fails a message that cannot be handed to a thread, and says so', async () => {
    const handler = workerHandler(program('handler'), { poolSize: 1 })
    closing.push(() => handler.close())
    const { signal } = new AbortController()
    const message = { body: { do: () => 1 }, headers: {} } as never
    await expect(handler(message, { attempt: 1, signal } as never)).rejects.toThrow(
      /cannot be handed to a worker thread: .* could not be cloned/,
    )
  })

  it('goes on with what waits for the only thread when that crashes', async () => {
    const { queue } = await setUp(1, { concurrency: 4 })
    const bad = ['exit', 'crash'].map((how) =>
      expect(ask(queue, { do: how })).rejects.toThrow(/thread ended/),
    )
    expect(await Promise.all([1, 2].map((i) => ask(queue, { do: i })))).toEqual([1, 2])
    await Promise.all(bad)
  })

  it('runs each message of a batch by itself, with an outcome of its own', async () => {
    const { queue, handler } = await setUp(2)
    await queue.consume('batches', handler, {
      batch: { size: 30, waitMs: 100 },
      retry: { maxRetries: 1, delayMs: 60_000 },
    })
    const dead = new Promise((resolve) =>
      queue.on('deadLetter', ({ body }, { reason }) => resolve([body, reason])),
    )
    const asked = ['hello', 'retry', ...Array.from({ length: 27 }, (_, i) => i)].map(
      async (what) => (await queue.request('batches', { do: what }, { timeoutMs: 20_000 })).body,
    )
    await queue.send('batches', { do: 'reject' })
    expect(await dead).toEqual([{ do: 'reject' }, 'rejected'])
    expect((await Promise.all(asked)).slice(0, 4)).toEqual(['hello', 'at last', 0, 1])
  })

  it('counts the attempts of each message of a batch', async () => {
    const handler = workerHandler(program('handler'), { poolSize: 1 })
    closing.push(() => handler.close())
    const batch = [0, 2].map((deliveryCount) => ({ body: { do: 'describe' }, headers: {}, deliveryCount }))
    const { signal } = new AbortController()
    expect(await handler(batch as never, { attempt: 3, signal } as never)).toMatchObject([
      { status: 'fulfilled', value: { attempt: 1 } },
      { status: 'fulfilled', value: { attempt: 3 } },
    ])
    // Node warns of a leak otherwise, once ten wait for a thread.
    expect(getMaxListeners(signal)).toBe(Infinity)
  })

  it('ends a stuck thread at the time-out of its message, which fails alone', async () => {
    const { queue } = await setUp(1, { timeoutMs: 5000 })
    const stuck = expect(ask(queue, { do: 'stuck' })).rejects.toThrow(/longer than its timeoutMs/)
    expect(await Promise.all([1, 2].map((i) => ask(queue, { do: i })))).toEqual([1, 2])
    await stuck
  })

  it('knows RejectError and RetryError', async () => {
    const { queue } = await setUp(1, { retry: { maxRetries: 3, delayMs: 60_000 } })
    const dead = new Promise((resolve) =>
      queue.on('deadLetter', (_, { reason, error }) => resolve([reason, error.name])),
    )
    await queue.send('work', { do: 'reject' })
    expect(await dead).toEqual(['rejected', 'RejectError'])
    // Its own delay, not the policy's minute.
    expect(await ask(queue, { do: 'retry' })).toBe('at last')
  })

  it('knows subclasses of both, which keep their names', async () => {
    const { queue } = await setUp(1, { retry: { maxRetries: 3, delayMs: 60_000 } })
    const dead = new Promise((resolve) =>
      queue.on('deadLetter', (_, { reason, error }) => resolve([reason, error.name])),
    )
    await queue.send('work', { do: 'reject as NoImage' })
    expect(await dead).toEqual(['rejected', 'NoImage'])
    expect(await ask(queue, { do: 'retry as Busy' })).toBe('at last')
  })

  it.each([
    ['throws', /the model file is missing/],
    ['no-default', /no function as its default export/],
    ['does-not-exist', /does not load/],
    ['exits', /exited with code: 0/],
  ])('shows at registration that the module %s', (name, says) => {
    const make = () => workerHandler(program(name))
    expect(make).toThrow(says)
    expect(make).toThrow(ConfigurationError)
  })

  it('does not wait for ever for a module that never loads', () => {
    expect(() => workerHandler(program('never'), { loadTimeoutMs: 1000 })).toThrow(/within 1000 ms/)
  })

  it.each([0, 1.5, 1025, NaN])('refuses the pool size %p', (poolSize) => {
    expect(() => workerHandler(program('handler'), { poolSize })).toThrow(/whole number from 1 to 1024/)
  })

  it.each([0, -1, NaN, 2 ** 31])('refuses the loadTimeoutMs %p', (loadTimeoutMs) => {
    expect(() => workerHandler(program('handler'), { loadTimeoutMs })).toThrow(ConfigurationError)
  })

  it('refuses an option that it does not have', () => {
    const make = () => workerHandler(program('handler'), { poolsize: 9 } as object)
    expect(make).toThrow(/no option "poolsize"; there are poolSize, loadTimeoutMs/)
    expect(make).toThrow(ConfigurationError)
  })

  it('refuses a relative path, whose base nobody knows', () => {
    expect(() => workerHandler('./worker.js')).toThrow(/import.meta.url/)
  })

  it('takes its size from the configuration of its queue, unless it was given one', async () => {
    const connection = { url: 'memory://pool-size' }
    const queue = MessageQueueFactory.createQueue({ connection, workerPoolSize: 2 })
    await queue.connect()
    closing.push(() => queue.disconnect())
    const [byQueue, own] = [
      workerHandler(program('handler')),
      workerHandler(program('handler'), { poolSize: 3 }),
    ]
    closing.push(byQueue.close, own.close)
    await queue.consume('work', byQueue)
    await queue.consume('batches', byQueue, { batch: { size: 1, waitMs: 0 } })
    await queue.consume('own', own)
    for (const name of ['work', 'batches', 'own']) {
      const { body } = await queue.request(name, { do: name }, { timeoutMs: 20_000 })
      expect(body).toBe(name)
    }
    expect([byQueue.poolSize, own.poolSize]).toEqual([2, 3])
  })

  it('takes its size from WORKER_POOL_SIZE, else 4', () => {
    const before = process.env['WORKER_POOL_SIZE']
    try {
      delete process.env['WORKER_POOL_SIZE']
      expect(workerHandler(program('handler')).poolSize).toBe(4)
      process.env['WORKER_POOL_SIZE'] = '7'
      expect(workerHandler(program('handler')).poolSize).toBe(7)
      for (const wrong of ['0', '0x10', 'many']) {
        process.env['WORKER_POOL_SIZE'] = wrong
        expect(() => workerHandler(program('handler'))).toThrow(`WORKER_POOL_SIZE: "${wrong}", expected `)
      }
    } finally {
      if (before === undefined) delete process.env['WORKER_POOL_SIZE']
      else process.env['WORKER_POOL_SIZE'] = before
    }
  })
})
