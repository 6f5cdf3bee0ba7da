import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { live, outbound, until } from '@mq/conformance/fixtures'
import { AdapterError, onAbort, type PublishOutcome } from '@mq/core/adapter'
import { connect, type Connection } from '../src/connection.ts'
import { classify } from '../src/errors.ts'
import { parseOptions } from '../src/options.ts'
import { createPublisher, type Publisher, type PublisherSetup } from '../src/publisher.ts'
import { fakeBroker, type FakeBroker } from './fake-broker.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()))
})

/** Two nodes, of which the second leads the topic `q`, and a connection to the first. */
async function leading(): Promise<{ leader: FakeBroker; connection: Connection }> {
  const nodes = [await fakeBroker(1), await fakeBroker(2)] as const
  for (const each of nodes) {
    ends.push(() => each.close())
    each.nodes = nodes
    each.topics = [{ name: 'q', error: 0, id: '', leaders: [2], replicas: 1 }]
  }
  const connection = await connect(
    parseOptions({ brokers: nodes[0].address }),
    { lost: () => undefined, blocked: () => undefined },
    live,
  )
  ends.push(() => connection.close(undefined))
  return { leader: nodes[1], connection }
}

function publisherOf(connection: Connection, more: Partial<PublisherSetup> = {}): Publisher {
  return createPublisher({ connection: () => connection, ensureLater: () => Promise.resolve(), ...more })
}
const certainties = (outcomes: readonly PublishOutcome[]) =>
  outcomes.map((outcome) => outcome.ok || outcome.certainty)
const message = (size = 1) => outbound({ queue: 'q' }, { key: 'k', body: Buffer.alloc(size) })

describe('a call that is aborted', () => {
  it('before its connection is open stores nothing, then or later', async () => {
    const { leader, connection } = await leading()
    let letGo = (): void => undefined
    const held = new Promise<void>((resolve) => (letGo = resolve))
    const slow = { ...connection, link: (node: number) => held.then(() => connection.link(node, 'main')) }
    const [call, reason] = [new AbortController(), new Error('enough')]
    const outcomes = publisherOf(slow).publish([message(), message()], call.signal)
    setTimeout(() => call.abort(reason), 20)
    const outcome = { ok: false, error: reason, certainty: 'not-stored' }
    expect(await outcomes).toEqual([outcome, outcome])
    letGo()
    // Of the same partition, and behind what should not be there.
    expect(certainties(await publisherOf(slow as Connection).publish([message()], live))).toEqual([true])
    expect(leader.produced).toBe(1)
  })

  it('leaves in doubt only what was written, and writes nothing more', async () => {
    const { leader, connection } = await leading()
    await connection.link(2, 'main')
    leader.mute = true
    const call = new AbortController()
    const outcomes = publisherOf(connection).publish([600_000, 600_000, 10].map(message), call.signal)
    await until(() => leader.produced === 1)
    call.abort(new Error('enough'))
    expect(certainties(await outcomes)).toEqual(['unknown', 'not-stored', 'not-stored'])
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(leader.produced).toBe(1)
  })

  it('leaves what was stored before as it is', async () => {
    const { leader, connection } = await leading()
    await connection.link(2, 'main')
    const call = new AbortController()
    const outcomes = publisherOf({
      ...connection,
      async link(node: number, lane: string) {
        const link = await connection.link(node, lane)
        if (leader.produced === 1) call.abort(new Error('enough'))
        return link
      },
    }).publish([600_000, 600_000].map(message), call.signal)
    expect(certainties(await outcomes)).toEqual([true, 'not-stored'])
    expect(leader.produced).toBe(1)
  })
})

describe('a call that is not aborted', () => {
  it('listens to its signal once, however many requests it takes, and however many calls have the signal, and no longer than they last', async () => {
    const { leader, connection } = await leading()
    const { signal } = new AbortController()
    const listen = jest.spyOn(signal, 'addEventListener')
    const publisher = publisherOf(connection)
    for (let calls = 1; calls <= 2; calls++) {
      const outcomes = await publisher.publish([600_000, 600_000].map(message), signal)
      expect(certainties(outcomes)).toEqual([true, true])
      expect(leader.produced).toBe(2 * calls)
    }
    expect(listen.mock.calls).toHaveLength(1)
    // Signals for which nothing waits are let go of once there are many.
    for (let n = 0; n < 65; n++) onAbort(new AbortController().signal, () => undefined)()
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('a call without a connection', () => {
  it.each([{ queue: 'q' }, { reply: 'r' }])('stores nothing (%p)', async (to) => {
    const publisher = createPublisher({
      connection() {
        throw new AdapterError('MQ_NOT_CONNECTED', 'not connected')
      },
      ensureLater: () => Promise.resolve(),
    })
    const [outcome] = await publisher.publish([outbound(to)], live)
    expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored', error: { code: 'MQ_NOT_CONNECTED' } })
    expect(classify((outcome as { error: unknown }).error).code).toBe('MQ_NOT_CONNECTED')
  })
})
