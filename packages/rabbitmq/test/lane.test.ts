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
