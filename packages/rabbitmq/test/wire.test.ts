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
})
