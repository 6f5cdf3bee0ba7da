import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode, type Delivery } from '../../src/adapter/index.ts'
import {
  connectedBench,
  deferred,
  lastOf,
  refusal,
  settled,
  until,
  type EngineBench,
} from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'
import { resolveQueue } from '../../src/message/typed.ts'

const receive = (bench: EngineBench, timeoutMs?: number) =>
  bench.receiving.receive(resolveQueue('q'), timeoutMs === undefined ? {} : { timeoutMs })

async function opened(bench: EngineBench) {
  await until(() => bench.adapter.receivers.length > 0, 'an open receiver')
  return lastOf(bench.adapter.receivers)
}

describe('receive', () => {
  it('asks for as many messages as calls wait, and gives each its own', async () => {
    const bench = await connectedBench()
    const calls = ['', '', ''].map(() => receive(bench, 5000))
    const receiver = await opened(bench)
    receiver.give(...['a', 'b', 'c', 'd'].map((id) => delivery(id)))
    const got = await Promise.all(calls)
    expect(got.map((message) => message?.id)).toEqual(['a', 'b', 'c'])
    expect(bench.adapter.receivers).toHaveLength(1)
    expect(receiver.source).toMatchObject({ mode: 'pull' })
    expect(receiver.settled).toEqual([])
    expect(bench.engine.stats).toMatchObject({ messagesReceived: 3, inFlight: 3 })
  })

  it('answers null after one look without a time-out', async () => {
    const bench = await connectedBench()
    await expect(receive(bench)).resolves.toBeNull()
    expect(lastOf(bench.adapter.receivers).asked).toEqual([1])
  })

  it('answers null no earlier than its time-out', async () => {
    const bench = await connectedBench()
    let answer: unknown = 'waiting'
    void receive(bench, 3000).then((message) => (answer = message))
    await opened(bench)
    await bench.clock.advance(2999)
    expect(answer).toBe('waiting')
    await bench.clock.advance(1)
    await until(() => answer !== 'waiting')
    expect(answer).toBeNull()
  })

  it('does not make one that only looks wait for one that waits', async () => {
    const bench = await connectedBench()
    const patient = receive(bench, 60_000)
    const receiver = await opened(bench)
    await expect(receive(bench)).resolves.toBeNull()
    receiver.give(delivery('a'))
    expect((await patient)?.id).toBe('a')
  })

  it('lets a look come to its end although others go on coming, which have looks of their own', async () => {
    const bench = await connectedBench()
    const { open } = bench.adapter
    const looks: { asked: number; end: (deliveries: readonly Delivery[]) => void }[] = []
    bench.adapter.open = async (...args) => ({
      ...(await open(...args)),
      receive: (asked, signal) =>
        new Promise((end) => {
          looks.push({ asked, end })
          signal.addEventListener('abort', () => end([]))
        }),
    })
    const answers: string[] = []
    const call = (name: string) =>
      void receive(bench).then((message) => answers.push(`${name}: ${message?.id}`))
    call('first')
    await until(() => looks.length === 1)
    for (const name of ['second', 'third']) call(name)
    await settled()
    expect(looks).toHaveLength(1)
    looks[0]?.end([delivery('a')])
    await until(() => looks.length === 2)
    expect([looks[1]?.asked, answers]).toEqual([2, ['first: a']])
    looks[1]?.end([delivery('b')])
    await until(() => answers.length === 3)
    expect(answers).toEqual(['first: a', 'second: b', 'third: undefined'])
  })

  it('passes over what nobody should see: dead-lettered, and the wait goes on', async () => {
    const bench = await connectedBench()
    const call = receive(bench, 5000)
    const receiver = await opened(bench)
    receiver.give(delivery('old', { expiresAt: 1 }))
    await until(() => receiver.settled.length === 1)
    receiver.give(delivery('bad', { body: new TextEncoder().encode('{') }))
    await until(() => receiver.settled.length === 2)
    receiver.give(delivery('good'))
    expect((await call)?.id).toBe('good')
    expect(receiver.settled).toMatchObject([{ reasons: ['expired'] }, { reasons: ['undecodable'] }])
  })

  it('closes an idle receiver, and opens it when it is needed again', async () => {
    const bench = await connectedBench()
    await receive(bench)
    const receiver = lastOf(bench.adapter.receivers)
    await bench.clock.advance(9999)
    expect(receiver.closed).toBe(false)
    await bench.clock.advance(1)
    expect(receiver.closed).toBe(true)
    await receive(bench)
    expect(bench.adapter.receivers).toHaveLength(2)
  })

  it('keeps the receiver of a message that is not settled yet', async () => {
    const bench = await connectedBench()
    const call = receive(bench, 1000)
    const receiver = await opened(bench)
    receiver.give(delivery('a'))
    const message = await call
    await bench.clock.advance(20_000)
    expect(receiver.closed).toBe(false)
    await bench.receiving.acknowledge(message as never)
    expect(receiver.settled.filter(({ kind }) => kind === 'ack')).toEqual([{ kind: 'ack', ids: ['a'] }])
    await bench.clock.advance(20_000)
    expect(receiver.closed).toBe(true)
  })

  it('keeps the receiver in which a message of an ordered queue waits to be tried again', async () => {
    const config = { defaultQueueConfig: { ordered: true } }
    const bench = await connectedBench(config, fakeAdapter({ retryKeepsOrder: false }))
    const call = receive(bench, 1000)
    const receiver = await opened(bench)
    receiver.give(delivery('a', { key: 'k' }))
    await bench.receiving.reject((await call) as never, { requeue: true, delayMs: 60_000 })
    await bench.clock.advance(60_000)
    expect(receiver.closed).toBe(false)
    await bench.clock.advance(20_000)
    expect(receiver.closed).toBe(true)
  })

  it('makes a queue again that was deleted underneath, once', async () => {
    const bench = await connectedBench()
    await receive(bench)
    lastOf(bench.adapter.receivers).fail(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'deleted'))
    await expect(receive(bench)).resolves.toBeNull()
    expect(bench.adapter.receivers).toHaveLength(2)
    bench.adapter.onOpen = () => Promise.reject(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'deleted'))
    lastOf(bench.adapter.receivers).fail(new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'deleted'))
    expect(await refusal(receive(bench))).toMatchObject({ name: 'QueueNotFoundError' })
  })

  it('rejects with a wrapped error when the receiver fails, and works again afterwards', async () => {
    const bench = await connectedBench()
    const call = refusal(receive(bench, 5000))
    const receiver = await opened(bench)
    receiver.fail(new Error('channel closed'))
    const error = await call
    expect(error.message).toContain('Cannot receive from q: channel closed')
    expect(error.cause).toMatchObject({ message: 'channel closed' })
    await expect(receive(bench)).resolves.toBeNull()
  })

  it('waits out a lost connection, as long as its time-out', async () => {
    const bench = await connectedBench()
    const patient = receive(bench, 60_000)
    const impatient = refusal(receive(bench, 300))
    await opened(bench)
    const down = () => Promise.reject(new AdapterError(ErrorCode.CONNECTION, 'down'))
    bench.adapter.onConnect = down
    bench.adapter.onOpen = down
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    await bench.clock.advance(1000)
    expect(await impatient).toMatchObject({ code: ErrorCode.TIMEOUT })
    bench.adapter.onConnect = () => Promise.resolve()
    bench.adapter.onOpen = () => Promise.resolve()
    await bench.clock.advance(5000)
    await until(() => bench.adapter.receivers.length === 2)
    lastOf(bench.adapter.receivers).give(delivery('a'))
    expect((await patient)?.id).toBe('a')
  })

  it('waits out a connection whose loss shows in its receiver first', async () => {
    const bench = await connectedBench()
    const call = receive(bench, 60_000)
    const receiver = await opened(bench)
    receiver.fail(new AdapterError(ErrorCode.CONNECTION, 'socket closed'))
    await settled()
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    await bench.clock.advance(1000)
    await until(() => bench.adapter.receivers.length === 2)
    lastOf(bench.adapter.receivers).give(delivery('a'))
    expect((await call)?.id).toBe('a')
  })

  it('rejects when the receiver has lost its connection, and nobody else has', async () => {
    const bench = await connectedBench()
    const refused = refusal(receive(bench, 5000))
    const receiver = await opened(bench)
    receiver.fail(new AdapterError(ErrorCode.CONNECTION, 'socket closed'))
    await settled()
    await bench.clock.advance(20)
    expect(await refused).toMatchObject({ code: ErrorCode.CONNECTION })
  })

  it('ends with the queue: what was received goes back', async () => {
    const bench = await connectedBench()
    const first = receive(bench, 5000)
    const receiver = await opened(bench)
    receiver.give(delivery('a'))
    await first
    const second = refusal(receive(bench, 5000))
    await settled()
    await bench.receiving.close()
    expect(await second).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
    expect(receiver.settled).toEqual([{ kind: 'release', ids: ['a'] }])
    expect(receiver.closed).toBe(true)
  })
})

