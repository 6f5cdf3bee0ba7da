import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode } from '../../src/adapter/index.ts'
import { labelOf } from '../../src/message/target.ts'
import type { MessageQueueConfigInput } from '../../src/config/message-queue-config.ts'
import { QueueConfig } from '../../src/config/queue-config.ts'
import { connectedBench, deferred, lastOf, refusal, until, type EngineBench } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'

const q = { queue: 'q' }
const sub = { topic: 't', subscription: 's' }
const names = (bench: EngineBench) => bench.adapter.declared.map(({ target }) => labelOf(target))

describe('a queue with a name of the user’s own for the dead letters of others', () => {
  const limits = { messageTtl: 60_000, maxLength: 10 }

  it.each<[string, object, MessageQueueConfigInput]>([
    ['a queue', { deadLetterQueue: 'graveyard' }, {}],
    ['the default of queues', {}, { defaultQueueConfig: { deadLetterQueue: 'graveyard' } }],
    ['the default of consumers', {}, { consumer: { deadLetterQueue: 'graveyard' } }],
  ])('named by %s has no dead letters and no limits of its own', async (_by, own, config) => {
    const bench = await connectedBench({
      ...config,
      defaultQueueConfig: { ...limits, ...config.defaultQueueConfig },
    })
    const { topology } = bench.engine
    await topology.create(q, { config: QueueConfig.parse({ name: 'q', ...own }) })
    expect(await topology.ensure({ queue: 'graveyard' })).toMatchObject({
      deadLetterQueue: null,
      maxRedeliveries: Number.MAX_SAFE_INTEGER,
      messageTtl: null,
      maxLength: null,
    })
    expect(topology.holdsDeadLetters({ queue: 'graveyard' })).toBe(true)
    expect(topology.holdsDeadLetters(q)).toBe(false)
  })

  it('is none any more once nobody’s dead letters go there', async () => {
    const bench = await connectedBench({ defaultQueueConfig: limits })
    const { topology } = bench.engine
    const config = (name: string) => QueueConfig.parse({ name, deadLetterQueue: 'graveyard' })
    const holds = () => topology.holdsDeadLetters({ queue: 'graveyard' })
    for (const name of ['q', 'r']) await topology.create({ queue: name }, { config: config(name) })
    await topology.create(q, { config: config('q') })
    topology.divertDeadLetters({ queue: 's' }, 'graveyard')
    topology.forget(q)
    topology.forget({ queue: 'r' })
    expect(holds()).toBe(true)
    topology.divertDeadLetters({ queue: 's' }, 'elsewhere')
    expect(holds()).toBe(false)
    bench.adapter.onDeclare = () => Promise.reject(new AdapterError(ErrorCode.QUEUE_CONFLICT, 'differs'))
    await refusal(topology.create(q, { config: config('q') }))
    expect(holds()).toBe(false)
  })

  it('is a work queue all the same when it names another one for its own', async () => {
    const bench = await connectedBench({ defaultQueueConfig: limits })
    const { topology } = bench.engine
    const config = (name: string, deadLetterQueue: string) => QueueConfig.parse({ name, deadLetterQueue })
    await topology.create(q, { config: config('q', 'review') })
    await topology.create({ queue: 'review' }, { config: config('review', 'graveyard') })
    expect(topology.settingsOf('review')).toMatchObject({ deadLetterQueue: 'graveyard', ...limits })
    expect(topology.holdsDeadLetters({ queue: 'review' })).toBe(false)
  })

  it('drops nothing of what its own consumer fails at', async () => {
    const bench = await connectedBench({ consumer: { deadLetterQueue: 'q' }, maxRetryAttempts: 0 })
    const { consumer, receiver } = await bench.consume(() => {
      throw new Error('no')
    })
    receiver.give(delivery('a'))
    await until(() => receiver.settled.length > 0)
    expect(receiver.settled).toMatchObject([{ kind: 'retry', ids: ['a'] }])
    await consumer.stop()
  })

  it('is looked at by its own name', async () => {
    const bench = await connectedBench()
    bench.engine.topology.divertDeadLetters(q, 'graveyard')
    expect(bench.engine.topology.deadLetterQueueOf({ queue: 'graveyard' })).toBeNull()
    expect(bench.engine.topology.holdsDeadLetters({ queue: 'graveyard' })).toBe(true)
  })
})

