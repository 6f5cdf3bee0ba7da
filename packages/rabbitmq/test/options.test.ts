import { describe, expect, it } from '@jest/globals'
import { ConfigurationError } from '@mq/core'
import { parseOptions } from '../src/options.ts'

describe('options', () => {
  it.each(['amqp://example.org', new URL('amqp://example.org'), 5, null] as never[])(
    'are refused when they are no object: %p',
    (none) => {
      expect(() => parseOptions(none)).toThrow('such as { url }')
    },
  )

  it('have defaults for a server on this machine', () => {
    expect(parseOptions({})).toMatchObject({
      hosts: [{ host: '127.0.0.1', port: 5672 }],
      username: 'guest',
      vhost: '/',
      heartbeat: 60,
      queueType: 'quorum',
    })
  })

  it('take a URL apart, and single fields win over it', () => {
    expect(parseOptions({ url: 'amqps://u%40x:p%2Fw@broker/my%2Fhost', username: 'other' })).toMatchObject({
      hosts: [{ host: 'broker', port: 5671 }],
      username: 'other',
      password: 'p/w',
      vhost: 'my/host',
      tls: true,
    })
  })

  it('name every problem at once, without secrets', () => {
    const wrong = { url: 'http://user:topsecret@x', heartbeat: -1, nonsense: 1 } as object
    let text = ''
    try {
      parseOptions(wrong)
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError)
      text = String(error)
    }
    expect(text).toMatch(/url must be amqp/)
    expect(text).toMatch(/heartbeat/)
    expect(text).not.toMatch(/topsecret/)
  })

  it('refuse a URL that says more than they heed', () => {
    for (const url of ['amqp://h?heartbeat=5', 'amqp://h/v#x'])
      expect(() => parseOptions({ url })).toThrow(/url must be amqp/)
  })

  it('refuse EXTERNAL without a certificate', () => {
    expect(() => parseOptions({ mechanism: 'external' })).toThrow(/client certificate/)
  })
})
