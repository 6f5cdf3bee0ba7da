import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { MessageQueue } from '@mq/core'
import { kafkaAdapter, type KafkaOptions } from '@mq/kafka'

let broker: RunningBroker
/** Nothing of a session that SASL began is believed for longer, in ms. */
const SESSION_MS = 2_500

beforeAll(async () => {
  const extra = { 'connections.max.reauth.ms': String(SESSION_MS) }
  broker = await startBroker('kafka', { fresh: true, sasl: true, tls: true, proxied: true, extra })
}, 180_000)
afterAll(() => broker.stop())

const fact = (key: string): string => broker.details[key] ?? ''
const user = () => ({ username: fact('username'), password: fact('password') })
const trusted = () => ({ ca: readFileSync(fact('caPath'), 'utf8'), verify: true })

async function roundTrip(options: KafkaOptions): Promise<unknown> {
  const queue = new MessageQueue(kafkaAdapter({ connectTimeoutMs: 3_000, ...options }))
  await queue.connect()
  try {
    const name = `secure-${Math.random().toString(36).slice(2)}`
    await queue.send(name, 'hello')
    return (await queue.receive(name, { timeoutMs: 10_000 }))?.body
  } finally {
    await queue.disconnect()
  }
}

describe('security', () => {
  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'a round trip with SASL %s',
    async (mechanism) => {
      expect(await roundTrip({ brokers: fact('saslUrl'), sasl: { mechanism, ...user() } })).toBe('hello')
    },
    30_000,
  )
  it('a round trip over TLS', async () => {
    expect(await roundTrip({ brokers: fact('tlsUrl'), tls: trusted() })).toBe('hello')
  }, 30_000)
  it('a round trip with SASL over TLS', async () => {
    const sasl = { mechanism: 'scram-sha-256', ...user() } as const
    expect(await roundTrip({ brokers: fact('saslTlsUrl'), tls: trusted(), sasl })).toBe('hello')
  }, 30_000)

  it('sessions that end, one after the other, cost no message', async () => {
    const queue = new MessageQueue(
      kafkaAdapter({ brokers: fact('saslUrl'), sasl: { mechanism: 'scram-sha-256', ...user() } }),
    )
    const seen: number[] = []
    await queue.connect()
    try {
      await queue.consume('sessions', ({ body }) => void seen.push(body as number))
      const until = Date.now() + 4 * SESSION_MS
      let sent = 0
      for (; Date.now() < until; sent++) {
        await queue.send('sessions', sent)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      while (seen.length < sent) await new Promise((resolve) => setTimeout(resolve, 20))
      // Of several partitions.
      expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: sent }, (_, i) => i))
      expect(queue.getStats().errorCount).toBe(0)
    } finally {
      await queue.disconnect()
    }
  }, 60_000)

  it('an address that brokers advertise and nobody reaches is named at once', async () => {
    const error = await roundTrip({ brokers: fact('proxiedUrl') }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'MQ_CONNECTION' })
    expect((error as Error).message).toContain(fact('proxyUrl'))
    expect((error as Error).message).toContain('advertised.listeners')
  }, 30_000)

  const mistakes: readonly [string, () => KafkaOptions, string][] = [
    [
      'a wrong password',
      () => ({ brokers: fact('saslUrl'), sasl: { mechanism: 'plain', username: 'alice', password: 'no' } }),
      'MQ_AUTHENTICATION',
    ],
    [
      'a wrong password (SCRAM)',
      () => ({
        brokers: fact('saslUrl'),
        sasl: { mechanism: 'scram-sha-512', username: 'alice', password: 'no' },
      }),
      'MQ_AUTHENTICATION',
    ],
    ['an authority that is not trusted', () => ({ brokers: fact('tlsUrl'), tls: true }), 'MQ_CONNECTION'],
    [
      'a certificate of another host',
      () => ({ brokers: fact('tlsUrl'), tls: { ...trusted(), servername: 'elsewhere.example' } }),
      'MQ_CONNECTION',
    ],
    ['TLS to a plain port', () => ({ brokers: broker.url, tls: trusted() }), 'MQ_CONNECTION'],
    ['plain to a TLS port', () => ({ brokers: fact('tlsUrl') }), 'MQ_CONNECTION'],
    ['no SASL to a port that wants it', () => ({ brokers: fact('saslUrl') }), 'MQ_CONNECTION'],
    ['nothing there', () => ({ brokers: '127.0.0.1:1' }), 'MQ_CONNECTION'],
  ]
  it.each(mistakes)(
    '%s rejects in time, and shows no password',
    async (_name, options, code) => {
      const error = (await roundTrip(options()).catch((reason: unknown) => reason)) as Error & {
        code: string
      }
      expect(error.code).toBe(code)
      expect(error.message).not.toMatch(/alice-password/)
    },
    8_000,
  )
})
