import { getMaxListeners } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode, type BrokerAdapter } from '../src/adapter/index.ts'
import { Supervisor, type SupervisorOptions } from '../src/supervisor.ts'
import { deferred, lastOf, queueBench, recorder, refusal, until } from './engine-bench.ts'
import { fakeAdapter } from './fake-adapter.ts'
import { settled, VirtualClock } from './memory/virtual-clock.ts'

const NOTHING = () => Promise.resolve()

function bench(changes: Partial<SupervisorOptions> = {}) {
  const adapter = fakeAdapter()
  const clock = new VirtualClock()
  const events: string[] = []
  const supervisor = new Supervisor({
    loadAdapter: () => Promise.resolve<BrokerAdapter>(adapter),
    prepare: NOTHING,
    connectTimeoutMs: 1000,
    clock,
    logger: recorder([]),
    events: {
      up: async () => void events.push('up'),
      down: () => events.push('down'),
      closed: () => events.push('closed'),
      reconnecting: ({ attempt }) => events.push(`reconnecting ${attempt}`),
      failed: ({ code }) => events.push(`failed ${code}`),
    },
    ...changes,
  })
  const lose = () => lastOf(adapter.connections).lost(new Error('cut'))
  return { adapter, clock, events, supervisor, lose }
}

describe('Supervisor.connect', () => {
  it('shares one attempt among concurrent calls, and does nothing when connected', async () => {
    const { supervisor, adapter, events } = bench()
    await Promise.all([supervisor.connect(), supervisor.connect()])
    await supervisor.connect()
    expect(adapter.connections).toHaveLength(1)
    expect(events).toEqual(['up'])
    expect(supervisor.state).toBe('connected')
  })

  it('has a lifetime that any number may wait for the end of, without a warning of Node', async () => {
    const { supervisor } = bench()
    for (let i = 0; i < 2; i++) {
      await supervisor.connect()
      expect(getMaxListeners(supervisor.lifetime)).toBe(Infinity)
      await supervisor.disconnect(NOTHING)
    }
  })

  it('makes one attempt only, and rejects with what it failed with', async () => {
    const { supervisor, adapter, clock } = bench()
    adapter.onConnect = () => Promise.reject(new Error('refused'))
    const error = await refusal(supervisor.connect())
    expect(error).toMatchObject({ name: 'ConnectionError', code: ErrorCode.CONNECTION })
    expect(error.message).toContain('refused')
    await clock.advance(60_000)
    expect(adapter.connections).toHaveLength(1)
    expect(supervisor.state).toBe('disconnected')
  })

  it('keeps the code of refused credentials', async () => {
    const { supervisor, adapter } = bench()
    adapter.onConnect = () => Promise.reject(new AdapterError(ErrorCode.AUTHENTICATION, 'who are you'))
    expect(await refusal(supervisor.connect())).toMatchObject({
      name: 'ConnectionError',
      code: ErrorCode.AUTHENTICATION,
    })
  })

  it('gives up on an attempt that hangs after connectionTimeout, and can try again', async () => {
    const { supervisor, adapter, clock } = bench()
    adapter.onConnect = () => new Promise(() => undefined)
    const attempt = refusal(supervisor.connect())
    await settled()
    await clock.advance(1000)
    expect(await attempt).toMatchObject({ name: 'ConnectionError' })
    adapter.onConnect = NOTHING
    await supervisor.connect()
    expect(supervisor.state).toBe('connected')
  })

  it.each<[string, Partial<SupervisorOptions>]>([
    ['an adapter', { loadAdapter: () => new Promise(() => undefined) }],
    ['codecs', { prepare: () => new Promise(() => undefined) }],
  ])('gives up on %s that never loads after connectionTimeout', async (_what, hanging) => {
    const { supervisor, clock } = bench(hanging)
    const attempt = refusal(supervisor.connect())
    await clock.advance(999)
    expect(supervisor.state).toBe('connecting')
    await clock.advance(1)
    expect(await attempt).toMatchObject({ name: 'ConnectionError', code: ErrorCode.CONNECTION })
    expect(supervisor.state).toBe('disconnected')
  })

  it('takes no longer than connectionTimeout for loading and connecting together', async () => {
    const { supervisor, adapter, clock } = bench({
      prepare: () => new Promise((resolve) => clock.setTimeout(resolve, 600)),
    })
    adapter.onConnect = () => new Promise(() => undefined)
    const attempt = refusal(supervisor.connect())
    await clock.advance(1000)
    expect(await attempt).toMatchObject({ name: 'ConnectionError' })
  })

  it('drops an adapter that loads too late', async () => {
    const late = deferred<BrokerAdapter>()
    const [first, second] = [fakeAdapter(), fakeAdapter()]
    const loads = [late.promise, Promise.resolve(second)]
    const { supervisor, clock } = bench({ loadAdapter: () => loads.shift() as Promise<BrokerAdapter> })
    const attempt = refusal(supervisor.connect())
    await clock.advance(1000)
    await attempt
    await supervisor.connect()
    late.resolve(first)
    await settled()
    expect(supervisor.adapter).toBe(second)
    expect(first.connections).toEqual([])
  })

  it('closes what comes up after its time, and connects anew', async () => {
    const { supervisor, adapter, clock } = bench()
    const late = deferred()
    adapter.onConnect = () => late.promise
    const attempt = refusal(supervisor.connect())
    await clock.advance(1000)
    await attempt
    late.resolve()
    await settled()
    expect(adapter.disconnects).toBe(1)
    adapter.onConnect = NOTHING
    await supervisor.connect()
    expect(supervisor.state).toBe('connected')
    expect(supervisor.lifetime.aborted).toBe(false)
  })

  it('rejects when the adapter cannot be loaded', async () => {
    const { supervisor } = bench({ loadAdapter: () => Promise.reject(new Error('not installed')) })
    await expect(supervisor.connect()).rejects.toThrow('not installed')
    expect(supervisor.state).toBe('disconnected')
    expect(() => supervisor.adapter).toThrow('needs a connection')
  })

  it.each([
    [ErrorCode.CONFIGURATION, 'ConfigurationError'],
    [ErrorCode.UNSUPPORTED, 'UnsupportedError'],
  ])('rejects with an error of its own where making the adapter fails with %s', async (code, name) => {
    const { supervisor } = bench({
      loadAdapter: () => Promise.reject(new AdapterError(code, 'no such thing')),
    })
    const error = await refusal(supervisor.connect())
    expect(error).toMatchObject({ code, name, message: expect.stringContaining('no such thing') })
  })

  it('fails when the connection is lost before it was up', async () => {
    const { supervisor, adapter } = bench()
    adapter.onConnect = async () => lastOf(adapter.connections).lost(new Error('too early'))
    expect((await refusal(supervisor.connect())).message).toContain('too early')
  })
})

