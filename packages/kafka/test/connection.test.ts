import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { connected, live, until } from '@mq/conformance/fixtures'
import { kafkaAdapter } from '@mq/kafka'
import { connect as connectTo, type Connection } from '../src/connection.ts'
import { classify } from '../src/errors.ts'
import { type KafkaOptions, parseOptions } from '../src/options.ts'
import { fakeBroker, type FakeBroker } from './fake-broker.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()))
})

async function broker(id?: number): Promise<FakeBroker> {
  const made = await fakeBroker(id)
  ends.push(() => made.close())
  return made
}

/** Accepts connections, and never says anything. */
async function blackHole(id?: number): Promise<FakeBroker> {
  const made = await broker(id)
  made.mute = true
  return made
}

/** Three that know each other; the first is the first that they name. */
async function cluster(): Promise<[FakeBroker, FakeBroker, FakeBroker]> {
  const nodes: [FakeBroker, FakeBroker, FakeBroker] = [await broker(1), await broker(2), await broker(3)]
  for (const each of nodes) each.nodes = nodes
  return nodes
}

/** What waits for nothing but time-outs takes longer than any test. */
const LONG_MS = 54_321
const lost: unknown[] = []
async function connect(
  brokers: readonly { address: string }[],
  more: KafkaOptions = {},
  signal = live,
): Promise<Connection> {
  lost.length = 0
  const options = parseOptions({
    brokers: brokers.map(({ address }) => address),
    connectTimeoutMs: LONG_MS,
    requestTimeoutMs: LONG_MS,
    ...more,
  })
  const made = await connectTo(
    options,
    { lost: (cause) => lost.push(cause), blocked: () => undefined },
    signal,
  )
  ends.push(() => made.close(undefined))
  return made
}
const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'none',
    (error: unknown) => error,
  )

/** Timers set from now on that keep the process alive for as long as connecting may take. */
function longTimers(): () => number {
  const [set, cleared] = [jest.spyOn(globalThis, 'setTimeout'), jest.spyOn(globalThis, 'clearTimeout')]
  ends.push(
    () => set.mockRestore(),
    () => cleared.mockRestore(),
  )
  return () => {
    const over = new Set<unknown>(cleared.mock.calls.map(([timer]) => timer))
    const long = set.mock.results.filter((_, i) => set.mock.calls[i]?.[1] === LONG_MS)
    return long.filter(({ value }) => (value as NodeJS.Timeout).hasRef() && !over.has(value)).length
  }
}

describe('what is still being opened', () => {
  it('ends with the connection', async () => {
    const [first, second] = await cluster()
    const connection = await connect([first])
    second.mute = true
    const opening = failureOf(connection.link(2, 'main'))
    await until(() => second.open === 1)
    connection.close(undefined)
    expect(classify(await opening)).toEqual({ code: 'MQ_CONNECTION', retryable: true })
    await until(() => second.open === 0 && first.open === 0)
  })

  it.each([
    ['plain', {}],
    ['TLS', { tls: true }],
  ])('ends with the attempt, and keeps no process alive (%s)', async (name, more) => {
    const hole = await blackHole()
    const timers = longTimers()
    const attempt = new AbortController()
    const connecting = failureOf(connect([hole], more, attempt.signal))
    await until(() => hole.open === 1)
    expect(timers()).toBe(name === 'TLS' ? 1 : 0)
    const reason = new Error('enough')
    attempt.abort(reason)
    expect(await connecting).toBe(reason)
    await until(() => hole.open === 0 && timers() === 0)
  })
})

