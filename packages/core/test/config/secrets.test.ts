import { describe, expect, it } from '@jest/globals'
import { MessageQueueConfig } from '../../src/config/message-queue-config.ts'
import { show } from '../../src/config/secrets.ts'
import { everythingOf, refused } from './refusals.ts'

const SECRET = 'hunter2-s3cret'

describe('an error about a configuration', () => {
  it.each<[string, unknown]>([
    ['a malformed URL', { broker: 'redis', connection: { url: `redis://u:${SECRET}@h:99999` } }],
    ['a URL that cannot be decoded', { broker: 'redis', connection: { url: `redis://u:${SECRET}%zz@h` } }],
    ['a URL of another broker', { broker: 'kafka', connection: { url: `redis://u:${SECRET}@h` } }],
    ['a URL with an unknown scheme', { broker: 'redis', connection: { url: `rds://u:${SECRET}@h` } }],
    ['a password in the query', { broker: 'redis', connection: { url: `redis://h?password=${SECRET}` } }],
    ['a URL that is an array', { broker: 'redis', connection: { url: [`redis://u:${SECRET}@h:1`] } }],
    [
      'a contradicting password',
      { broker: 'redis', connection: { url: 'redis://:other@h', password: SECRET } },
    ],
    [
      'the password of the URL contradicted',
      { broker: 'redis', connection: { url: `redis://:${SECRET}@h`, password: 'b' } },
    ],
    ['a password of the wrong kind', { broker: 'redis', connection: { password: [SECRET] } }],
    ['a misspelt password', { broker: 'redis', connection: { passwrod: SECRET } }],
    ['a password beside other problems', { broker: 'redis', connection: { password: SECRET, port: -1 } }],
    ['SASL', { broker: 'kafka', connection: { saslPassword: SECRET, securityProtocol: 'ssl' } }],
    ['a sentinel', { broker: 'redis', connection: { sentinel: { nme: 'm', password: SECRET } } }],
    ['credentials in hosts', { broker: 'redis', connection: { hosts: `u:${SECRET}@h:1` } }],
    [
      'credentials in bootstrapServers',
      { broker: 'kafka', connection: { bootstrapServers: [`u:${SECRET}@h:1`] } },
    ],
    ['credentials in host', { broker: 'redis', connection: { host: `u:${SECRET}@h` } }],
    ['a URL in the wrong field', { broker: `redis://:${SECRET}@h` }],
    ['a URL as the connection', { connection: `redis://:${SECRET}@h` }],
    ['a URL as the configuration', `redis://:${SECRET}@h`],
    ['an encryption key that is none', { message: { encryptionEnabled: true, encryptionKey: SECRET } }],
    ['encryption keys that are none', { message: { encryptionKeys: [SECRET, `${SECRET}2`] } }],
    ['encryption keys of the wrong kind', { message: { encryptionKeys: SECRET } }],
    ['a header', { message: { headers: { authorization: SECRET, n: 1 } } }],
    ['headers of the wrong kind', { message: { headers: SECRET } }],
  ])('never shows a secret: %s', (_, input) => {
    expect(everythingOf(refused(() => MessageQueueConfig.parse(input)))).not.toContain(SECRET)
  })

  it.each<[string, NodeJS.ProcessEnv]>([
    ['a malformed URL', { MESSAGE_BROKER: 'redis', REDIS_URL: `redis://u:${SECRET}@h:99999` }],
    ['a URL of another broker', { MESSAGE_BROKER: 'redis', REDIS_URL: `amqp://u:${SECRET}@h` }],
    ['a contradiction', { MESSAGE_BROKER: 'redis', REDIS_URL: 'redis://:other@h', REDIS_PASSWORD: SECRET }],
    ['a password alone', { MESSAGE_BROKER: 'rabbitmq', RABBITMQ_PASSWORD: SECRET }],
    ['credentials in a list', { MESSAGE_BROKER: 'kafka', KAFKA_BOOTSTRAP_SERVERS: `u:${SECRET}@h` }],
    ['SASL', { MESSAGE_BROKER: 'kafka', KAFKA_SASL_PASSWORD: SECRET }],
    ['a URL as the broker', { MESSAGE_BROKER: `redis://:${SECRET}@h` }],
    ['a URL as the host', { MESSAGE_BROKER: 'redis', REDIS_HOST: `redis://:${SECRET}@h` }],
  ])('of the environment neither: %s', (_, env) => {
    expect(everythingOf(refused(() => MessageQueueConfig.fromEnv(env)))).not.toContain(SECRET)
  })

  it('has a net that would catch one', () => {
    const leaky = new Error('outer', { cause: Object.assign(new Error('inner'), { input: SECRET }) })
    expect(everythingOf(leaky)).toContain(SECRET)
  })

  it('never shows the password of any broken URL (200 of them)', () => {
    // A linear congruential generator: the same broken URLs in every run.
    let state = 12_345
    const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % below
    const noise = [' ', '\\', '%', '[', ']', '^', '|', '<', '\0', 'é', '::', '%zz', '#', '?', '/', '@@']
    let broken = 0
    for (let i = 0; i < 200; i++) {
      const url = [...`redis://user:${SECRET}@host:6379/0`]
      const start = `redis://user:${SECRET}`.length
      for (let n = 0; n <= random(3); n++)
        url.splice(start + random(url.length - start), 0, noise[random(noise.length)] ?? '')
      try {
        MessageQueueConfig.parse({ broker: 'redis', connection: { url: url.join('') } })
      } catch (error) {
        broken++
        expect(everythingOf(error)).not.toContain(SECRET)
      }
    }
    expect(broken).toBeGreaterThan(50)
  })
})

describe('show', () => {
  it.each<[unknown, string]>([
    ['text', '"text"'],
    ['a@b', '(hidden)'],
    ['x://y', '(hidden)'],
    ['x'.repeat(200), `"${'x'.repeat(79)}…`],
    [1, '1'],
    [Number.NaN, 'NaN'],
    [10n, '10n'],
    [true, 'true'],
    [null, 'null'],
    [undefined, 'undefined'],
    [[1], '(an array)'],
    [{}, '(an object)'],
    [Symbol('a'), '(a symbol)'],
    [() => 1, '(a function)'],
  ])('%p as %s', (value, text) => {
    expect(show(value)).toBe(text)
  })
})
