import { afterEach, describe, expect, it } from '@jest/globals'
import { requireBrokers, startBroker } from '../src/index.ts'
import { echoServer } from './helpers/echo-server.ts'

const before = { ...process.env }

describe('requiring brokers', () => {
  afterEach(() => {
    process.env = { ...before }
  })

  it('names everything that is missing, a line each', async () => {
    process.env['PATH'] = ''
    await expect(
      requireBrokers(['redis', 'redis'], { sources: ['environment', 'docker'] }),
    ).rejects.toMatchObject({
      code: 'BROKER_MISSING',
      message:
        'redis: Redis is missing: run "sudo apt-get install redis-server", start Docker or set REDIS_URL',
    })
  })

  it('resolves when the server can be started', async () => {
    await requireBrokers(['redis'])
  }, 300_000)

  it("takes the environment's server, and never hurts it", async () => {
    const echo = await echoServer()
    process.env['REDIS_URL'] = `redis://127.0.0.1:${echo.port}`
    try {
      const broker = await startBroker('redis')
      expect(broker).toMatchObject({ owned: false, url: process.env['REDIS_URL'] })
      await expect(broker.kill()).rejects.toMatchObject({ code: 'BROKER_NOT_OWNED' })
      await expect(broker.restart()).rejects.toThrow('unset that, or pass { fresh: true }')
      expect(() => broker.freeze()).toThrow('cannot freeze redis: it comes from REDIS_URL')
      await broker.stop()
    } finally {
      await echo.close()
    }
  })

  it('starts a server of its own when the environment names one and something special is asked for', async () => {
    process.env['REDIS_URL'] = 'redis://127.0.0.1:1'
    const broker = await startBroker('redis', { persistence: false })
    expect(broker.owned).toBe(true)
    await broker.stop()
  })

  it('refuses a source that it does not know', async () => {
    process.env['MQ_BROKERS_SOURCES'] = 'path,moon'
    await expect(startBroker('redis')).rejects.toThrow('MQ_BROKERS_SOURCES has "moon"')
  })
})