describe('Topology.ensure', () => {
  it('declares a queue once, whoever asks and however often', async () => {
    const bench = await connectedBench()
    const { topology } = bench.engine
    const gate = deferred()
    bench.adapter.onDeclare = async () => {
      await gate.promise
      return {}
    }
    const both = [topology.ensure(q), topology.ensure(q)]
    gate.resolve()
    const [first, second] = await Promise.all(both)
    await topology.ensure(q)
    expect(first).toBe(second)
    expect(names(bench)).toEqual(['q'])
    expect(bench.adapter.declared[0]?.declaration.ifExists).toBe('take')
    expect(topology.settingsOf('q')).toBe(first)
  })

  it('takes the settings that the broker reveals for its own', async () => {
    const bench = await connectedBench()
    bench.adapter.onDeclare = async () => ({ maxPriority: 5 })
    expect(await bench.engine.topology.ensure(q)).toMatchObject({
      maxPriority: 5,
      durable: true,
      deadLetterQueue: 'q.dlq',
    })
  })

  it('asks again after a failure', async () => {
    const bench = await connectedBench()
    bench.adapter.onDeclare = () => Promise.reject(new Error('busy'))
    expect((await refusal(bench.engine.topology.ensure(q))).message).toContain('Cannot declare q: busy')
    bench.adapter.onDeclare = async () => ({})
    await bench.engine.topology.ensure(q)
    expect(names(bench)).toEqual(['q', 'q'])
  })

  it('makes the topic before a subscription, which takes everything unless told otherwise', async () => {
    const bench = await connectedBench()
    const settings = await bench.engine.topology.ensure(sub)
    expect(names(bench)).toEqual(['topic t', 't/s'])
    expect(bench.adapter.declared.map(({ declaration }) => declaration.pattern)).toEqual([undefined, '#'])
    expect(settings.deadLetterQueue).toBe('t.s.dlq')
  })

  it('declares nothing with autoDeclare off, and knows the settings all the same', async () => {
    const bench = await connectedBench({ autoDeclare: false })
    expect(await bench.engine.topology.ensure(q)).toMatchObject({ deadLetterQueue: 'q.dlq' })
    expect(names(bench)).toEqual([])
    await bench.engine.topology.create(q, {})
    expect(names(bench)).toEqual(['q'])
  })

  it('refuses what the broker cannot do, before it is asked', async () => {
    const config = { defaultQueueConfig: { maxPriority: 5 } }
    const bench = await connectedBench(config, fakeAdapter({ priorityLevels: 1 }))
    expect(await refusal(bench.engine.topology.ensure(q))).toMatchObject({ code: ErrorCode.UNSUPPORTED })
    expect(names(bench)).toEqual([])
  })

  it('gives up on a broker that does not answer', async () => {
    const bench = await connectedBench({ producer: { requestTimeoutMs: 100 } })
    bench.adapter.onDeclare = () => new Promise(() => undefined)
    const failed = refusal(bench.engine.topology.ensure(q))
    await bench.clock.advance(100)
    expect(await failed).toMatchObject({ code: ErrorCode.TIMEOUT })
  })
})

describe('Topology.on', () => {
  const gone = () => Promise.reject(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'there is no q'))

  it('makes a queue again that was deleted underneath, as it was, and asks once more', async () => {
    const bench = await connectedBench()
    const { topology } = bench.engine
    await topology.ensure(q, QueueConfig.parse({ name: 'q', maxLength: 7 }))
    let calls = 0
    const size = await topology.on(q, undefined, () => (calls++ === 0 ? gone() : Promise.resolve(0)))
    expect([size, calls]).toEqual([0, 2])
    expect(bench.adapter.declared.map(({ declaration }) => declaration.settings.maxLength)).toEqual([7, 7])
  })

  it('asks no third time, and not again for any other reason', async () => {
    const bench = await connectedBench()
    let calls = 0
    const failing = (error: () => Promise<never>) =>
      bench.engine.topology.on(q, undefined, () => {
        calls++
        return error()
      })
    await expect(failing(gone)).rejects.toThrow('there is no q')
    expect(calls).toBe(2)
    await expect(failing(() => Promise.reject(new Error('busy')))).rejects.toThrow('busy')
    expect(calls).toBe(3)
  })

  it('leaves a missing queue missing with autoDeclare off', async () => {
    const bench = await connectedBench({ autoDeclare: false })
    await expect(bench.engine.topology.on(q, undefined, gone)).rejects.toThrow('there is no q')
    expect(bench.adapter.declared).toEqual([])
  })
})

describe('without a connection', () => {
  it('a declaration waits for it', async () => {
    const bench = await connectedBench()
    bench.adapter.onConnect = () => Promise.reject(new Error('down'))
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    const declared = bench.engine.topology.ensure(q)
    await bench.clock.advance(1_000)
    expect(names(bench)).toEqual([])
    bench.adapter.onConnect = () => Promise.resolve()
    await bench.clock.advance(5_000)
    await declared
    expect(names(bench)).toEqual(['q'])
  })

  it('one that the loss interrupts is made again', async () => {
    const bench = await connectedBench()
    bench.adapter.onDeclare = () => {
      bench.adapter.onDeclare = async () => ({})
      lastOf(bench.adapter.connections).lost(new Error('cut'))
      return Promise.reject(new AdapterError(ErrorCode.CONNECTION, 'cut'))
    }
    const declared = bench.engine.topology.ensure(q)
    await bench.clock.advance(5_000)
    await declared
    expect(names(bench)).toEqual(['q', 'q'])
  })

  it('one that is to be made again is told when the queue disconnects', async () => {
    const bench = await connectedBench()
    bench.adapter.onDeclare = () => Promise.reject(new AdapterError(ErrorCode.CONNECTION, 'cut'))
    const failed = refusal(bench.engine.topology.ensure(q))
    await until(() => names(bench).length === 1)
    await bench.engine.supervisor.disconnect(() => Promise.resolve())
    expect(await failed).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
  })

  it('it gives up in time, and says why', async () => {
    const bench = await connectedBench({ producer: { requestTimeoutMs: 100 } })
    bench.adapter.onConnect = () => Promise.reject(new Error('down'))
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    const failed = refusal(bench.engine.topology.ensure(q))
    await bench.clock.advance(100)
    expect(await failed).toMatchObject({ name: 'ConnectionError', code: ErrorCode.TIMEOUT })
  })
})

