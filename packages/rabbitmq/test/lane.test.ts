import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { EventEmitter } from 'node:events'
import { performance } from 'node:perf_hooks'
import type { ConfirmChannel } from 'amqplib'
import type { Connection } from '../src/connection.ts'
import { classify } from '../src/errors.ts'
import { createLane, type Item } from '../src/lane.ts'

afterEach(() => void jest.restoreAllMocks())

/** Channels that refuse every message, as one that found a queue between two leaders does. */
function refusing() {
  const opened: { closed: boolean }[] = []
  const confirmChannel = (): Promise<ConfirmChannel> => {
    const channel = Object.assign(new EventEmitter(), {
      closed: false,
      publish(
        _exchange: string,
        _key: string,
        _body: Buffer,
        _more: object,
        confirmed: (error: Error) => void,
      ) {
        queueMicrotask(() => confirmed(new Error('message nacked')))
        return true
      },
      close() {
        channel.closed = true
        return Promise.resolve()
      },
    })
    opened.push(channel)
    return Promise.resolve(channel as unknown as ConfirmChannel)
  }
  const lane = createLane({ confirmChannel } as Connection, 100, true)
  const write = async (limited: boolean | undefined, exchange = '') => {
    const item: Item = {
      exchange,
      routingKey: 'q',
      body: Buffer.from('x'),
      properties: {},
      mandatory: false,
      limited,
    }
    const [outcome] = await lane.write([item], new AbortController().signal)
    if (outcome === undefined || outcome.ok) throw new Error('it was taken')
    const { code, retryable } = classify(outcome.error)
    return [code, retryable, outcome.certainty]
  }
  return { opened, write }
}

describe('a message that the server refuses', () => {
  it.each([true, false, undefined])(
    'is followed by others on a new channel, but not each on one of its own (limited: %s)',
    async (limited) => {
      const now = jest.spyOn(performance, 'now').mockReturnValue(0)
      const { opened, write } = refusing()
      await write(limited)
      await write(limited)
      expect(opened.length).toBe(1)
      now.mockReturnValue(1_000)
      await write(limited)
      expect(opened[0]?.closed).toBe(true)
      await write(limited)
      await write(limited)
      expect(opened.length).toBe(2)
    },
  )

  it.each([
    ['a queue with a limit', true, '', ['MQ_QUEUE_FULL', false, 'not-stored']],
    ['a queue without one', false, '', ['MQ_UNAVAILABLE', true, 'unknown']],
    ['a queue of which nothing is known', undefined, '', ['MQ_QUEUE_FULL', true, 'unknown']],
    ['a topic with a limited subscription', true, 't', ['MQ_QUEUE_FULL', false, 'unknown']],
    ['a topic of which nothing is known', undefined, 't', ['MQ_UNAVAILABLE', true, 'unknown']],
  ])('for %s says what that can mean', async (_, limited, exchange, meaning) => {
    expect(await refusing().write(limited, exchange)).toEqual(meaning)
  })
})

type Confirmed = (error: Error | null) => void