describe('closing while the receiver is being opened', () => {
  it('closes it as well, and asks it for nothing', async () => {
    const bench = await connectedBench()
    const opening = deferred()
    bench.adapter.onOpen = () => opening.promise
    const call = refusal(receive(bench, 5000))
    await settled()
    await bench.receiving.close()
    expect(await call).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
    opening.resolve()
    const receiver = await opened(bench)
    await until(() => receiver.closed)
    expect(receiver.asked).toEqual([])
  })
})

describe('settling by hand', () => {
  async function one(bench: EngineBench) {
    const call = receive(bench, 1000)
    const receiver = await opened(bench)
    receiver.give(delivery('a'))
    return { message: (await call) as never, receiver }
  }

  it('twice is refused, also while the first is on its way', async () => {
    const bench = await connectedBench()
    const { message } = await one(bench)
    const first = bench.receiving.acknowledge(message)
    expect(await refusal(bench.receiving.reject(message, {}))).toMatchObject({
      code: ErrorCode.ALREADY_SETTLED,
    })
    await first
    expect(await refusal(bench.receiving.acknowledge(message))).toMatchObject({
      code: ErrorCode.ALREADY_SETTLED,
    })
    expect(await refusal(bench.receiving.extend(message, 1000))).toMatchObject({
      code: ErrorCode.ALREADY_SETTLED,
    })
  })

  it('rejects to the dead-letter queue, or back after a delay', async () => {
    const bench = await connectedBench()
    const { message, receiver } = await one(bench)
    await bench.receiving.reject(message, { requeue: true, delayMs: 500 })
    expect(receiver.settled).toEqual([{ kind: 'retry', ids: ['a'], delayMs: 500 }])
    const { message: again } = await one(bench)
    await bench.receiving.reject(again, { reason: 'not mine' })
    expect(receiver.settled.at(-1)).toEqual({ kind: 'deadLetter', ids: ['a'], reasons: ['rejected'] })
    expect(bench.events.at(-1)).toMatchObject([
      'deadLetter',
      { id: 'a' },
      { error: { message: 'not mine' }, attempts: 1 },
    ])
  })

  it('renews the lease for as long as `extend` asks', async () => {
    const bench = await connectedBench()
    const { message, receiver } = await one(bench)
    await bench.receiving.extend(message, 60_000)
    await bench.clock.advance(60_000)
    const renewals = receiver.settled.filter(({ kind }) => kind === 'renew').length
    expect(renewals).toBeGreaterThanOrEqual(4)
    await bench.clock.advance(20_000)
    expect(receiver.settled.filter(({ kind }) => kind === 'renew')).toHaveLength(renewals)
  })
})
