import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode, type SettleOutcome } from '../../src/adapter/index.ts'
import type { Held, SettleResult } from '../../src/consume/held.ts'
import { Intake } from '../../src/consume/intake.ts'
import { connectedBench, deferred, lastOf, settled, until, type EngineBench } from '../engine-bench.ts'
import { delivery, fakeAdapter } from '../fake-adapter.ts'
import { failure } from '../memory/fixture.ts'

const source = {
  target: { queue: 'q' },
  mode: 'consume',
  prefetch: 10,
  leaseMs: 30_000,
  ordered: false,
  after: undefined,
} as const

async function open(bench: EngineBench, ...ids: string[]) {
  const intake = await Intake.open(bench.engine, source)
  const receiver = lastOf(bench.adapter.receivers)
  receiver.give(...ids.map((id) => delivery(id)))
  const helds = ids.length === 0 ? [] : await intake.receive(10, new AbortController().signal)
  const lost: string[] = []
  intake.onLost = (held) => lost.push(held.delivery.id)
  return {
    intake,
    receiver,
    helds,
    lost,
    calls: () => receiver.settled.map(({ kind, ids: some }) => `${kind} ${some.join('+')}`),
  }
}

const ack = (intake: Intake, held: Held, idle = false) =>
  new Promise<SettleResult>((resolve) => intake.ack(held, idle, resolve))

/** Answers these, in turn, and then `settled`. */
function answering(bench: EngineBench, ...outcomes: SettleOutcome[]): void {
  bench.adapter.onSettle = () => outcomes.shift() ?? 'settled'
}

describe('acknowledging', () => {
  it('puts what ends in one turn into one call', async () => {
    const bench = await connectedBench()
    const { intake, helds, calls } = await open(bench, 'a', 'b', 'c')
    expect(intake.size).toBe(3)
    await expect(Promise.all(helds.map((held) => ack(intake, held)))).resolves.toEqual([null, null, null])
    expect(calls()).toEqual(['ack a+b+c'])
    expect(intake.size).toBe(0)
    expect(bench.engine.stats.inFlight).toBe(0)
    await intake.close()
  })

  it('gives each message of a call its own outcome', async () => {
    const bench = await connectedBench()
    const { intake, helds, lost } = await open(bench, 'a', 'b', 'c')
    answering(bench, 'settled', 'lost', 'settled')
    const results = await Promise.all(helds.map((held) => ack(intake, held)))
    expect(results.map((result) => result?.code ?? null)).toEqual([null, ErrorCode.LEASE_LOST, null])
    expect(lost).toEqual(['b'])
    expect(helds.map(({ state }) => state)).toEqual(['settled', 'lost', 'settled'])
    await intake.close()
  })

  it('has failed when the adapter answers nothing at all', async () => {
    const bench = await connectedBench()
    const { open: openReceiver } = bench.adapter
    bench.adapter.open = async (...args) => {
      const receiver = await openReceiver(...args)
      return { ...receiver, ack: async () => undefined as never }
    }
    const { intake, helds } = await open(bench, 'a')
    let result: SettleResult = null
    void ack(intake, helds[0] as Held, true).then((given) => (result = given))
    await settled()
    await bench.clock.advance(30_000)
    expect(result).toMatchObject({ message: expect.stringContaining('gave no outcome') })
    await intake.close()
  })

  it('is tried again while the error is passing', async () => {
    const bench = await connectedBench()
    const { intake, helds, calls } = await open(bench, 'a')
    answering(bench, { error: new Error('busy') }, { error: new Error('busy') })
    const result = ack(intake, helds[0] as Held)
    await until(() => calls().length === 1)
    await settled()
    await bench.clock.advance(1000)
    await expect(result).resolves.toBeNull()
    expect(calls()).toEqual(['ack a', 'ack a', 'ack a'])
    await intake.close()
  })

  it('is given up at once when the error lasts: the message will come again', async () => {
    const bench = await connectedBench()
    const { intake, helds } = await open(bench, 'a')
    answering(bench, { error: new AdapterError(ErrorCode.UNSUPPORTED, 'never') })
    expect(await ack(intake, helds[0] as Held)).toMatchObject({ code: ErrorCode.UNSUPPORTED })
    expect(intake.size).toBe(0)
    await intake.close()
  })

  it('is tried for as long as the lease lasts when the broker serves nobody for now', async () => {
    const bench = await connectedBench()
    const { intake, helds, calls } = await open(bench, 'a', 'b')
    let busy = true
    const refusal = { error: new AdapterError(ErrorCode.UNAVAILABLE, 'busy', { retryable: true }) }
    bench.adapter.onSettle = (kind) => (busy && kind === 'ack' ? refusal : 'settled')
    const first = ack(intake, helds[0] as Held)
    await until(() => calls().length === 1)
    await settled()
    await bench.clock.advance(20_000)
    expect(helds[0]?.state).toBe('settling')
    busy = false
    await bench.clock.advance(3_000)
    await expect(first).resolves.toBeNull()
    busy = true
    const second = ack(intake, helds[1] as Held)
    await until(() => calls().at(-1) === 'ack b')
    await settled()
    await bench.clock.advance(40_000)
    expect(await second).toMatchObject({ code: ErrorCode.UNAVAILABLE })
    await intake.close()
  })

  it('survives a receiver that throws, or answers too few', async () => {
    const bench = await connectedBench()
    const { intake, helds } = await open(bench, 'a', 'b')
    intake.receiver.ack = async () => ['settled']
    const [first, second] = helds.map((held) => ack(intake, held))
    await expect(first).resolves.toBeNull()
    intake.receiver.ack = () => {
      throw new AdapterError(ErrorCode.UNSUPPORTED, 'never')
    }
    await settled()
    await bench.clock.advance(200)
    expect(await second).toMatchObject({ code: ErrorCode.UNSUPPORTED })
    await intake.close()
  })
})

