import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { startBroker } from '@mq/brokers'
import { connected, fresh, until } from '@mq/conformance/fixtures'
import { MessageQueue, RejectError } from '@mq/core'
import { redisAdapter, type RedisOptions } from '../src/index.ts'

/** Sends, handles, fails over to its dead letters, and asks: what every permission and socket is needed for. */
async function works(options: RedisOptions): Promise<void> {
  const queue = new MessageQueue(redisAdapter(options))
  await queue.connect()
  try {
    const names = Array.from({ length: 8 }, () => fresh())
    const got: string[] = []
    for (const name of names) {
      await queue.consume(name, (m) => {
        got.push(name)
        if (m.body === 'bad') throw new RejectError('bad')
      })
      await queue.send(name, 'good')
      await queue.send(name, 'bad', { delay: 0.05 })
    }
    await until(() => got.length === 2 * names.length)
    for (const name of names) await until(async () => (await queue.deadLetters(name).count()) === 1)
    await queue.consume('answers', () => 42)
    expect((await queue.request('answers', 1, { timeoutMs: 10_000 })).body).toBe(42)
    expect((await queue.healthCheck()).healthy).toBe(true)
  } finally {
    await queue.disconnect()
  }
}

async function refusal(options: RedisOptions): Promise<string> {
  const adapter = redisAdapter({ connectTimeoutMs: 5_000, ...options })
  const error = await connected(adapter).then(
    () => adapter.disconnect(AbortSignal.timeout(1_000)),
    (thrown: unknown) => thrown,
  )
  return adapter.classify(error).code
}

describe('TLS and users', () => {
  it('work in a cluster, and are checked there', async () => {
    const broker = await startBroker('redis-cluster', { fresh: true, tls: true, acl: true })
    try {
      const details = broker.details as Record<string, string>
      const cluster = (details['tlsUrls'] as string).split(',').map((url) => ({
        host: new URL(url).hostname,
        port: Number(new URL(url).port),
      }))
      const user = { username: 'app', password: details['password'] as string }
      const tls = { ca: readFileSync(details['caPath'] as string, 'utf8'), verify: true }
      await works({ cluster, tls, ...user })
      expect(await refusal({ cluster, tls, ...user, password: 'wrong' })).toBe('MQ_AUTHENTICATION')
      const stranger = { ca: readFileSync(details['otherCaPath'] as string, 'utf8'), verify: true }
      expect(await refusal({ cluster, tls: stranger, ...user })).toBe('MQ_CONNECTION')
    } finally {
      await broker.stop()
    }
  }, 120_000)

  it('work under Sentinel, and are checked there', async () => {
    const broker = await startBroker('redis-sentinel', { fresh: true, tls: true, acl: true })
    try {
      const details = broker.details as Record<string, string>
      const nodes = (details['sentinels'] as string)
        .split(',')
        .map((text) => ({ host: '127.0.0.1', port: Number(text.split(':')[1]) }))
      const sentinel = { name: details['masterName'] as string, nodes }
      const user = { username: 'app', password: details['password'] as string }
      const tls = { ca: readFileSync(details['caPath'] as string, 'utf8'), verify: true }
      await works({ sentinel, tls, ...user })
      expect(await refusal({ sentinel, tls, ...user, password: 'wrong' })).toBe('MQ_AUTHENTICATION')
      const stranger = { ca: readFileSync(details['otherCaPath'] as string, 'utf8'), verify: true }
      expect(await refusal({ sentinel, tls: stranger, ...user })).toBe('MQ_CONNECTION')
    } finally {
      await broker.stop()
    }
  }, 120_000)

  it('work with a client certificate, without which the server refuses', async () => {
    const broker = await startBroker('redis', { fresh: true, tls: true, clientCertificate: true })
    try {
      const file = (name: string): string => readFileSync(broker.details[name] as string, 'utf8')
      const url = broker.details['tlsUrl'] as string
      const tls = { ca: file('caPath'), verify: true }
      await works({ url, tls: { ...tls, cert: file('clientCertPath'), key: file('clientKeyPath') } })
      expect(await refusal({ url, tls })).toBe('MQ_CONNECTION')
    } finally {
      await broker.stop()
    }
  }, 60_000)

  it.each(['expired', 'wrong-host'] as const)(
    'refuse a certificate that is %s',
    async (certificate) => {
      const broker = await startBroker('redis', { fresh: true, tls: true, certificate })
      try {
        const ca = readFileSync(broker.details['caPath'] as string, 'utf8')
        expect(await refusal({ url: broker.details['tlsUrl'] as string, tls: { ca, verify: true } })).toBe(
          'MQ_CONNECTION',
        )
      } finally {
        await broker.stop()
      }
    },
    60_000,
  )
})
