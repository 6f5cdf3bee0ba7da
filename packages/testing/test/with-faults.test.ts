import { describe, expect, it } from '@jest/globals'
import { memoryAdapter, MessageQueue } from '@mq/core'
import type { OutboundMessage, Receiver } from '@mq/core/adapter'
import { FaultKind, quietMemory, seedRandom, virtualClock, withFaults, type FaultPlan } from '../src/index.ts'

const MESSAGES = 60

/** Sends, consumes until everything was handled, and says what happened. */
async function play(plan: FaultPlan, seed: number) {
  const restore = seedRandom(seed)
  try {
    return await playSeeded(plan, seed)
  } finally {
    restore()
  }
}

async function playSeeded(plan: FaultPlan, seed: number) {
  const clock = virtualClock()
  const adapter = withFaults(quietMemory(clock), plan, seed, clock)
  const queue = new MessageQueue(adapter, {}, { clock, logger: silent })
  queue.on('error', () => undefined)
  await queue.connect()
  const start = clock.now()
  const runs = new Map<number, number>()
  const log: string[] = []
  await queue.consume<number>('q', ({ body }) => {
    runs.set(body, (runs.get(body) ?? 0) + 1)
    log.push(`${body} after ${clock.now() - start} ms`)
  })
  const sends: Promise<string>[] = []
  for (let i = 0; i < MESSAGES; i++) sends.push(queue.send('q', i))
  let sent = false
  const all = Promise.all(sends).then(() => (sent = true))
  await clock.advanceUntil(() => sent && runs.size === MESSAGES)
  await all
  await clock.advance(120_000)
  const size = await queue.getQueueSize('q')
  const result = {
    runs: [...runs.values()],
    log,
    size,
    faults: adapter.injected.map(({ kind, occasion }) => `${kind} ${occasion}`),
  }
  const left = queue.disconnect()
  await clock.advance(60_000)
  await left
  return result
}

const outbound: OutboundMessage = {
  destination: { queue: 'q' },
  id: '1',
  body: new Uint8Array(),
  headers: {},
  timestamp: 0,
  contentType: 'text/plain',
  contentEncoding: undefined,
  correlationId: undefined,
  replyTo: undefined,
  routingKey: undefined,
  key: undefined,
  deduplicationId: undefined,
  priority: 0,
  delayMs: 0,
  expiresAt: undefined,
  deliveryCount: 0,
  redriven: false,
  sendToken: 'token',
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

describe('withFaults', () => {
  it('changes nothing with an empty plan', async () => {
    const { runs, faults, size } = await play({}, 1)
    expect(runs.every((count) => count === 1)).toBe(true)
    expect(faults).toEqual([])
    expect(size).toBe(0)
  })

  it.each([
    ['loseAcknowledgement', true],
    ['deliverTwice', true],
    ['crashAfterHandler', true],
    // Sent again with its token, which this broker does not remember.
    ['loseConfirmation', true],
    ['crashBeforeHandler', false],
    ['stall', false],
    ['cut', false],
  ] as const)('injects %s at the occasions named, and nothing is lost', async (kind, repeats) => {
    const { runs, faults, size } = await play({ [kind]: [1, 3] }, 1)
    expect(faults).toContain(`${kind} 1`)
    expect(runs).toHaveLength(MESSAGES)
    expect(size).toBe(0)
    expect(runs.some((count) => count > 1)).toBe(repeats)
  })

  const everything: FaultPlan = Object.fromEntries(Object.values(FaultKind).map((kind) => [kind, 0.1]))

  it('replays exactly from a seed, and differs with another', async () => {
    const first = await play(everything, 7)
    expect(new Set(first.faults.map((fault) => fault.split(' ')[0])).size).toBeGreaterThan(4)
    expect(await play(everything, 7)).toEqual(first)
    expect((await play(everything, 8)).faults).not.toEqual(first.faults)
  })

  it('stops at the limit', async () => {
    expect((await play({ ...everything, limit: 4 }, 7)).faults).toHaveLength(4)
  })

  it.each([
    [{ loseAck: 1 }, 1, /no fault loseAck/],
    [{ cut: 2 }, 1, /probability/],
    [{ cut: [0] }, 1, /occasions from 1/],
    [{ stallMs: -1 }, 1, /stallMs/],
    [{ limit: NaN }, 1, /limit/],
    [{}, 1.5, /seed/],
  ])('refuses the plan %j with seed %d', (plan, seed, says) => {
    expect(() => withFaults(memoryAdapter(), plan as FaultPlan, seed)).toThrow(says)
  })

  it('takes undefined for what is not given', () => {
    const plan: FaultPlan = { cut: undefined, stallMs: undefined, limit: undefined }
    expect(withFaults(memoryAdapter(), plan, 1).injected).toEqual([])
  })

  it('tells that nothing was stored when the connection breaks before a publish', async () => {
    const clock = virtualClock()
    const adapter = withFaults(quietMemory(clock), { cut: [1] }, 1, clock)
    const lost: unknown[] = []
    const { signal } = new AbortController()
    await adapter.connect({ lost: (cause) => lost.push(cause), blocked: () => undefined }, signal)
    const [outcome] = await adapter.publish([outbound], signal)
    expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored' })
    expect(lost).toHaveLength(1)
    expect(await adapter.publish([outbound], signal)).toMatchObject([{ ok: false, certainty: 'not-stored' }])
    expect(lost).toHaveLength(1)
    await adapter.disconnect(signal)
  })

  it('forwards to a receiver whose methods belong to its class', async () => {
    class Inner implements Receiver {
      readonly #calls: string[] = []
      get calls(): readonly string[] {
        return this.#calls
      }
      receive = () => Promise.resolve(this.#did('receive'))
      ack() {
        return Promise.resolve(this.#did('ack'))
      }
      release() {
        return Promise.resolve(this.#did('release'))
      }
      retry() {
        return Promise.resolve(this.#did('retry'))
      }
      deadLetter() {
        return Promise.resolve(this.#did('deadLetter'))
      }
      renew() {
        return Promise.resolve(this.#did('renew'))
      }
      async close() {
        await Promise.resolve(this.#did('close'))
      }
      #did(what: string): readonly never[] {
        this.#calls.push(what)
        return []
      }
    }
    const inner = new Inner()
    const adapter = withFaults({ ...memoryAdapter(), open: () => Promise.resolve(inner) }, {}, 1)
    const source = { target: { queue: 'q' }, mode: 'consume' } as never
    const receiver = await adapter.open(source, () => undefined)
    const { signal } = new AbortController()
    await receiver.receive(1, signal)
    await receiver.ack([])
    await receiver.release([])
    await receiver.retry([], 0)
    await receiver.deadLetter([], [], { queue: 'dead' })
    await receiver.renew([])
    await receiver.close(signal)
    expect(inner.calls).toEqual(['receive', 'ack', 'release', 'retry', 'deadLetter', 'renew', 'close'])
  })

  it('ends a stall when the call is aborted', async () => {
    const clock = virtualClock()
    const adapter = withFaults(quietMemory(clock), { stall: 1 }, 1, clock)
    const controller = new AbortController()
    await adapter.connect({ lost: () => undefined, blocked: () => undefined }, controller.signal)
    const publishing = adapter.publish([outbound], controller.signal)
    controller.abort()
    expect(await publishing).toMatchObject([{ ok: false, certainty: 'not-stored' }])
    await adapter.disconnect(controller.signal)
  })
})