describe('a retry', () => {
  it('that cannot be stored keeps the message: it is given back, no earlier than it was to come', async () => {
    const bench = await connectedBench()
    const { intake, helds, calls } = await open(bench, 'a')
    answering(bench, { error: new AdapterError(ErrorCode.MESSAGE_TOO_LARGE, 'too large') })
    const result = await new Promise<SettleResult>((resolve) =>
      intake.settle(helds[0] as Held, { kind: 'retry', delayMs: 5000 }, resolve),
    )
    expect(result).toMatchObject({ code: ErrorCode.MESSAGE_TOO_LARGE })
    await bench.clock.advance(4999)
    expect(calls()).toEqual(['retry a'])
    await bench.clock.advance(1)
    expect(calls()).toEqual(['retry a', 'release a'])
    await intake.close()
  })
})

describe('dead-lettering', () => {
  it('that fails keeps the message: it is given back', async () => {
    const bench = await connectedBench()
    const { intake, helds, calls } = await open(bench, 'a')
    answering(bench, { error: new AdapterError(ErrorCode.MESSAGE_TOO_LARGE, 'too large') })
    const settlement = { kind: 'deadLetter', info: failure(), target: { queue: 'q.dlq' } } as const
    const result = await new Promise<SettleResult>((resolve) =>
      intake.settle(helds[0] as Held, settlement, resolve),
    )
    expect(result).toMatchObject({ code: ErrorCode.MESSAGE_TOO_LARGE })
    await bench.clock.advance(1000)
    expect(calls()).toEqual(['deadLetter a', 'release a'])
    expect(bench.log.some(({ level, fields }) => level === 'error' && fields['id'] === 'a')).toBe(true)
    await intake.close()
  })

  it.each(['not declared yet', 'deleted underneath'])(
    'makes a dead-letter queue that is %s, and tries again',
    async (why) => {
      const bench = await connectedBench()
      if (why === 'deleted underneath') await bench.engine.topology.ensure({ queue: 'q.dlq' })
      bench.adapter.declared.length = 0
      const { intake, helds, calls } = await open(bench, 'a')
      answering(bench, { error: new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'gone') })
      const settlement = { kind: 'deadLetter', info: failure(), target: { queue: 'q.dlq' } } as const
      const result = new Promise<SettleResult>((resolve) =>
        intake.settle(helds[0] as Held, settlement, resolve),
      )
      await until(() => calls().length === 1)
      await settled()
      await bench.clock.advance(200)
      await expect(result).resolves.toBeNull()
      expect(bench.adapter.declared.map(({ target }) => target)).toContainEqual({ queue: 'q.dlq' })
      await intake.close()
    },
  )
})