describe('an address of the configuration that says nothing', () => {
  it('does not take the time of another that answers, and is let go', async () => {
    const [hole, other] = [await blackHole(), await broker()]
    await connect([hole, other])
    expect(other.open).toBe(1)
    await until(() => hole.open === 0)
  })

  it('hides no refusal of another: a wrong password is named, and nothing stays open', async () => {
    const [hole, other] = [await blackHole(), await broker()]
    const sasl = { mechanism: 'plain', username: 'u', password: 'p' } as const
    const error = await failureOf(connect([hole, other, hole], { sasl }))
    expect(classify(error)).toEqual({ code: 'MQ_AUTHENTICATION', retryable: false })
    await until(() => hole.open === 0 && other.open === 0)
  })

  it('hides no mistake of another: TLS to a port without it is named', async () => {
    const [hole, other] = [await blackHole(), await broker()]
    other.blunt = true
    const error = await failureOf(connect([other, hole], { tls: true }))
    expect(classify(error)).toEqual({ code: 'MQ_CONNECTION', retryable: false })
    await until(() => hole.open === 0 && other.open === 0)
  })

  it('is no mistake that ends the attempt before another has answered', async () => {
    const [hole, other, third] = [await blackHole(), await broker(), await broker()]
    await other.close()
    await connect([other, hole, third])
    expect(third.open).toBe(1)
  })
})

describe('a session', () => {
  it('that lasts longer than any timer is not over at once', async () => {
    const first = await broker()
    first.sessionMs = 2 ** 32
    const sasl = { mechanism: 'plain', username: 'u', password: 'p' } as const
    const connection = await connect([first], { sasl })
    const link = await connection.link(1, 'main')
    const since = performance.now()
    await until(() => performance.now() - since > 50)
    expect(link.dead).toBe(false)
  })
})

describe('what a broker refuses to tell of a topic', () => {
  it('is asked again, and is no state of the topic', async () => {
    const first = await broker()
    const connection = await connect([first])
    first.topics = [{ name: 'q', error: 29, id: '', leaders: [], replicas: 0 }]
    for (let tries = 0; tries < 2; tries++)
      expect(classify(await failureOf(connection.topic('q'))).code).toBe('MQ_AUTHENTICATION')
    first.topics = [{ name: 'q', error: 0, id: '', leaders: [1], replicas: 1 }]
    expect((await connection.topic('q'))?.leaders).toEqual([1])
  })
})

describe('a node that says nothing', () => {
  it('is not waited for where any node will do', async () => {
    const [first, second, third] = await cluster()
    const connection = await connect([second])
    first.mute = true
    await third.close()
    second.topics = [{ name: 'q', error: 0, id: '', leaders: [2], replicas: 1 }]
    expect((await connection.topic('q', true))?.leaders).toEqual([2])
    expect(await connection.coordinator('g', 'main')).toBe(await connection.link(2, 'main'))
  })

  it('though it did before, is not waited for by a ping, nor by who looks for a coordinator', async () => {
    const [first] = await cluster()
    const adapter = kafkaAdapter({ brokers: first.address, requestTimeoutMs: LONG_MS })
    ends.push(() => adapter.disconnect(live))
    await connected(adapter)
    const connection = await connect([first])
    await connection.link(1, 'main')
    await adapter.ping(live)
    first.mute = true
    await adapter.ping(live)
    expect(await connection.coordinator('g', 'main')).toBe(await connection.link(2, 'main'))
    const reason = new Error('enough')
    await expect(adapter.ping(AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  it('is not the one that is asked for all, connected or not, and the others keep the connection', async () => {
    const [first, second, third] = await cluster()
    const connection = await connect([first], { lostAfterMs: 3_000 })
    await connection.link(1, 'main')
    first.mute = true
    await connection.link(2, 'main')
    const since = performance.now()
    second.hangUp()
    await until(() => second.open > 0 || third.open > 0)
    await until(() => performance.now() - since > 4_500)
    expect(lost).toEqual([])
    expect(await connection.topic('none', true)).toBe(null)
  })

  it('is missed when it is all there is', async () => {
    const first = await broker()
    const connection = await connect([first], { lostAfterMs: 300 })
    const link = await connection.link(1, 'main')
    first.mute = true
    first.hangUp()
    await until(() => link.dead && lost.length === 1)
    expect(connection.closed).toBe(true)
  })
})
