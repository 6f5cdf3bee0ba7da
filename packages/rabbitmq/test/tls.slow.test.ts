import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected } from '@mq/conformance/fixtures'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

let broker: RunningBroker
const pem = (name: string) => readFileSync(broker.details[name] ?? '', 'utf8')

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true, tls: true })
}, 120_000)
afterAll(() => broker.stop(), 60_000)

async function attempt(options: RabbitmqOptions): Promise<string> {
  const adapter = rabbitmqAdapter({
    url: broker.details['tlsUrl'] ?? '',
    connectTimeoutMs: 10_000,
    ...options,
  })
  try {
    await connected(adapter)
    await adapter.ping(AbortSignal.timeout(5_000))
    return 'connected'
  } catch (error) {
    return adapter.classify(error).code
  } finally {
    await adapter.disconnect(AbortSignal.timeout(2_000))
  }
}

describe('TLS', () => {
  it('connects with the right authority', async () => {
    expect(await attempt({ tls: { ca: pem('caPath'), verify: true } })).toBe('connected')
  })

  it('refuses a server that another authority signed', async () => {
    expect(await attempt({ tls: { ca: pem('otherCaPath'), verify: true } })).toBe('MQ_CONNECTION')
  })

  it('takes who we are from the client certificate (EXTERNAL)', async () => {
    const tls = { ca: pem('caPath'), cert: pem('clientCertPath'), key: pem('clientKeyPath'), verify: true }
    expect(await attempt({ tls, mechanism: 'external' })).toBe('connected')
  })
})

describe('virtual hosts', () => {
  it('are apart', async () => {
    await broker.run('add_vhost', 'a/b')
    await broker.run('set_permissions', '-p', 'a/b', 'guest', '.*', '.*', '.*')
    expect(await attempt({ tls: { ca: pem('caPath'), verify: true }, vhost: 'a/b' })).toBe('connected')
    expect(await attempt({ tls: { ca: pem('caPath'), verify: true }, vhost: 'none' })).toBe(
      'MQ_AUTHENTICATION',
    )
  })
})