/** Channels that answer when they are told to, and end as those of the client do. */
function obedient(window: number) {
  const opened: ReturnType<typeof channelOf>[] = []
  const channelOf = () => {
    const events = new EventEmitter()
    const written: string[] = []
    const unanswered: { readonly key: string; readonly confirmed: Confirmed }[] = []
    let open = true
    const answer = (key: string, error: Error | null): void => {
      const at = unanswered.findIndex((each) => each.key === key)
      unanswered.splice(at, 1)[0]?.confirmed(error)
    }
    const channel = Object.assign(events, {
      written,
      full: false,
      asked: 0,
      publish(_exchange: string, key: string, _body: Buffer, _more: object, confirmed: Confirmed) {
        if (!open) throw new Error('Channel closed')
        written.push(key)
        unanswered.push({ key, confirmed })
        return !channel.full
      },
      confirm: (key: string) => answer(key, null),
      refuse: (key: string) => answer(key, new Error('message nacked')),
      end() {
        open = false
        for (const { key } of [...unanswered]) answer(key, new Error('channel closed'))
        channel.emit('close')
      },
      close() {
        channel.asked++
        if (!open) return Promise.reject(new Error('Channel closed'))
        open = false
        queueMicrotask(() => channel.end())
        return Promise.resolve()
      },
    })
    return channel
  }
  const confirmChannel = (): Promise<ConfirmChannel> => {
    const channel = channelOf()
    opened.push(channel)
    return Promise.resolve(channel as unknown as ConfirmChannel)
  }
  const lane = createLane({ confirmChannel } as Connection, window, true)
  const write = async (keys: readonly string[], signal = new AbortController().signal) => {
    const items = keys.map((routingKey): Item => ({
      exchange: '',
      routingKey,
      body: Buffer.from('x'),
      properties: {},
      mandatory: true,
      limited: false,
    }))
    const outcomes = await lane.write(items, signal)
    return outcomes.map((outcome) => {
      if (outcome.ok) return 'stored'
      const { code, retryable } = classify(outcome.error)
      return `${outcome.certainty} ${code} ${retryable}`
    })
  }
  return { opened, write }
}