describe('a lost connection', () => {
  it('is made again, after growing waits, until it is up', async () => {
    const { supervisor, adapter, clock, events, lose } = bench()
    await supervisor.connect()
    adapter.onConnect = () => Promise.reject(new Error('still down'))
    lose()
    expect(supervisor.state).toBe('reconnecting')
    await until(() => clock.timers > 0)
    await clock.advance(65)
    expect(events).toEqual(['up', 'down', 'reconnecting 1', 'reconnecting 2'])
    expect(supervisor.failure?.message).toContain('still down')
    adapter.onConnect = NOTHING
    await clock.advance(200)
    expect(supervisor.state).toBe('connected')
    expect(events.at(-1)).toBe('up')
    expect(supervisor.failure).toBeNull()
  })

  it('is told once, and late events of it mean nothing to the next one', async () => {
    const { supervisor, adapter, clock, events } = bench()
    await supervisor.connect()
    const [old] = adapter.connections
    old?.lost(new Error('cut'))
    old?.lost(new Error('cut again'))
    await clock.advance(100)
    expect(supervisor.state).toBe('connected')
    old?.lost(new Error('late'))
    old?.blocked('late')
    expect(supervisor.state).toBe('connected')
    expect(supervisor.blocked).toBeNull()
    expect(events.filter((event) => event === 'down')).toHaveLength(1)
  })

  it('is looked at rarely while the credentials are refused, and those who wait are told at once', async () => {
    const { supervisor, adapter, clock, events, lose } = bench()
    await supervisor.connect()
    adapter.onConnect = () => Promise.reject(new AdapterError(ErrorCode.AUTHENTICATION, 'changed'))
    lose()
    const waiting = refusal(supervisor.ready('send', 60_000))
    await clock.advance(100)
    expect((await waiting).code).toBe(ErrorCode.AUTHENTICATION)
    expect(await refusal(supervisor.ready('send', 60_000))).toMatchObject({ code: ErrorCode.AUTHENTICATION })
    expect(events).toContain(`failed ${ErrorCode.AUTHENTICATION}`)
    const attempts = adapter.connections.length
    await clock.advance(9000)
    expect(adapter.connections).toHaveLength(attempts)
    adapter.onConnect = NOTHING
    await clock.advance(1000)
    expect(supervisor.state).toBe('connected')
  })

  it('ends `connect` that waits for it, when it is up', async () => {
    const { supervisor, clock, lose } = bench()
    await supervisor.connect()
    lose()
    const again = supervisor.connect()
    await clock.advance(100)
    await again
    expect(supervisor.state).toBe('connected')
  })

  it('ends `connect` that waits for it, also when the broker accepts no messages', async () => {
    const { supervisor, adapter, clock, lose } = bench()
    await supervisor.connect()
    adapter.onConnect = async () => lastOf(adapter.connections).blocked('out of memory')
    lose()
    const again = supervisor.connect()
    await clock.advance(100)
    await again
    expect([supervisor.state, supervisor.blocked]).toEqual(['connected', 'out of memory'])
  })

  it('knows nothing of what was said in an attempt that failed', async () => {
    const { supervisor, adapter } = bench()
    adapter.onConnect = async () => {
      lastOf(adapter.connections).blocked('out of memory')
      throw new Error('refused')
    }
    await refusal(supervisor.connect())
    adapter.onConnect = NOTHING
    await supervisor.connect()
    expect(supervisor.blocked).toBeNull()
    await supervisor.ready('send', 0)
  })
})

