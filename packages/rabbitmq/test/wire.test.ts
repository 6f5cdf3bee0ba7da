import { describe, expect, it } from '@jest/globals'
import type { GetMessage } from 'amqplib'
import { decode, retryCopy } from '../src/wire.ts'

/** A message of a client that knows nothing of this library. */
function foreign(properties: object): GetMessage {
  return {
    content: Buffer.from('x'),
    fields: { deliveryTag: 1, redelivered: false, exchange: '', routingKey: 'q', messageCount: 0 },
    properties: { headers: {}, ...properties },
  } as unknown as GetMessage
}

describe('a foreign message', () => {
  it('shows the properties type and app-id as headers', () => {
    const { headers } = decode(
      foreign({ type: 'order.made', appId: 'shop', headers: { a: 1 } }),
      'q',
      undefined,
    )
    expect(headers).toEqual({ a: '1', type: 'order.made', 'app-id': 'shop' })
  })

  it('that was for several queues is for one when it is tried again, and shows the same headers', () => {
    const held = decode(foreign({ headers: { CC: ['a', 'b'], BCC: ['c'] } }), 'q', undefined)
    const { headers } = retryCopy(held, 1, true)
    expect(Object.keys(headers as object)).not.toEqual(expect.arrayContaining(['CC']))
    expect(Object.keys(headers as object)).not.toEqual(expect.arrayContaining(['BCC']))
    expect(decode(foreign({ headers }), 'q', undefined).headers).toEqual(held.headers)
  })

  it('has them from its headers where these say more', () => {
    const headers = { type: 'of the headers', 'app-id': 'too' }
    expect(decode(foreign({ type: 'a', appId: 'b', headers }), 'q', undefined).headers).toEqual(headers)
    expect(decode(foreign({}), 'q', undefined).headers).toEqual({})
  })

  it('keeps them as properties when it is tried again', () => {
    const copy = retryCopy(decode(foreign({ type: 'order.made', appId: 'shop' }), 'q', undefined), 1, true)
    expect(copy).toMatchObject({ type: 'order.made', appId: 'shop' })
    expect(copy.headers).not.toHaveProperty('type')
  })

  it.each([true, false])('that expires still does when it is tried again (ready at once: %s)', (ready) => {
    const now = Date.now()
    const copy = retryCopy(decode(foreign({ expiration: '600000' }), 'q', undefined), now, ready)
    // Where it waits first, the server would end the wait by it.
    expect(copy.expiration === undefined).toBe(!ready)
    if (ready) expect(Number(copy.expiration)).toBeLessThanOrEqual(600_000)
    const again = decode(foreign(copy), 'q', undefined)
    expect(again.expiresAt).toBe(now + 600_000)
    const later = retryCopy(again, now + 5_000, ready)
    expect(decode(foreign(later), 'q', undefined).expiresAt).toBe(now + 600_000)
  })

  it.each([
    ['contentType', 'contentType'],
    ['contentEncoding', 'contentEncoding'],
    ['correlationId', 'correlationId'],
    ['replyTo', 'replyTo'],
    ['messageId', 'id'],
    ['type', 'headers.type'],
    ['appId', 'headers.app-id'],
  ])('whose %s is read as more than can be written is the same when it is tried again', (property, path) => {
    const value = Buffer.alloc(255, 0xff).toString()
    const first = decode(foreign({ [property]: value }), 'q', undefined)
    const copy = retryCopy(first, 1, true)
    expect(copy).not.toHaveProperty(property)
    const again = decode(foreign(copy), 'q', undefined)
    expect(again).toHaveProperty(path.split('.'), value)
    expect(again.headers).toEqual(first.headers)
  })

  it('has the names of its headers cut to what can be written', () => {
    const name = Buffer.alloc(255, 0xff).toString()
    const headers = { [name]: { [name]: 1 } }
    const copy = retryCopy(decode(foreign({ headers }), 'q', undefined), 1, true)
    expect(copy.headers?.[name.slice(0, 85)]).toEqual({ [name.slice(0, 85)]: 1 })
  })
})
