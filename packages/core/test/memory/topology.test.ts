import { afterEach, describe, expect, it } from '@jest/globals'
import {
  bench,
  consume,
  declare,
  disconnectAll,
  message,
  publish,
  Q,
  rejection,
  settings,
  take,
} from './fixture.ts'

afterEach(disconnectAll)

describe('declare', () => {
  it('names every difference, with both values, and changes nothing', async () => {
    const { adapter } = await bench()
    await declare(adapter, { maxLength: 5 })
    const error = await rejection(declare(adapter, { maxLength: null, ordered: true }))
    expect(error.code).toBe('MQ_QUEUE_CONFLICT')
    expect(error.differences).toEqual([
      { field: 'maxLength', existing: 5, requested: null },
      { field: 'ordered', existing: false, requested: true },
    ])
    for (const text of ['maxLength', '5', 'null', 'ordered', 'true']) expect(error.message).toContain(text)
    expect(
      await adapter.declare(Q, { settings: settings(), pattern: undefined, ifExists: 'take' }),
    ).toMatchObject({ maxLength: 5 })
  })

  it('refuses arguments that only a server could honour, and makes nothing', async () => {
    const { adapter } = await bench()
    const args = { 'x-queue-type': 'quorum', 'x-foo': 1 }
    const error = await rejection(declare(adapter, { arguments: args }))
    expect(error.code).toBe('MQ_UNSUPPORTED')
    expect(error.message).toContain('memory cannot honour the queue argument "x-queue-type", "x-foo"')
    expect((await rejection(adapter.size(Q))).code).toBe('MQ_QUEUE_NOT_FOUND')
  })

  it('compares the pattern of a subscription', async () => {
    const { adapter } = await bench()
    const target = { topic: 't', subscription: 's' }
    const with_ = (pattern: string) =>
      adapter.declare(target, { settings: settings(), pattern, ifExists: 'compare' })
    await with_('a.*')
    await with_('a.*')
    expect((await rejection(with_('b.*'))).differences).toEqual([
      { field: 'pattern', existing: 'a.*', requested: 'b.*' },
    ])
  })

  it('answers the settings in force', async () => {
    const { adapter } = await bench()
    const declaration = {
      settings: settings({ maxLength: 3 }),
      pattern: undefined,
      ifExists: 'compare' as const,
    }
    expect(await adapter.declare(Q, declaration)).toEqual(settings({ maxLength: 3 }))
  })
})

describe('purge', () => {
  it('takes what is ready and delayed, counts it, and leaves what is leased', async () => {
    const { adapter, clock } = await bench()
    await declare(adapter)
    const receiver = await consume(adapter)
    await publish(adapter, message('a'), message('r'))
    const [held, retried] = await take(receiver)
    await receiver.retry([retried as never], 100)
    await publish(adapter, message('b'), message('c', { delayMs: 100 }))
    expect(await adapter.purge(Q)).toBe(3)
    await clock.advance(100)
    expect(await adapter.size(Q)).toBe(0)
    expect(await take(receiver)).toEqual([])
    expect(await receiver.ack([held as never])).toEqual(['settled'])
    expect(await adapter.purge(Q)).toBe(0)
  })
})