describe('Supervisor.ready', () => {
  it('waits for the connection, at most so long', async () => {
    const { supervisor, adapter, clock, lose } = bench()
    await supervisor.connect()
    adapter.onConnect = () => new Promise(() => undefined)
    lose()
    const waiting = refusal(supervisor.ready('send', 500))
    await clock.advance(500)
    const error = await waiting
    expect(error).toMatchObject({ name: 'ConnectionError', code: ErrorCode.TIMEOUT })
    expect(error.message).toBe('send waited 500 ms: the connection is down')
  })

  it('waits while the broker is blocked, unless the operation goes on even then', async () => {
    const { supervisor, adapter } = bench()
    await supervisor.connect()
    lastOf(adapter.connections).blocked('out of memory')
    await supervisor.ready('receive', 10, true)
    let ready = false
    const waiting = supervisor.ready('send', 1000).then(() => (ready = true))
    await settled()
    expect(ready).toBe(false)
    lastOf(adapter.connections).blocked(null)
    await waiting
    expect(ready).toBe(true)
  })

  it('refuses before connect', async () => {
    const { supervisor } = bench()
    expect(await refusal(supervisor.ready('send', 10))).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
    expect(() => supervisor.adapterFor('send')).toThrow('send needs a connection')
  })
})

describe('Supervisor.disconnect', () => {
  it('closes once for concurrent calls, and connect works again', async () => {
    const { supervisor, adapter } = bench()
    await supervisor.connect()
    let closing = 0
    const before = async () => void closing++
    await Promise.all([supervisor.disconnect(before), supervisor.disconnect(before)])
    await supervisor.disconnect(before)
    expect([closing, adapter.disconnects, supervisor.state]).toEqual([1, 1, 'disconnected'])
    await supervisor.connect()
    expect(supervisor.state).toBe('connected')
  })

  it('ends an attempt under way', async () => {
    const { supervisor, adapter } = bench()
    adapter.onConnect = (signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      )
    const attempt = refusal(supervisor.connect())
    await settled()
    await supervisor.disconnect(NOTHING)
    expect(await attempt).toMatchObject({ name: 'ConnectionError', code: ErrorCode.ABORTED })
    expect(supervisor.state).toBe('disconnected')
  })

  it('ends an attempt whose adapter never loads', async () => {
    const { supervisor, events } = bench({ loadAdapter: () => new Promise(() => undefined) })
    const attempt = refusal(supervisor.connect())
    await settled()
    await supervisor.disconnect(NOTHING)
    expect(await attempt).toMatchObject({ name: 'ConnectionError', code: ErrorCode.ABORTED })
    expect([supervisor.state, events]).toEqual(['disconnected', []])
  })

  it('ends an attempt of an adapter that heeds no signal', async () => {
    const { supervisor, adapter, clock } = bench()
    adapter.onConnect = () => new Promise(() => undefined)
    const attempt = refusal(supervisor.connect())
    await settled()
    const closing = supervisor.disconnect(NOTHING)
    await settled()
    await clock.advance(1000)
    await closing
    await attempt
    expect(supervisor.state).toBe('disconnected')
  })

  it('ends reconnecting, and rejects those who wait', async () => {
    const { supervisor, adapter, clock, lose } = bench()
    await supervisor.connect()
    lose()
    const waiting = refusal(supervisor.ready('send', 60_000))
    await supervisor.disconnect(NOTHING)
    expect(await waiting).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
    const attempts = adapter.connections.length
    await clock.advance(60_000)
    expect(adapter.connections).toHaveLength(attempts)
    expect(supervisor.state).toBe('disconnected')
  })

  it('ends while the attempt to reconnect is under way, leaving nothing connected', async () => {
    const { supervisor, adapter, clock, lose } = bench()
    await supervisor.connect()
    const dialling = deferred()
    adapter.onConnect = () => dialling.promise
    lose()
    await clock.advance(100)
    await supervisor.disconnect(NOTHING)
    const { disconnects } = adapter
    dialling.resolve()
    await settled()
    expect(adapter.disconnects).toBe(disconnects + 1)
    await clock.advance(10_000)
    expect(supervisor.state).toBe('disconnected')
  })

  it('settles although the adapter never closes', async () => {
    const { supervisor, adapter, clock } = bench()
    await supervisor.connect()
    adapter.disconnect = () => new Promise(() => undefined)
    const closing = supervisor.disconnect(NOTHING)
    await settled()
    await clock.advance(5000)
    await closing
    expect(supervisor.state).toBe('disconnected')
  })
})

it('tells of no connection that is gone by the time its queues are declared', async () => {
  const { queue, adapter, clock } = queueBench()
  await queue.connect()
  await Promise.all(['a', 'b'].map((name) => queue.createQueue({ name })))
  const names: string[] = []
  for (const name of ['connected', 'disconnected'] as const) queue.on(name, () => names.push(name))
  lastOf(adapter.connections).lost(new Error('cut'))
  const gate = deferred<object>()
  adapter.onDeclare = () => gate.promise
  const before = adapter.declared.length
  await clock.advance(100)
  await until(() => adapter.declared.length > before)
  await queue.disconnect()
  gate.resolve({})
  await settled()
  expect(names).toEqual(['disconnected', 'disconnected'])
  expect(adapter.declared).toHaveLength(before + 1)
})