/** Every promise that is fulfilled has been heard. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a call whose channel ends before all of it is written', () => {
  it.each([
    ['the window is full', 2, false],
    ['the socket is full', 10, true],
  ])('while %s is to be repeated from there: nothing overtakes', async (_, window, full) => {
    const { opened, write } = obedient(window)
    const warm = write(['w'])
    await turn()
    opened[0]?.confirm('w')
    await warm
    Object.assign(opened[0] ?? {}, { full })
    const call = write(['a', 'b', 'c', 'd'])
    const other = write(['o'])
    await turn()
    const first = full ? ['a'] : ['a', 'b']
    expect(opened[0]?.written).toEqual(['w', ...first])
    opened[0]?.end()
    await turn()
    expect(await call).toEqual(
      ['a', 'b', 'c', 'd'].map(
        (key) => `${first.includes(key) ? 'unknown' : 'not-stored'} MQ_CONNECTION true`,
      ),
    )
    // Another, of which nothing was written, is.
    expect(opened[1]?.written).toEqual(['o'])
    opened[1]?.confirm('o')
    expect(await other).toEqual(['stored'])
  })

  it('is written there to its end when it is another one that is refused', async () => {
    const now = jest.spyOn(performance, 'now').mockReturnValue(0)
    const { opened, write } = obedient(3)
    const refused = write(['r'])
    const call = write(['a', 'b', 'c', 'd'])
    const other = write(['o'])
    await turn()
    expect(opened[0]?.written).toEqual(['r', 'a', 'b'])
    now.mockReturnValue(1_000)
    opened[0]?.refuse('r')
    expect(await refused).toEqual(['unknown MQ_UNAVAILABLE true'])
    await turn()
    expect(opened[1]?.written).toEqual(['o'])
    for (const key of ['a', 'b', 'c', 'd']) {
      expect(opened[0]?.asked).toBe(0)
      opened[0]?.confirm(key)
      await turn()
    }
    expect(await call).toEqual(['stored', 'stored', 'stored', 'stored'])
    expect(opened[0]?.written).toEqual(['r', 'a', 'b', 'c', 'd'])
    expect(opened[0]?.asked).toBe(1)
    opened[1]?.confirm('o')
    expect(await other).toEqual(['stored'])
  })
})

describe('a queue that confirms nothing', () => {
  it('takes no room from others once its call is over, and its messages are still told apart', async () => {
    const { opened, write } = obedient(3)
    const silent = new AbortController()
    const given = write(['x', 'y'], silent.signal)
    const parked = write(['a', 'b', 'c'])
    await turn()
    expect(opened[0]?.written).toEqual(['x', 'y', 'a'])
    silent.abort(new DOMException('late', 'TimeoutError'))
    expect(await given).toEqual(['unknown MQ_TIMEOUT true', 'unknown MQ_TIMEOUT true'])
    expect(opened[0]?.written).toEqual(['x', 'y', 'a', 'b', 'c'])
    for (const key of ['a', 'b', 'c']) opened[0]?.confirm(key)
    expect(await parked).toEqual(['stored', 'stored', 'stored'])

    const again = write(['x', 'd', 'e', 'f'])
    await turn()
    // Of two that are alike the first is the one that comes back.
    const back = { fields: { exchange: '', routingKey: 'x' }, properties: {}, content: Buffer.from('x') }
    opened[0]?.emit('return', back)
    opened[0]?.confirm('x')
    opened[0]?.confirm('y')
    await turn()
    expect(opened[0]?.written.slice(5)).toEqual(['x', 'd', 'e'])
    for (const key of ['x', 'd', 'e']) opened[0]?.confirm(key)
    await turn()
    opened[0]?.confirm('f')
    expect(await again).toEqual(['stored', 'stored', 'stored', 'stored'])
    expect(opened.length).toBe(1)
  })

  it('has its channel replaced when too many of its messages are left behind', async () => {
    const { opened, write } = obedient(1_000)
    for (let round = 0; round < 10; round++) {
      const silent = new AbortController()
      const given = write(
        Array.from({ length: 100 }, () => 'x'),
        silent.signal,
      )
      await turn()
      silent.abort(new DOMException('late', 'TimeoutError'))
      expect(new Set(await given)).toEqual(new Set(['unknown MQ_TIMEOUT true']))
    }
    expect(opened.map(({ asked }) => asked)).toEqual([1, 1, 1, 1, 1])
    const healthy = write(['h'])
    await turn()
    opened[5]?.confirm('h')
    expect(await healthy).toEqual(['stored'])
  })

  it('holds no channel that was replaced because of another queue', async () => {
    const now = jest.spyOn(performance, 'now').mockReturnValue(0)
    const { opened, write } = obedient(1_000)
    const silent = new AbortController()
    const given: Promise<string[]>[] = []
    for (let round = 1; round <= 5; round++) {
      given.push(write(['x'], silent.signal))
      const refused = write(['r'])
      await turn()
      now.mockReturnValue(round * 1_000)
      opened.at(-1)?.refuse('r')
      await refused
    }
    expect(opened.map(({ asked }) => asked)).toEqual([0, 0, 0, 0, 0])
    silent.abort(new DOMException('late', 'TimeoutError'))
    await Promise.all(given)
    expect(opened.map(({ asked }) => asked)).toEqual([1, 1, 1, 1, 1])
  })

  it('does not hold such a channel for ever, whoever waits', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick', 'performance'] })
    try {
      const now = jest.spyOn(performance, 'now').mockReturnValue(0)
      const { opened, write } = obedient(3)
      const refused = write(['r'])
      const given = write(['x', 'y', 'z'])
      await turn()
      now.mockReturnValue(1_000)
      opened[0]?.refuse('r')
      await refused
      expect(opened[0]?.written).toEqual(['r', 'x', 'y', 'z'])
      const waiting = write(['a', 'b', 'c', 'd'])
      await turn()
      expect(opened[1]?.written).toEqual(['a', 'b', 'c'])
      jest.advanceTimersByTime(600_000)
      const unknown = 'unknown MQ_CONNECTION true'
      expect(await given).toEqual([unknown, unknown, unknown])
      expect(opened.map(({ asked }) => asked)).toEqual([1, 0])
      for (const key of ['a', 'b', 'c']) opened[1]?.confirm(key)
      await turn()
      opened[1]?.confirm('d')
      expect(await waiting).toEqual(['stored', 'stored', 'stored', 'stored'])
    } finally {
      jest.useRealTimers()
    }
  })
})