describe('a queue that is made by name', () => {
  const config = QueueConfig.parse({ name: 'q', maxRedeliveries: 5 })

  it('is waited for by whoever uses it meanwhile', async () => {
    const bench = await connectedBench()
    const { topology } = bench.engine
    const made = topology.create(q, { config })
    expect(await topology.ensure(q)).toMatchObject({ maxRedeliveries: 5 })
    await made
    expect(names(bench)).toEqual(['q'])
  })

  it('is what was asked for, although it was in use before', async () => {
    const bench = await connectedBench()
    const { topology } = bench.engine
    const first = deferred<object>()
    bench.adapter.onDeclare = () => first.promise
    const used = topology.ensure(q)
    await until(() => bench.adapter.declared.length === 1)
    bench.adapter.onDeclare = () => Promise.resolve({})
    await topology.create(q, { config })
    first.resolve({})
    expect(await used).toMatchObject({ maxRedeliveries: 5 })
    expect(topology.settingsOf('q')).toMatchObject({ maxRedeliveries: 5 })
  })

  it('is used as it is when making it was refused', async () => {
    const bench = await connectedBench()
    const { topology } = bench.engine
    bench.adapter.onDeclare = () => {
      bench.adapter.onDeclare = () => Promise.resolve({})
      return Promise.reject(new AdapterError(ErrorCode.QUEUE_CONFLICT, 'differs'))
    }
    const refused = refusal(topology.create(q, { config }))
    expect(await topology.ensure(q)).toMatchObject({ maxRedeliveries: 20 })
    expect((await refused).code).toBe(ErrorCode.QUEUE_CONFLICT)
  })
})

describe('a conflict', () => {
  it('names every difference with both values, and nothing is remembered', async () => {
    const bench = await connectedBench()
    const differences = [{ field: 'maxLength', existing: 5, requested: 6 }]
    bench.adapter.onDeclare = () =>
      Promise.reject(new AdapterError(ErrorCode.QUEUE_CONFLICT, 'differs', { differences }))
    const error = await refusal(bench.engine.topology.create(q, {}))
    expect(error).toMatchObject({ name: 'QueueConflictError', differences })
    expect(bench.engine.topology.settingsOf('q')).toBeUndefined()
  })
})

describe('Topology.forget', () => {
  it('forgets a queue; a topic with its subscriptions', async () => {
    const { engine } = await connectedBench()
    for (const target of [q, sub, { topic: 'tt', subscription: 's' }]) await engine.topology.ensure(target)
    engine.topology.forget(q)
    engine.topology.forget({ topic: 't' })
    expect(['q', 't/', 't/s', 'tt/s'].map((key) => engine.topology.settingsOf(key) !== undefined)).toEqual([
      false,
      false,
      false,
      true,
    ])
  })
})

describe('Topology.missing', () => {
  it('has the next use declare what is missing as it was', async () => {
    const { engine, adapter } = await connectedBench()
    const config = QueueConfig.parse({ name: 'q', maxPriority: 5 })
    await engine.topology.ensure(q, config)
    await engine.topology.create(sub, { pattern: 'a.*' })
    for (const target of [q, sub]) engine.topology.missing(target)
    adapter.declared.length = 0
    for (const target of [q, sub]) await engine.topology.ensure(target)
    expect(
      adapter.declared.map(({ declaration: { settings, pattern } }) => [settings.maxPriority, pattern]),
    ).toEqual([
      [5, undefined],
      [null, 'a.*'],
    ])
    engine.topology.forget(q)
    await engine.topology.ensure(q)
    expect(lastOf(adapter.declared).declaration.settings.maxPriority).toBeNull()
  })
})

describe('Topology.redeclare', () => {
  it('declares all again, topics first, and goes on after one that fails', async () => {
    const bench = await connectedBench()
    await bench.engine.topology.ensure(sub)
    await bench.engine.topology.ensure(q)
    bench.adapter.declared.length = 0
    bench.adapter.onDeclare = (target) =>
      'subscription' in target ? Promise.reject(new Error('no')) : Promise.resolve({})
    await bench.engine.topology.redeclare(() => true)
    expect(names(bench)).toEqual(['topic t', 't/s', 'q'])
    expect(bench.log.filter(({ level }) => level === 'warn')).toHaveLength(1)
  })
})