describe('leases', () => {
  it('are renewed every heartbeat while a message is held, and no longer', async () => {
    const bench = await connectedBench()
    const { intake, helds, calls } = await open(bench, 'a', 'b')
    await bench.clock.advance(10_000)
    expect(calls()).toEqual(['renew a+b'])
    await ack(intake, helds[0] as Held)
    await bench.clock.advance(10_000)
    expect(calls().at(-1)).toBe('renew b')
    await ack(intake, helds[1] as Held)
    const before = calls().length
    await bench.clock.advance(60_000)
    expect(calls()).toHaveLength(before)
    await intake.close()
  })

  it('that turn out to be lost abort the handler; settling says so', async () => {
    const bench = await connectedBench()
    const { intake, helds, lost } = await open(bench, 'a', 'b')
    bench.adapter.onSettle = (kind, { id }) => (kind === 'renew' && id === 'a' ? 'lost' : 'settled')
    const { signal } = helds[0] as Held
    await bench.clock.advance(10_000)
    expect([signal.aborted, lost, helds[0]?.state, intake.size]).toEqual([true, ['a'], 'lost', 1])
    expect(signal.reason).toMatchObject({ code: ErrorCode.LEASE_LOST })
    await intake.close()
  })

  it('are kept when a renewal fails or hangs: only the broker can take them', async () => {
    const bench = await connectedBench()
    const { intake, helds } = await open(bench, 'a')
    bench.adapter.onSettle = (kind) => (kind === 'renew' ? Promise.reject(new Error('busy')) : 'settled')
    await bench.clock.advance(10_000)
    expect(helds[0]?.state).toBe('open')
    bench.adapter.onSettle = (kind) => (kind === 'renew' ? new Promise(() => undefined) : 'settled')
    await bench.clock.advance(40_000)
    expect(helds[0]?.state).toBe('open')
    await expect(ack(intake, helds[0] as Held)).resolves.toBeNull()
    await intake.close()
  })

  it('taken by the broker are told once', async () => {
    const bench = await connectedBench()
    const { intake, receiver, helds, lost } = await open(bench, 'a', 'b')
    const taken = (helds[0] as Held).delivery
    receiver.lose(taken)
    receiver.lose(taken)
    expect(lost).toEqual(['a'])
    expect(intake.size).toBe(1)
    await intake.close()
  })

  it('of received messages run out in core where ownership is the connection: given back', async () => {
    const bench = await connectedBench({}, fakeAdapter({ ownership: 'connection' }))
    await bench.engine.topology.ensure({ queue: 'q' })
    const received = bench.receiving.receive(
      { target: { queue: 'q' }, label: 'q', config: undefined, validate: undefined },
      { timeoutMs: 5000, leaseMs: 3000 },
    )
    await until(() => bench.adapter.receivers.length === 1)
    const receiver = lastOf(bench.adapter.receivers)
    receiver.give(delivery('a'))
    const message = await received
    await bench.clock.advance(2000)
    expect(receiver.settled).toEqual([])
    await bench.clock.advance(2000)
    expect(receiver.settled).toEqual([{ kind: 'release', ids: ['a'] }])
    await expect(bench.receiving.acknowledge(message as never)).rejects.toMatchObject({
      code: ErrorCode.LEASE_LOST,
    })
    expect(bench.events.at(-1)).toMatchObject(['leaseLost', { id: 'a' }])
  })
})

describe('Intake.close', () => {
  it('waits for settlements under way, gives the rest back, and closes once', async () => {
    const bench = await connectedBench()
    const { intake, helds, receiver, calls } = await open(bench, 'a', 'b')
    const gate = deferred<SettleOutcome>()
    bench.adapter.onSettle = (kind) => (kind === 'ack' ? gate.promise : 'settled')
    const acked = ack(intake, helds[0] as Held)
    const closing = intake.close()
    await settled()
    expect(receiver.closed).toBe(false)
    gate.resolve('settled')
    await closing
    await expect(acked).resolves.toBeNull()
    expect(calls()).toEqual(['ack a', 'release b'])
    expect([receiver.closed, intake.closed, bench.engine.stats.inFlight]).toEqual([true, true, 0])
    await intake.close()
  })

  it('drops what arrives after the connection was lost', async () => {
    const bench = await connectedBench()
    const { intake, receiver } = await open(bench)
    const receiving = intake.receive(1, new AbortController().signal)
    intake.abandon(new Error('cut'))
    receiver.give(delivery('late'))
    await expect(receiving).resolves.toEqual([])
    expect(intake.size).toBe(0)
  })
})
